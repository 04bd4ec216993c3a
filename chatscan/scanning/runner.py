"""The loop around a scanner: doorbell and intervals, back-pressure, and recovery after outages."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from redis import RedisError

from chatscan.mongo.chats import ChatStore
from chatscan.mongo.connection import BELL_SECONDS, ChatStoreError
from chatscan.mongo.doorbell import Doorbell, DoorbellError
from chatscan.names import Mode
from chatscan.scanning import watermarks
from chatscan.scanning.scanner import Scanner
from chatscan.scanning.watermarks import PositionLostError
from pushes import submit
from pushes.storage import clocks
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

log = logging.getLogger(__name__)

#: Temporary errors: the scanner waits and retries.
PASSING = (ChatStoreError, DatabaseError, InterfaceError, RedisError, PositionLostError)
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
HEARTBEAT_SECONDS = 5.0
BACKLOG_PAUSE_SECONDS = 1.0
_RATE_SECONDS = 60.0
#: How far the writers' clocks and ours may differ when a message counts as new.
FRESH_SECONDS = 5.0
#: A replica set under load may report an insertion later than a read finds it.
DEAF_SECONDS = 3.0
MAX_ADVICE = 2_000


@dataclass(slots=True)
class Outage:
    """A service that the scanner needs is unavailable."""

    error_class: type[Exception]
    since: float
    tries: int = 0


class Ears:
    """Detects a change stream that is open but silent ("deaf"): messages are found that it reported neither before they
    were read, nor in the waits of at least DEAF_SECONDS after it. `now` is the monotonic clock's."""

    def __init__(self) -> None:
        self.is_deaf = False
        self._was_silent, self._missed, self._since = False, 0, 0.0

    def waited(self, heard: int, heard_before: int, now: float) -> int:
        """Call it after a wait, with the number of insertions that the stream reported, and that it had reported
        before. Returns how many messages it missed; 0 if it is trusted, or cannot be judged yet."""
        if heard > heard_before:
            self.is_deaf, self._was_silent, self._missed = False, False, 0
            return 0
        self._was_silent = True
        if not self._missed or now - self._since < DEAF_SECONDS:
            return 0
        self.is_deaf = True
        return self._missed

    def read(self, ages: Sequence[float], interval: float, now: float) -> None:
        """Call it after reading: messages that were made during a silent wait should have rung. (Messages of a rewind
        are older, and a message whose time had to come first is newer.)"""
        fresh = sum(-FRESH_SECONDS <= age <= interval + FRESH_SECONDS for age in ages) if self._was_silent else 0
        if fresh and not self._missed:
            self._since = now
        self._missed += fresh

    def reset(self) -> None:
        """Start afresh with another stream, or without one."""
        self._was_silent, self._missed = False, 0


