"""Threads of a worker process in which jobs wait, so that the next one need not.

RQ runs one job at a time in a process. A send job spends most of its time waiting for answers, and a distribution
a third of its time waiting for the database, so a worker process hands the one to one of a few threads, the other to
a thread of its own, and takes the next job. What is handed over is bounded: when every thread is busy and has one
job waiting, the worker waits too. A crash loses nothing that a crash of the job itself would not: the rows in the
database say what was under way.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from django import db

log = logging.getLogger(__name__)

Work = Callable[[], Any]


class Threads:
    """`count` threads with a place for one waiting piece of work each."""

    def __init__(self, count: int, name: str = "send") -> None:
        self._room = threading.Condition()  # told whenever a place becomes free
        self._queues: list[queue.Queue[Work | None]] = [queue.Queue(maxsize=1) for _ in range(count)]
        self._turns: dict[str, int] = {}
        self._threads = [
            threading.Thread(target=_work_off, args=(waiting, self._room), name=f"{name}-{number}", daemon=True)
            for number, waiting in enumerate(self._queues, start=1)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, work: Work, *, in_order_with: str = "") -> None:
        """Have `work` done; waits while there is no place for it. Work with the same `in_order_with` is done
        by one thread, one after the other, and the names are dealt out to the threads in turn; other work is done
        by whichever thread has a place first."""
        if in_order_with:
            number = self._turns.setdefault(in_order_with, len(self._turns) % len(self._queues))
            self._queues[number].put(work)
            return
        with self._room:
            while not self._placed(work):
                self._room.wait()

    def _placed(self, work: Work) -> bool:
        for waiting in sorted(self._queues, key=lambda one: one.unfinished_tasks):
            try:
                waiting.put_nowait(work)
            except queue.Full:
                continue
            return True
        return False

    def drain(self) -> None:
        """Wait until everything handed over is done, and end the threads."""
        for waiting in self._queues:
            waiting.put(None)
        for thread in self._threads:
            thread.join()


def _work_off(waiting: "queue.Queue[Work | None]", room: threading.Condition) -> None:
    while True:
        work = waiting.get()
        with room:
            room.notify_all()
        if work is None:
            db.connections.close_all()
            return
        db.close_old_connections()
        try:
            work()
        except Exception:
            # Rows that were not begun were given back; the sweeper finds the rest, pending or by its lease.
            log.exception("%s: a job ended early", threading.current_thread().name)
        finally:
            waiting.task_done()


class Workshop:
    """The threads of one worker process: `send_threads` for sending, and one for distributing, because pushes of a
    conversation are distributed in their order. With `distributes=False` distribution is done by whoever asks."""

    def __init__(self, send_threads: int, *, distributes: bool = True) -> None:
        self.sending = Threads(send_threads)
        self.distributing = Threads(1, "distribute") if distributes else None

    def drain(self) -> None:
        """Wait until everything handed over is done, and end the threads."""
        if self.distributing is not None:
            self.distributing.drain()
        self.sending.drain()


class _Process:
    """What this process has started."""

    workshop: Workshop | None = None


def start(send_threads: int, *, distributes: bool = True) -> Workshop:
    """Make this process work in the background. Call it after a fork, not before."""
    _Process.workshop = Workshop(send_threads, distributes=distributes)
    return _Process.workshop


def send(work: Work, *, in_order_with: str = "") -> None:
    """Do `work` in the background where that was started, and here and now everywhere else."""
    if _Process.workshop is None:
        work()
    else:
        _Process.workshop.sending.run(work, in_order_with=in_order_with)


def distribute(work: Work) -> None:
    """The same for distribution: one piece of work after the other."""
    if _Process.workshop is None or _Process.workshop.distributing is None:
        work()
    else:
        _Process.workshop.distributing.run(work)
