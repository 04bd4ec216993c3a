"""The nodes of a Galera cluster: which of them a process is connected to, and whether one can be worked with.

DATABASE_URL may name several. A process takes the first that accepts a connection and is ready, stays there until that
one fails, and then takes the next.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from MySQLdb import Error, OperationalError

log = logging.getLogger(__name__)

#: `wsrep_local_state`: synced, and synced while it gives another node a copy of its data.
_SYNCED, _DONOR = "4", "2"
#: Galera's own number for "not prepared for application use".
NOT_READY = 1047
MIN_SECONDS = 1
#: A statement sees whatever any node has committed before it began: reads, and the conditions of UPDATE and DELETE. A
#: job may be on another machine before the rows that it names.
CAUSAL = "SET SESSION wsrep_sync_wait = 3"


class _Process:
    """By server list, the node that all threads of this process use."""

    chosen: dict[tuple[tuple[str, int], ...], int] = {}
    lock = threading.Lock()


def connect(
    nodes: Sequence[tuple[str, int]], seconds: int, connect_to: Callable[[str, int, int], Any]
) -> tuple[Any, bool]:
    """Connect to the node in use or, when it fails, to the next that is ready. Returns the connection, and whether it
    is a cluster's. `connect_to` takes host, port and time-out; all attempts together take about `seconds`. Raises the
    last node's error."""
    key, began = tuple(nodes), time.monotonic()
    first = _Process.chosen.get(key, 0)
    for tried in range(len(key)):
        position = (first + tried) % len(key)
        left = seconds - (time.monotonic() - began)
        share = max(MIN_SECONDS, round(left / (len(key) - tried)))
        try:
            connection = connect_to(*key[position], share)
            is_clustered = _prepare(connection)
        except Error as error:
            if tried == len(key) - 1:
                raise
            log.debug("the database node %s:%s cannot be used: %s", *key[position], error)
            continue
        _choose(key, position)
        return connection, is_clustered
    raise AssertionError("unreachable")  # pragma: no cover


def _choose(key: tuple[tuple[str, int], ...], position: int) -> None:
    with _Process.lock:
        before = _Process.chosen.get(key)
        _Process.chosen[key] = position
    if before not in (None, position):
        log.warning("the database node %s:%s cannot be used: now on %s:%s", *key[before or 0], *key[position])


def _prepare(connection: Any) -> bool:
    """Return whether the server is a cluster's node. Raises OperationalError when it is one that is not ready."""
    if _asked(connection, "SHOW SESSION VARIABLES LIKE 'wsrep_on'").get("wsrep_on") != "ON":
        return False
    if not is_ready(connection):
        connection.close()
        raise OperationalError(NOT_READY, "this node of the cluster is not ready")
    connection.query(CAUSAL)
    return True


def is_ready(connection: Any) -> bool:
    """Whether the node belongs to a majority and has what the others have. Raises the driver's errors."""
    found = _asked(connection, "SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')")
    return found.get("wsrep_ready") == "ON" and found.get("wsrep_local_state") in (_SYNCED, _DONOR)


def _asked(connection: Any, sql: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return dict(cursor.fetchall())
