"""Processes as greenlets that take turns. The seed decides everything: who goes on, how long things take, what fails.

A process gives way only at a seam: a database statement outside of a transaction, a Redis command, a provider call,
a rest. Time passes only there, too. A process that has died stands still at its seam and never has an effect again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any, NamedTuple

from greenlet import getcurrent, greenlet

START = datetime(2031, 1, 1, 12, tzinfo=timezone.utc)
MONOTONIC_START = 1_000.0
#: No schedule needs as many turns; more are an endless loop.
MAX_TURNS = 20_000


class Died(BaseException):
    """Raised in a process that is dead, at its seam and at each further one: so its handlers have no effect either."""


class Line(NamedTuple):
    """A line of the trace: when, in simulated seconds, who, and what."""

    at: float
    who: str
    what: str


@dataclass(eq=False, slots=True)
class Process:
    """One process of the platform. `ahead` is by how many seconds its machine's clock is wrong; `own` holds the values
    of module attributes that every process has for itself. Its statements take up to `lag` seconds more."""

    name: str
    own: list[Any]
    ahead: float = 0.0
    frozen_until: float = 0.0
    is_dead: bool = False
    lag: float = 0.0


@dataclass(eq=False, slots=True)
class Task:
    """A thread of a process. `is_idle`: it rests, with nothing begun."""

    process: Process
    number: int
    wake_at: float
    is_idle: bool = False
    is_done: bool = False
    run: Any = field(default=None, repr=False)

    @property
    def due_at(self) -> float:
        return max(self.wake_at, self.process.frozen_until)


#: A module or class, and the name of its attribute that each process has for itself, and how it begins.
Local = tuple[Any, str, Callable[[], Any]]


class Scheduler:
    """Runs tasks one at a time, the next one being that whose time comes first."""

    def __init__(self, seed: int, locals_: tuple[Local, ...]) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.database_ahead = 0.0
        self.tasks: list[Task] = []
        self.trace: list[Line] = []
        self.current: Task | None = None
        self.is_over: Callable[[], bool] = lambda: False
        self._locals = locals_
        self._loaded: Process | None = None
        self._hub = getcurrent()
        self._may_be_over = False
        self._until, self._turns = 0.0, 0

    # --- clocks

    def true_time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def database_time(self) -> datetime:
        return START + timedelta(seconds=self.now + self.database_ahead)

    def machine_time(self) -> datetime:
        """What the clock of the running process's machine shows."""
        ahead = self.current.process.ahead if self.current else 0.0
        return START + timedelta(seconds=self.now + ahead)

    def monotonic(self) -> float:
        return MONOTONIC_START + self.now

    # --- processes

    def process(self, name: str) -> Process:
        return Process(name, [begin() for *_, begin in self._locals])

    def spawn(self, process: Process, work: Callable[[], object], *, after: float = 0.0) -> Task:
        task = Task(process, len(self.tasks), self.now + after)
        task.run = greenlet(lambda: self._live(task, work), parent=self._hub)
        self.tasks.append(task)
        return task

    def _live(self, task: Task, work: Callable[[], object]) -> None:
        try:
            if not task.process.is_dead:
                work()
        except Died:
            pass
        finally:
            task.is_done = True

    def kill(self, process: Process) -> None:
        """Let the running process die here and now. Raises Died."""
        process.is_dead = True
        self.note("died")
        raise Died

    # --- turns

    def run(self, until: float) -> bool:
        """Run until everything is over, or for so many simulated seconds. Returns whether everything is over."""
        self._until = until
        while task := self._next():
            self.now = max(self.now, task.due_at)
            self._load(task.process)
            self.current = task
            task.run.switch()
            self.current = None
            if self._may_be_over and self.is_over():
                return True
            self._may_be_over = False
        return False

    def _next(self) -> Task | None:
        """Return the task whose turn comes next; None if there is to be none."""
        self._turns += 1
        found, first = None, self._until
        for task in self.tasks:
            if not task.is_done and (due_at := task.due_at) <= first and (found is None or due_at < first):
                found, first = task, due_at
        return found if self._turns <= MAX_TURNS else None

    def pause(self, seconds: float) -> None:
        """Let others go on, and this task after so many seconds. Raises Died in a dead process."""
        task = self.current
        assert task is not None
        if not task.process.is_dead:
            task.wake_at = self.now + seconds
            if task.is_idle or self._next() is not task:
                self._hub.switch()
            else:
                self.now = max(self.now, task.due_at)
        if task.process.is_dead:
            raise Died

    def rest(self, seconds: float) -> None:
        """Pause with nothing begun."""
        task = self.current
        assert task is not None
        self._may_be_over = task.is_idle = True
        self.pause(seconds)
        task.is_idle = False

    def end(self) -> None:
        """End all tasks, without any effect of theirs."""
        for task in self.tasks:
            task.process.is_dead = True
        for task in self.tasks:
            if not task.is_done and task.run:
                self._load(task.process)
                self.current = task
                task.run.throw(Died)
        self.current = None

    def _load(self, process: Process) -> None:
        """Put the process's own values in the place of those of the process that ran before."""
        if process is self._loaded:
            return
        if self._loaded is not None:
            self._loaded.own = [getattr(owner, name) for owner, name, _ in self._locals]
        for (owner, name, _), value in zip(self._locals, process.own, strict=True):
            setattr(owner, name, value)
        self._loaded = process

    # --- the trace

    def note(self, what: str) -> None:
        self.trace.append(Line(self.now, self.current.process.name if self.current else "world", what))

    def digest(self) -> str:
        """A hash of all that has happened: equal for equal runs."""
        return blake2b("\n".join(map(str, self.lines())).encode(), digest_size=16).hexdigest()

    def lines(self) -> list[str]:
        return [f"{at:12.6f}  {who:12}  {what}" for at, who, what in self.trace]