class Runner:
    """Runs one scanner until `stop` is set. `interval` is the time between two polls, in seconds."""

    def __init__(
        self, scanner: Scanner, chats: ChatStore, stop: threading.Event, *, interval: float, has_doorbell: bool
    ) -> None:
        self._scanner, self._chats, self._stop = scanner, chats, stop
        self._kind = scanner.config.kind
        self._interval, self._has_doorbell = interval, has_doorbell
        self._bell: Doorbell | None = None
        self._bell_retry_at, self._bell_tries = 0.0, 0
        self._bell_error: Note | None = None
        self._rung: Any = None
        self._ears = Ears()
        self._scanned_at: datetime | None = None
        self._look_aside_at = self._heartbeat_at = 0.0
        self._must_look_back = False
        self._outage: Outage | None = None
        self._unsaid_error: dict[str, Any] = {}
        self._is_prepared = False
        self._advice: list[str] = []
        self._mode = Mode.STARTING
        self._recent: deque[tuple[float, int]] = deque()
        self._lag = 0.0
        self._odd = 0

    def run(self) -> None:
        """Run; return after `stop` is set and the current batch is finished."""
        self._started_at = clocks.now()
        try:
            while not self._stop.is_set():
                try:
                    self._turn()
                except PASSING as error:
                    self._back_off(error)
        except Exception as error:
            # A bug: after a restart the scanner must not look as if it had been stopped normally.
            self._note_error(notes.of_error(error))
            _quietly(partial(self._report, Mode.FAILING, notes.of_error(error), force=True))
            raise
        else:
            self._say_stopped()
        finally:
            self._close_bell()

    def once(self) -> int:
        """Read everything that is waiting, late and odd documents included, and return the number of pushes. Raises
        PASSING."""
        self._started_at = clocks.now()
        self._prepare()
        accepted = self._read_on()
        accepted += self._scanner.look_back(clocks.now())
        self._odd = self._scanner.look_aside(clocks.now())
        self._report(Mode.STOPPED, force=True)
        return accepted

    def _turn(self) -> None:
        if not self._is_prepared:
            self._prepare()
        self._open_bell()
        if submit.is_backlogged(self._kind):
            self._report(Mode.BACKLOGGED, Note(Sentence.BACKLOG))
            self._stop.wait(BACKLOG_PAUSE_SECONDS)
            return
        self._read_on()
        self._answer_ring()
        self._look_around()
        self._recovered()
        self._report(self._listening, self._bell_error)
        self._wait()

    @property
    def _listening(self) -> Mode:
        """Return how the scanner learns of new messages now. A deaf stream is trusted again once it reports one."""
        if self._ears.is_deaf:
            return Mode.DEAF
        return Mode.DOORBELL if self._bell else Mode.POLLING

    def _read_on(self) -> int:
        accepted = 0
        while not self._stop.is_set():
            step = self._scanner.forward(clocks.now())
            accepted += step.accepted
            self._lag = step.lag_seconds
            self._scanned_at = clocks.now()
            self._recent.append((time.monotonic(), step.read))
            self._ears.read(step.ages, self._interval, time.monotonic())
            if step.is_caught_up:
                break
            if submit.is_backlogged(self._kind):
                break
            self._report(self._listening, self._bell_error)
        return accepted

    def _look_around(self) -> None:
        now = time.monotonic()
        if self._must_look_back or now >= self._scanner.looked_back_at + self._interval:
            self._scanner.look_back(clocks.now())
            self._must_look_back = False
        if now >= self._look_aside_at:
            self._odd = self._scanner.look_aside(clocks.now())
            self._look_aside_at = now + settings.CHAT_ODD_SECONDS

    def _wait(self) -> None:
        """Wait until an unknown document rings, or the interval is over."""
        over_at = time.monotonic() + self._interval
        if self._bell is None:
            while (left := over_at - time.monotonic()) > 0 and not self._stop.wait(min(left, HEARTBEAT_SECONDS)):
                self._report(self._listening, self._bell_error)
            return
        heard_before = self._bell.heard
        try:
            rung = self._bell.wait(self._scanner.is_handled, lambda: self._is_over(over_at))
        except DoorbellError as error:
            self._no_bell(error)
            return
        missed = 0 if self._stop.is_set() else self._ears.waited(self._bell.heard, heard_before, time.monotonic())
        if missed:
            self._deaf(missed)
            return
        if not self._ears.is_deaf:
            self._bell_tries, self._bell_error = 0, None
        self._rung = rung

    def _is_over(self, over_at: float) -> bool:
        """Whether the wait is over. Called once a second while nothing rings, so heartbeats are sent here."""
        self._report(self._listening, self._bell_error)
        return self._stop.is_set() or time.monotonic() >= over_at

    def _deaf(self, missed: int) -> None:
        """Replace a deaf stream by another one."""
        error = DoorbellError(Note(Sentence.STREAM_MISSED, name=self._chats.name, n=missed))
        log.warning("%s: %s; polling until the change stream is back", self._kind, error)
        self._note_error(error.note)
        self._bell_error = error.note
        self._no_bell(error)

    def _answer_ring(self) -> None:
        """Look for a document that rang but is not beyond the position: it must be before it (or nowhere)."""
        if self._rung is not None and not self._scanner.is_handled(self._rung):
            self._must_look_back = True
        self._rung = None

    def _open_bell(self) -> None:
        if not self._has_doorbell or self._bell is not None or time.monotonic() < self._bell_retry_at:
            return
        try:
            self._bell = self._chats.open_doorbell(min(self._interval, BELL_SECONDS))
        except DoorbellError as error:
            self._no_bell(error)
            return
        if self._bell_error and not self._ears.is_deaf:
            log.info("%s: the change stream is back", self._kind)
            self._bell_error = None

    def _no_bell(self, error: DoorbellError) -> None:
        self._close_bell()
        self._ears.reset()
        # A failover is over soon; a standalone server stays standalone.
        pause = min(settings.CHAT_DOORBELL_RETRY_SECONDS, 2.0**self._bell_tries)
        self._bell_retry_at, self._bell_tries = time.monotonic() + pause, self._bell_tries + 1
        if not self._bell_error:
            log.warning("%s: no change stream; polling every %g s (%s)", self._kind, self._interval, error)
        self._bell_error = error.note

    def _close_bell(self) -> None:
        if self._bell is not None:
            self._bell.close()
        self._bell = None

    def _back_off(self, error: Exception) -> None:
        text = notes.of_error(error)
        if self._outage is None or type(error) is not self._outage.error_class:
            log.error("%s: %s; trying again until it works", self._kind, text)
            self._outage = Outage(type(error), self._outage.since if self._outage else time.monotonic())
        self._note_error(text)
        if isinstance(error, DatabaseError | InterfaceError):
            connections.close_all()
        self._is_prepared = False
        pause = BACKOFF_SECONDS[min(self._outage.tries, len(BACKOFF_SECONDS) - 1)]
        self._outage.tries += 1
        _quietly(lambda: self._report(Mode.FAILING, text, force=True))
        self._stop.wait(pause)

    def _note_error(self, note: Note) -> None:
        kept = notes.stored(note, most=watermarks.MAX_DETAIL)
        self._unsaid_error = {"last_error": kept, "last_error_at": clocks.now()}

    def _recovered(self) -> None:
        if self._mode == Mode.STARTING:
            how = "change stream" if self._bell else f"polling every {self._interval:g} s"
            log.info("%s: reading %s (%s)", self._kind, self._chats.name, how)
        if self._outage is not None:
            log.warning("%s: working again after %.0f s", self._kind, time.monotonic() - self._outage.since)
        self._outage = None

    def _prepare(self) -> None:
        advice = self._scanner.prepare(clocks.now())
        if advice and advice != self._advice:
            log.warning("%s: %s", self._kind, " ".join(advice))
        self._is_prepared, self._advice = True, advice

    def _say_stopped(self) -> None:
        _quietly(lambda: self._report(Mode.STOPPED, force=True))

    def _report(self, mode: Mode, detail: Note | None = None, *, force: bool = False) -> None:
        """Write the heartbeat: at once when the mode changes, otherwise every few seconds."""
        now = time.monotonic()
        if not force and mode == self._mode and now < self._heartbeat_at and not self._unsaid_error:
            return
        watermarks.report(
            self._kind,
            mode=mode,
            detail=detail,
            lag_seconds=round(self._lag, 3),
            per_second=self._rate(now),
            odd=self._odd,
            heartbeat_at=clocks.now(),
            started_at=self._started_at,
            interval_seconds=self._interval,
            advice=notes.stored(*self._advice, self._scanner.advice, most=MAX_ADVICE),
            **({"scanned_at": self._scanned_at} if self._scanned_at else {}),
            **self._unsaid_error,
        )
        self._unsaid_error, self._mode, self._heartbeat_at = {}, mode, now + HEARTBEAT_SECONDS

    def _rate(self, now: float) -> float:
        while self._recent and self._recent[0][0] < now - _RATE_SECONDS:
            self._recent.popleft()
        return round(sum(read for _, read in self._recent) / _RATE_SECONDS, 2)


def _quietly(write: Callable[[], None]) -> None:
    """Write the process's state, if the database is available now."""
    try:
        write()
    except (DatabaseError, InterfaceError):
        connections.close_all()
