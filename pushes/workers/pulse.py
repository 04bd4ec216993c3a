"""The pulse: a thread that checks whether this process can work: its database answers, and its threads make progress.

A process holds its shards, or the intake's batch, by leases that a thread renews. They are renewed only while the
process can work, so that others can take over from a process that is alive but stuck. Such a process reports itself in
Redis, where the console and /metrics find it.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from redis import RedisError

from pushes.storage import clocks, shared_redis
from pushes.workers import queues

log = logging.getLogger(__name__)

#: The names of the unwell processes, and the complaint of each, which expires.
NAMES_KEY, TEXT_KEY = "higo:unwell", "higo:unwell:{name}"
SAID_SECONDS = 60
#: How many complaints are read, and how much of each: more is not the platform's.
MAX_COMPLAINTS, MAX_SAID_BYTES = 500, 900
ASK_SECONDS = 5
DATABASE, CLOCK, STANDSTILL = "database", "clock", "standstill"
#: Set when a provider has refused this machine's timestamps, for all of its worker processes, also future ones.
CLOCK_KEY = "higo:clock-refused:{host}"
CLOCK_SECONDS = 3_600
#: A busy machine may take a while to ask.
MIN_SILENT_SECONDS = 10.0
#: How often a database is asked that a statement has just lost.
LOST_SECONDS = 0.5
#: RQ waits up to 10 s for a job, and maintains its registries: a loop may be silent for that long.
MIN_STILL_SECONDS = 30.0
_threads: dict[int, float] = {}

_WORDS = {
    DATABASE: "the database does not answer",
    CLOCK: "the machine's clock is wrong",
    STANDSTILL: "a thread does not move",
}


class _Process:
    """Since when (monotonic clock) this process has stopped sending, because its machine's clock is wrong; and when a
    statement last lost the database, which has not answered since."""

    clock_refused_at: float | None = None
    lost_at: float | None = None
    lost = threading.Event()


@dataclass(frozen=True, slots=True)
class Complaint:
    """`what` is DATABASE (it does not answer), CLOCK (the machine's clock is wrong, and a provider refused its time) or
    STANDSTILL (a thread makes no progress); `seconds` says for how long."""

    process: str
    host: str
    what: str
    seconds: int


def moved() -> None:
    """Report progress of the calling thread, which is watched from now on. Until `rested` it must report again in
    time."""
    _threads[threading.get_ident()] = time.monotonic()


def moves_on() -> None:
    """Report progress of the calling thread, if it is being watched."""
    if threading.get_ident() in _threads:
        moved()


def rested() -> None:
    """Stop watching the calling thread: it has nothing to do."""
    _threads.pop(threading.get_ident(), None)


def stop_sending() -> None:
    """Stop sending, because a provider refused this machine's timestamps and its clock is known to be wrong. No worker
    of the machine takes jobs until the clock is right; other machines continue."""
    if _Process.clock_refused_at is None:
        log.error("a provider refuses this machine's timestamps, and its clock is wrong: sending stops")
        _Process.clock_refused_at = time.monotonic()
    _quietly(lambda: shared_redis.connection().set(CLOCK_KEY.format(host=socket.gethostname()), 1, ex=CLOCK_SECONDS))


def may_send() -> bool:
    """Whether this machine's clock lets this process send. After a refusal the clock is checked on every call."""
    if _Process.clock_refused_at is not None:
        _quietly(_look_at_clock)
    return _Process.clock_refused_at is None


def lost_database() -> None:
    """Take no further job until the database answers: a statement has lost it. On another node of a cluster, or with
    the next one of DATABASE_URL, others go on."""
    _Process.lost_at = time.monotonic()
    _Process.lost.set()


def _look_at_clock() -> None:
    """Resume sending when the clock is right; stop when another process of this machine has stopped. Raises
    redis.RedisError."""
    key = CLOCK_KEY.format(host=socket.gethostname())
    if _Process.clock_refused_at is None and not shared_redis.connection().exists(key):
        return
    if clocks.is_wrong():
        stop_sending()
        return
    log.warning("this machine's clock is right again: sending resumes")
    _Process.clock_refused_at = None
    shared_redis.connection().delete(key)


def _quietly(tell: Callable[[], object]) -> None:
    try:
        tell()
    except RedisError as error:
        log.debug("nobody could be told how this process is: %s", error)


class Pulse:
    """The pulse of the process `name`. The database may be silent for half of the time of a shard's lease, so that
    others have the shard by the end of it, and threads for the time of a claim's. A process that `sends` needs a clock
    that providers accept."""

    def __init__(self, name: str, ask: Callable[[], None] | None = None, *, sends: bool = False) -> None:
        self._name, self._host, self._sends = name, socket.gethostname(), sends
        self._ask = ask or (lambda: clocks.ask_database(seconds=ASK_SECONDS))
        self._answered_at: float | None = None
        self._started_at = time.monotonic()
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def start(self) -> None:
        """Ask the database once, here and now, and from then on in the background."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Stop. A complaint stays until it expires: the successor of an unwell process has the same problem."""
        self._stop.set()
        _Process.lost.set()  # it wakes up
        self._thread.join(timeout=ASK_SECONDS)

    def complaint(self) -> Complaint | None:
        """Return what is wrong; None while the process is well. Without any answer so far it is not well."""
        now = time.monotonic()
        silent = now - (self._answered_at or self._started_at)
        if self._answered_at is None or silent > max(MIN_SILENT_SECONDS, settings.SHARD_LEASE_SECONDS / 2):
            return Complaint(self._name, self._host, DATABASE, int(silent))
        if self._sends and _Process.clock_refused_at is not None:
            return Complaint(self._name, self._host, CLOCK, int(now - _Process.clock_refused_at))
        still = now - min(list(_threads.values()), default=now)
        if still > max(MIN_STILL_SECONDS, settings.LEASE_SECONDS):
            return Complaint(self._name, self._host, STANDSTILL, int(still))
        return None

    @property
    def is_well(self) -> bool:
        return self.complaint() is None

    @property
    def takes_jobs(self) -> bool:
        """Whether the process should take jobs now: it is well, and has not just lost the database."""
        return _Process.lost_at is None and self.is_well

    def _watch(self) -> None:
        while not self._stop.is_set():
            is_lost = _Process.lost_at is not None
            _Process.lost.wait(LOST_SECONDS if is_lost else settings.SHARD_LEASE_SECONDS / 6)
            _Process.lost.clear()
            if not self._stop.is_set():
                self._look()
                connection.close()  # this thread's connection, if it has read the clock

    def _look(self) -> None:
        asked_at = time.monotonic()
        try:
            self._ask()
        except DatabaseError as error:
            log.debug("the database does not answer: %s", error)
        else:
            self._answered_at = time.monotonic()
            if _Process.lost_at is not None and _Process.lost_at <= asked_at:
                _Process.lost_at = None
        if self._sends:
            _quietly(_look_at_clock)
        found = self.complaint()
        if found is not None:
            _quietly(lambda: self._say(found))
        elif self._said:
            _quietly(self._unsay)

    def _say(self, found: Complaint) -> None:
        if found.what != self._said:
            log.error("%s: %s (for %s s); it gives up its leases", self._name, _WORDS[found.what], found.seconds)
        self._said = found.what
        pipeline = shared_redis.connection().pipeline(transaction=False)
        pipeline.sadd(NAMES_KEY, self._key)
        pipeline.set(TEXT_KEY.format(name=self._key), json.dumps(asdict(found)), ex=SAID_SECONDS)
        pipeline.execute()

    def _unsay(self) -> None:
        log.warning("%s: recovered", self._name)
        self._said = ""
        pipeline = shared_redis.connection().pipeline(transaction=False)
        pipeline.srem(NAMES_KEY, self._key)
        pipeline.delete(TEXT_KEY.format(name=self._key))
        pipeline.execute()

    @property
    def _key(self) -> str:
        return f"{self._host}:{self._name}"


@contextmanager
def watched(name: str, *, sends: bool = False) -> Iterator[Pulse]:
    """Run a pulse while the body runs."""
    pulse = Pulse(name, sends=sends)
    pulse.start()
    try:
        yield pulse
    finally:
        pulse.stop()


def complaints() -> list[Complaint]:
    """Return the complaints of all machines' processes of the last minute. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    names = queues.unless_strange(lambda: sorted(client.smembers(NAMES_KEY))[:MAX_COMPLAINTS], None)
    if names is None:
        client.delete(NAMES_KEY)  # so that there is a place for the next
    if not names:
        return []
    prefix = TEXT_KEY.format(name="").encode()
    found = [_read(text) for text in client.mget([prefix + name for name in names])]
    # Recovered, gone, or not the platform's.
    if gone := [name for name, complaint in zip(names, found, strict=True) if complaint is None]:
        client.srem(NAMES_KEY, *gone)
    return [complaint for complaint in found if complaint is not None]


def _read(text: bytes | None) -> Complaint | None:
    """Read a complaint; None for a foreign value, since complaints are shown on pages."""
    try:
        found = Complaint(**json.loads((text or b"null")[:MAX_SAID_BYTES]))
    except (ValueError, TypeError, RecursionError):
        return None
    are_names = all(isinstance(one, str) and one.isprintable() for one in (found.process, found.host))
    is_known = isinstance(found.what, str) and found.what in _WORDS
    return found if are_names and is_known and type(found.seconds) is int and 0 <= found.seconds < 10**9 else None
