"""Whose clock counts. Leases are the database's, whoever writes or judges them; everything else (due times, expiries)
is each machine's own, so this says how far it is from the database's and Redis's.

A sender whose clock is slow would otherwise write leases that have run out for a sweeper elsewhere, which would give
away pushes that are just being sent.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import DateTimeField
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _
from redis import RedisError

from pushes import queues

log = logging.getLogger(__name__)

#: More than this is told as a problem. Pushes become due, late and old by so much too early or too late.
MOST_SKEW_SECONDS = 2.0


def database_time(now: datetime, *, seconds: float = 0.0) -> Any:
    """`seconds` from now by the database's clock, for a statement. SQLite's is the machine's own: from `now`, then."""
    if connection.vendor != "mysql":
        return now + timedelta(seconds=seconds)
    microseconds = int(seconds * 1_000_000)
    return RawSQL("UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND", (microseconds,), output_field=DateTimeField())


def seconds_ahead() -> dict[str, float]:
    """How far this machine's clock is ahead of the database server's and of Redis's (negative: behind), for certain:
    the time that asking took is not counted. One that does not answer is absent, and so is SQLite."""
    found: dict[str, float] = {}
    for name, ask in (("database", _database_clock), ("redis", _redis_clock)):
        try:
            ahead = _ahead_of(ask)
        except (DatabaseError, RedisError):
            continue
        if ahead is not None:
            found[name] = ahead
    return found


def problems() -> dict[str, str]:
    """A sentence for every clock that differs too much, by whose it is."""
    names = {"database": _("the database server"), "redis": _("the Redis server")}
    return {
        name: _("The clock of this machine differs by %(seconds)s s from that of %(server)s: set both by NTP.")
        % {"seconds": f"{ahead:+.1f}", "server": names[name]}
        for name, ahead in seconds_ahead().items()
        if abs(ahead) > MOST_SKEW_SECONDS
    }


def warn() -> None:
    """Say so in the log; for the start of a process."""
    for text in problems().values():
        log.warning("%s", text)


def _ahead_of(ask: Callable[[], float | None]) -> float | None:
    before = time.time()
    there = ask()
    after = time.time()
    if there is None:
        return None
    # Theirs was read at some moment in between.
    return before - there if there < before else min(0.0, after - there)


def _database_clock() -> float | None:
    if connection.vendor != "mysql":
        return None
    with connection.cursor() as cursor:
        # As text: what becomes of an instant on the way is the connection's business.
        cursor.execute("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
        (text,) = cursor.fetchone()
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def _redis_clock() -> float:
    client: Any = queues.connection()
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)
