"""The shared clock: the database's. All machines share due times, expiries and leases, so these are written and
compared by the database's clock, whatever a machine's own clock says.

`now` is this machine's own time as long as it agrees with the database's. Otherwise it is the database's time, measured
every few seconds over a separate connection, and extrapolated by the monotonic clock, which is never set.
`database_time` is for statements. With SQLite there is one machine, and its clock.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import DateTimeField
from django.db.models.expressions import RawSQL
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import RedisError

from pushes.storage import probe, shared_redis

log = logging.getLogger(__name__)

#: A larger difference is reported as a problem: pushes become due or expire too early or too late by that much.
MAX_SKEW_SECONDS = 2.0
#: Clocks that differ by less are equal: a measurement is no more exact.
AGREE = timedelta(seconds=0.5)
#: How long a reading of the database's clock is valid; the shorter time applies while the clocks disagree.
READING_SECONDS, DOUBTED_SECONDS, ASK_SECONDS = 60.0, 5.0, 2


class Reading(NamedTuple):
    """The database's time, and the monotonic clock's at that moment, which is certain to `margin` seconds: a database
    that took long to answer, such as a cluster that was just losing a node, read its clock at some time meanwhile."""

    there: datetime
    monotonic: float
    margin: float = 0.0

    def agrees_with(self, own: datetime) -> bool:
        return abs(self.now - own) <= AGREE + timedelta(seconds=self.margin)

    @property
    def now(self) -> datetime:
        return self.there + timedelta(seconds=self.age)

    @property
    def age(self) -> float:
        return time.monotonic() - self.monotonic


class _Process:
    """The latest reading of this process, and the lock for making the next one."""

    reading: Reading | None = None
    tried_at = float("-inf")
    lock = threading.Lock()


def now() -> datetime:
    """Return the time that all machines share."""
    own = timezone.now()
    if connection.vendor != "mysql":
        return own
    reading = _Process.reading
    is_doubted = reading is None or not reading.agrees_with(own)
    if reading is None or reading.age > (DOUBTED_SECONDS if is_doubted else READING_SECONDS):
        reading = _read_again()
    return own if reading is None or reading.agrees_with(own) else reading.now


def _read_again() -> Reading | None:
    """Return a new reading, or the latest one if another thread is reading now or the last attempt is recent."""
    if time.monotonic() - _Process.tried_at > DOUBTED_SECONDS and _Process.lock.acquire(blocking=False):
        try:
            _Process.tried_at = time.monotonic()
            ask_database(seconds=ASK_SECONDS)
        except DatabaseError as error:
            log.debug("the database's clock cannot be read: %s", error)
        finally:
            _Process.lock.release()
    return _Process.reading


def ask_database(*, seconds: int) -> None:
    """Read the database's time over a separate connection, and remember it. Raises django.db.Error when the database
    does not answer within about `seconds`."""
    if connection.vendor != "mysql":
        probe.ask(seconds=seconds)
        return
    with probe.cursor(seconds=seconds) as cursor:
        before = time.monotonic()
        there = _asked(cursor)
        after = time.monotonic()
        _Process.reading = Reading(there, (before + after) / 2, (after - before) / 2)


def database_time(now: datetime, *, seconds: float = 0.0) -> Any:
    """Return an expression for `seconds` from now by the database's clock; with SQLite it starts from `now`."""
    if connection.vendor != "mysql":
        return now + timedelta(seconds=seconds)
    microseconds = int(seconds * 1_000_000)
    return RawSQL("UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND", (microseconds,), output_field=DateTimeField())


def seconds_ahead() -> dict[str, float]:
    """Return by how much this machine's clock is certainly ahead of the database server's and of Redis's (negative:
    behind): the time that asking took is not counted. Servers that do not answer, and SQLite, are absent."""
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
    """Return a sentence for every clock that differs too much, by server."""
    names = {"database": _("the database server"), "redis": _("the Redis server")}
    return {
        name: _("The clock of this machine differs by %(seconds)s s from that of %(server)s: set both by NTP.")
        % {"seconds": f"{ahead:+.1f}", "server": names[name]}
        for name, ahead in seconds_ahead().items()
        if abs(ahead) > MAX_SKEW_SECONDS
    }


def is_wrong() -> bool:
    """Whether this machine's clock is known to be wrong: compared with the database's clock or, if that is on this
    machine or does not answer, with Redis's."""
    found = seconds_ahead()
    return abs(found.get("database", found.get("redis", 0.0))) > MAX_SKEW_SECONDS


def warn() -> None:
    """Log the problems; for the start of a process."""
    for text in problems().values():
        log.warning("%s", text)


def _ahead_of(ask: Callable[[], float | None]) -> float | None:
    before = time.time()
    there = ask()
    after = time.time()
    if there is None:
        return None
    # The server's clock was read at some moment in between.
    return before - there if there < before else min(0.0, after - there)


def _database_clock() -> float | None:
    if connection.vendor != "mysql":
        return None
    with connection.cursor() as cursor:
        return _asked(cursor).timestamp()


def _asked(cursor: Any) -> datetime:
    # As text, because connections convert instants differently.
    cursor.execute("SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
    (text,) = cursor.fetchone()
    return datetime.fromisoformat(f"{text}+00:00")


def _redis_clock() -> float:
    client: Any = shared_redis.connection()
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)
