"""Drain the producers' raw list: parse each message, store the batch, and only then forget it.

A batch is stored in one transaction, under identities that depend only on its name, so that storing it again after a
crash does nothing. An unusable message becomes a dead letter in the same transaction, and never stops the others. See
docs/intake.md for the fields and the reasons.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction
from redis import Redis, RedisError

from pushes import submit
from pushes.inbound import orders, payload
from pushes.inbound.raw_list import Batch, RawList
from pushes.ledger import dead_letter_store
from pushes.ledger.dead_letter_store import Letter
from pushes.ledger.same_push import Conflict
from pushes.names import CONFLICT, INTAKE_SOURCE, Kind
from pushes.storage import clocks, conflicts, shared_redis
from pushes.values import PushMessage
from pushes.workers import job_check, pulse

log = logging.getLogger(__name__)

SOURCE = INTAKE_SOURCE
WAIT_SECONDS = 1
RECOVERY_SECONDS = 5.0
BACKLOG_SECONDS = 0.5
REPORT_SECONDS = 1.0
#: More than one statement may take, by default: half a minute.
BEATS_WITHOUT_WORK = 12
MIN_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.05, 5.0
PROGRAM = "the program"


@dataclass(slots=True)
class Counts:
    """The results of the messages received so far."""

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Counts") -> None:
        self.received += other.received
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.refused.update(other.refused)

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.refused.items()))
        return (
            f"{self.received} received, {self.accepted} accepted, {self.duplicates} duplicates, "
            f"{self.refused.total()} dead letters{f' ({reasons})' if reasons else ''}"
        )


def connect() -> Redis:
    """Return a client whose commands may take as long as `RawList.wait` blocks."""
    return shared_redis.connect(shared_redis.url(), socket_timeout=WAIT_SECONDS + 5)


@conflicts.repeated
def store(batch: Batch) -> Counts:
    """Store a batch's pushes and dead letters in one transaction; storing it twice does nothing more.

    Raises DatabaseError when the database accepts nothing now.
    """
    messages, letters = _read(batch)
    with transaction.atomic():
        done = submit.submit(list(messages.values()), tells_conflicts=True)
        letters += _refused(batch, messages, done.results)
        dead_letter_store.keep(letters)
    return Counts(len(batch.raws), done.accepted, done.duplicates, Counter(letter.reason for letter in letters))


def _read(batch: Batch) -> tuple[dict[str, PushMessage], list[Letter]]:
    """Return the pushes by position, and the dead letters."""
    messages: dict[str, PushMessage] = {}
    letters: list[Letter] = []
    now = clocks.now()
    for index, raw in enumerate(batch.raws):
        position = f"{batch.batch_id}:{index}"
        try:
            messages[position] = orders.read(payload.parse(raw), source=SOURCE, identity=position, now=now)
        except (payload.PayloadError, orders.OrderError) as error:
            letters.append(Letter(SOURCE, position, raw, error.reason, error.detail))
    return messages, letters


def _refused(batch: Batch, messages: Mapping[str, PushMessage], results: Iterable[submit.Result]) -> Iterator[Letter]:
    """Return the dead letters of messages that could be read but not stored."""
    for (position, message), result in zip(messages.items(), results, strict=True):
        raw = batch.raws[int(position.rpartition(":")[2])]
        if isinstance(result, submit.Refused):
            yield Letter(SOURCE, position, raw, result.code, result.note)
        elif isinstance(result, Conflict):
            yield Letter(SOURCE, position, raw, CONFLICT, result.note(f"msg_id {message.message_id!r}"))


class Intake:
    """The intake's loop. `run` runs until `stop`; during an outage of Redis or the database it waits, and logs it once.
    An intake holds at most one batch, which stays in Redis until it is stored. An intake that cannot store its batch
    for a while, because it hangs or cannot reach the database, leaves it to the others. Storing it twice does no
    harm."""

    def __init__(
        self,
        raw_list: RawList,
        *,
        batch_size: int,
        beat_seconds: float = 2.5,
        recovery_seconds: float = RECOVERY_SECONDS,
    ) -> None:
        self.counts = Counts()
        self._raw_list = raw_list
        self._batch_size = batch_size
        self._beat_seconds = beat_seconds
        self._recovery_seconds = recovery_seconds
        self._worked_at = time.monotonic()
        self._stopping = threading.Event()
        self._batch: Batch | None = None
        self._is_stored = False
        self._next_recovery = 0.0
        self._trouble = ""
        self._delay = MIN_DELAY_SECONDS
        self._is_backlogged = False
        self._unreported = Counts()
        self._reported_at = 0.0

    def stop(self) -> None:
        """Finish the current batch and return from `run`. Safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        with self._alive():
            while not self._stopping.is_set():
                self._guarded(self._step)
            self._report(at_once=True)

    def drain(self) -> Counts:
        """Store everything that is waiting, dead intakes' batches included, and return the counts.

        Raises RedisError and DatabaseError; the rest is then still in Redis.
        """
        with self._alive():
            self._recover()
            while not self._stopping.is_set() and (batch := self._raw_list.take(self._batch_size)):
                self._process(batch)
        return self.counts

    def _step(self) -> None:
        pulse.moved()
        if self._batch:
            self._process(self._batch)
            return
        self._recover()
        if self._must_wait():
            self._stopping.wait(BACKLOG_SECONDS)
            return
        batch = self._raw_list.take(self._batch_size)
        if batch:
            self._process(batch)
        elif not self._raw_list.wait(WAIT_SECONDS):
            self._report()
            # A connection may have been closed by the server during a long silence.
            close_old_connections()

    def _process(self, batch: Batch) -> None:
        """Store the batch, then forget it. After an error, a second call continues where it stopped."""
        if self._batch is not batch:
            self._batch, self._is_stored = batch, False
        if not self._is_stored:
            counts = store(batch)
            self._is_stored = True
            self._worked_at = time.monotonic()
            self.counts.add(counts)
            self._unreported.add(counts)
        self._raw_list.finish(batch)
        self._batch = None
        self._report()

    def _recover(self) -> None:
        if time.monotonic() < self._next_recovery:
            return
        for batch in self._raw_list.orphans():
            log.warning("taking over batch %s of %s messages from a dead intake", batch.batch_id, len(batch.raws))
            self._process(batch)
        self._next_recovery = time.monotonic() + self._recovery_seconds

    def _must_wait(self) -> bool:
        is_backlogged = submit.is_backlogged(Kind.SYSTEM)
        if is_backlogged != self._is_backlogged:
            log.warning("the system lane is %s", "full: the intake waits" if is_backlogged else "free again")
        self._is_backlogged = is_backlogged
        return is_backlogged

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run one step. A new failure is logged, and each failure is followed by a growing pause."""
        try:
            step()
        except RedisError as error:
            self._worked_at = time.monotonic()
            if job_check.is_wrong_type(error):
                with suppress(RedisError):
                    self._raw_list.clear_keys()
            self._troubled("Redis", error)
        except DatabaseError as error:
            close_old_connections()
            self._troubled("the database", error)
        except Exception as error:
            # A bug: the batch waits in Redis until it is fixed.
            self._worked_at = time.monotonic()
            self._troubled(PROGRAM, error)
        else:
            if self._trouble:
                log.warning("%s is back: the intake goes on", self._trouble)
            self._trouble, self._delay = "", MIN_DELAY_SECONDS
            self._worked_at = time.monotonic()

    def _troubled(self, what: str, error: Exception) -> None:
        if what != self._trouble:
            trace = error if what == PROGRAM else None
            log.warning("%s cannot be used, trying again: %s: %s", what, type(error).__name__, error, exc_info=trace)
        self._trouble = what
        # After an outage the live intakes need time to renew their heartbeats.
        self._next_recovery = time.monotonic() + 2 * self._recovery_seconds
        self._stopping.wait(self._delay)
        self._delay = min(self._delay * 2, MAX_DELAY_SECONDS)

    def _report(self, *, at_once: bool = False) -> None:
        """Log the counts, at most one line per REPORT_SECONDS."""
        now = time.monotonic()
        if self._unreported.received and (at_once or now - self._reported_at >= REPORT_SECONDS):
            log.info("%s", self._unreported)
            self._unreported, self._reported_at = Counts(), now

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Renew the heartbeat in a separate thread, because storing a batch may take longer than a heartbeat lasts; but
        not for a loop that has made no progress, or not reached the database, for BEATS_WITHOUT_WORK."""
        ended = threading.Event()
        heart = threading.Thread(target=self._beat_until, args=(ended,), name="intake-heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join()
            try:
                self._raw_list.retire()
            except RedisError as error:
                log.warning("Redis is unavailable at shutdown; the heartbeat will expire: %s", error)

    def _beat_until(self, ended: threading.Event) -> None:
        while True:
            try:
                if time.monotonic() - self._worked_at <= BEATS_WITHOUT_WORK * self._beat_seconds:
                    self._raw_list.beat()
            except RedisError:
                log.debug("no heartbeat: the loop says why")
            if ended.wait(self._beat_seconds):
                return
