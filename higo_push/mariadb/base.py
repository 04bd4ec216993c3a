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
import socket
from datetime import datetime, timezone
from typing import Any

from django.db.backends.mysql import base, operations
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.times import DateTime_or_None

#: A silent connection is asked for a sign of life after so many seconds, and every so many, and given up after so many
#: in vain; data that nobody acknowledges counts as much.
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


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


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters["conv"] = {**parameters["conv"], FIELD_TYPE.DATETIME: instant}
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        keep_alive(connection.fileno())
        return connection


def keep_alive(descriptor: int) -> None:
    """Have the kernel watch the connection of this descriptor. Nothing for one that is not TCP's."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:
        if same.family not in (socket.AF_INET, socket.AF_INET6):
            return
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # not everywhere
                same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
