"""Whether this process can do its work: its database answers, and its threads move. A thread of its own looks.

What others would take over from a process that is gone (its shards, a batch of the intake's) is kept by leases that
a thread renews. So that a process which merely lives does not keep them, they are renewed only while it is well; and
one that is not says so in Redis, where the console and /metrics find it.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from redis import RedisError

from pushes import queues

log = logging.getLogger(__name__)

#: The names of the processes that are not well, and what each of them says, which runs out by itself.
NAMES_KEY, TEXT_KEY = "higo:unwell", "higo:unwell:{name}"
SAID_SECONDS = 60
ASK_SECONDS = 5
DATABASE, STANDSTILL = "database", "standstill"
#: RQ waits for a job for 10 s, and looks after its registries: a loop that is still for no longer may be well.
LEAST_STILL_SECONDS = 30.0
_threads: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class Complaint:
    """`what` is DATABASE (it does not answer) or STANDSTILL (a thread does not move); `seconds`: for how long."""

    process: str
    host: str
    what: str
    seconds: int


def moved() -> None:
    """The calling thread says that it moves. It is missed when it does not say so again in time, until `rested`."""
    _threads[threading.get_ident()] = time.monotonic()


def rested() -> None:
    """The calling thread has nothing to do: it need not move."""
    _threads.pop(threading.get_ident(), None)


class Pulse:
    """Of the process `name`. The database may be silent for a shard's lease, threads may be still for a claim's."""

    def __init__(self, name: str, ask: Callable[[], None] | None = None) -> None:
        self._name, self._host = name, socket.gethostname()
        self._ask = ask or (lambda: ask_database(seconds=ASK_SECONDS))
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
        self._stop.set()
        self._thread.join(timeout=ASK_SECONDS)
        if self._said:
            self._unsay()

    def complaint(self) -> Complaint | None:
        """What is wrong; None while the process is well. One that has never had an answer is not."""
        now = time.monotonic()
        silent = now - (self._answered_at or self._started_at)
        if self._answered_at is None or silent > settings.SHARD_LEASE_SECONDS:
            return Complaint(self._name, self._host, DATABASE, int(silent))
        still = now - min(list(_threads.values()), default=now)
        if still > max(LEAST_STILL_SECONDS, settings.LEASE_SECONDS):
            return Complaint(self._name, self._host, STANDSTILL, int(still))
        return None

    @property
    def is_well(self) -> bool:
        return self.complaint() is None

    def _watch(self) -> None:
        while not self._stop.wait(settings.SHARD_LEASE_SECONDS / 6):
            self._look()

    def _look(self) -> None:
        try:
            self._ask()
        except DatabaseError as error:
            log.debug("the database does not answer: %s", error)
        else:
            self._answered_at = time.monotonic()
        found = self.complaint()
        try:
            if found is not None:
                self._say(found)
            elif self._said:
                self._unsay()
        except RedisError as error:
            log.debug("nobody could be told how this process is: %s", error)

    def _say(self, found: Complaint) -> None:
        if found.what != self._said:
            what = "the database does not answer" if found.what == DATABASE else "a thread does not move"
            log.error("%s: %s (for %s s): what this process holds is given up", self._name, what, found.seconds)
        self._said = found.what
        pipeline = queues.connection().pipeline(transaction=False)
        pipeline.sadd(NAMES_KEY, self._key)
        pipeline.set(TEXT_KEY.format(name=self._key), json.dumps(asdict(found)), ex=SAID_SECONDS)
        pipeline.execute()

    def _unsay(self) -> None:
        log.warning("%s: well again", self._name)
        self._said = ""
        pipeline = queues.connection().pipeline(transaction=False)
        pipeline.srem(NAMES_KEY, self._key)
        pipeline.delete(TEXT_KEY.format(name=self._key))
        pipeline.execute()

    @property
    def _key(self) -> str:
        return f"{self._host}:{os.getpid()}"


@contextmanager
def watched(name: str) -> Iterator[Pulse]:
    """A pulse that is looked at while the body runs."""
    pulse = Pulse(name)
    pulse.start()
    try:
        yield pulse
    finally:
        pulse.stop()


def complaints() -> list[Complaint]:
    """What processes of all machines have said within the last minute. Raises redis.RedisError."""
    client = queues.connection()
    found = []
    for name in sorted(client.smembers(NAMES_KEY)):  # type: ignore[union-attr]
        text = client.get(TEXT_KEY.format(name=name.decode()))
        if text is None:  # well again without a word, or gone
            client.srem(NAMES_KEY, name)
        else:
            found.append(Complaint(**json.loads(text)))  # type: ignore[arg-type]
    return found


def ask_database(alias: str = DEFAULT_DB_ALIAS, *, seconds: int = ASK_SECONDS) -> None:
    """Raises django.db.Error when the database does not answer over a connection of its own: connecting anew is the
    point. Each of the two may take `seconds`."""
    connection: BaseDatabaseWrapper = connections[alias].copy()
    if connection.vendor == "mysql":
        bounds = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
        connection.settings_dict["OPTIONS"].update(bounds)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    finally:
        connection.close()
