"""The backend itself; Django finds it by the name of this module.

The client library parses instants in Python, and Django then passes each of them through a converter of its own to
give it a zone: together 2 µs a column, half a dozen columns a push. Here that is one call into C
(docs/performance.md).

A connection is watched by TCP itself, so that one whose other end is gone without a word (a power cut, a forgotten
NAT entry) ends even under a statement that may take hours; what acknowledges and never answers (a hung proxy) is left
to the time-outs of the settings.
"""

import contextlib
import os
import random
import socket
import time
from datetime import datetime, timezone
from typing import Any

from django.db.backends.mysql import base, operations
from MySQLdb import Error, OperationalError
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.times import DateTime_or_None

from higo_push.mariadb import nodes

#: A silent connection is asked for a sign of life after so many seconds, and every so many, and given up after so many
#: in vain; data that nobody acknowledges counts as much.
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
DEADLOCK, CONFLICT_TRIES, CONFLICT_SECONDS = 1213, 8, 0.05


def instant(text: str) -> datetime | None:
    """A DATETIME column's text in UTC, as Django stores it; None for the zero date of MariaDB's lax modes."""
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        # Fractions of other than three or six digits (a column that is not ours), on Python 3.10.
        found: datetime | None = DateTime_or_None(text)
        return found and found.replace(tzinfo=timezone.utc)


class DatabaseOperations(operations.DatabaseOperations):
    def get_db_converters(self, expression: Any) -> list[Any]:
        """Django's, without the one that gives instants their zone: they have it."""
        return [one for one in super().get_db_converters(expression) if one != self.convert_datetimefield_value]


class CursorWrapper(base.CursorWrapper):
    """Repeats a statement that is a transaction of its own when it met another one: nothing of it was done."""

    def __init__(self, cursor: Any, wrapper: "DatabaseWrapper") -> None:
        super().__init__(cursor)
        self._wrapper = wrapper

    def execute(self, query: Any, args: Any = None) -> Any:
        for _ in range(CONFLICT_TRIES - 1):
            try:
                return super().execute(query, args)
            except OperationalError as error:
                if error.args[:1] != (DEADLOCK,) or self._wrapper.in_atomic_block:
                    raise
            time.sleep(random.uniform(0.0, CONFLICT_SECONDS))
        return super().execute(query, args)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    #: Whether the present connection is to a node of a Galera cluster.
    is_clustered = False

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters["conv"] = {**parameters["conv"], FIELD_TYPE.DATETIME: instant}
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        own = dict(conn_params)
        hosts = own.pop("nodes", None) or [(own.pop("host", ""), own.pop("port", 0))]

        def connect_to(host: str, port: int, seconds: int) -> Any:
            where = {name: value for name, value in (("host", host), ("port", port)) if value}
            return super(DatabaseWrapper, self).get_new_connection({**own, **where, "connect_timeout": seconds})

        connection, self.is_clustered = nodes.connect(hosts, int(own.pop("connect_timeout", 10)), connect_to)
        keep_alive(connection.fileno())
        return connection

    def create_cursor(self, name: str | None = None) -> CursorWrapper:  # noqa: ARG002
        return CursorWrapper(self.connection.cursor(), self)

    def is_usable(self) -> bool:
        """Also whether the node is still one that can be worked with: one without a majority answers a ping."""
        if not super().is_usable():
            return False
        try:
            return not self.is_clustered or nodes.is_ready(self.connection)
        except Error:
            return False


def keep_alive(descriptor: int) -> None:
    """Have the kernel watch the connection of this descriptor. Nothing for one that is not TCP's."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:
        if same.family not in (socket.AF_INET, socket.AF_INET6):
            return
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # not everywhere
                same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
