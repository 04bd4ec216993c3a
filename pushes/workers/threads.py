"""Threads of a worker process that do the waiting of its jobs.

RQ runs one job at a time per process. A send job mostly waits for answers, and a distribution waits for the database
for a third of its time. So a worker process hands rows to send to a few threads, and rows to distribute to another
thread, and takes the next job. Rows of one stream (a queue, and whatever else keeps them together) that wait for a
thread become one batch: the busier the threads, the larger the batches. The waiting rows are bounded: when there is no
place for more, the worker waits too. A crash loses no more than a crash of the job itself: the database rows say what
was in progress.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django import db
from django.conf import settings

from pushes.storage import outages
from pushes.workers import pulse, queues

log = logging.getLogger(__name__)

PLACE_SECONDS = 1.0
Work = Callable[[list[int]], object]


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that may be processed together; with `is_ordered`, one batch after the other."""

    name: str
    is_ordered: bool = False


@dataclass(frozen=True, slots=True)
class OrPutBack:
    """`work` that is put back into its queue when the database is lost: a process on another node may do it at once.
    Until its own database answers, this process takes no job, so it does not take the same again and again."""

    work: Work
    queue_name: str
    job_path: str
    app_key_id: int | None = None

    def __call__(self, ids: list[int]) -> object:
        try:
            return self.work(ids)
        except db.Error as error:
            if self.queue_name and outages.is_lost(error):
                pulse.lost_database()
                queues.put_back(self.queue_name, self.job_path, ids, self.app_key_id)
            raise


@dataclass(frozen=True, slots=True)
class _Batch:
    stream: Stream
    work: Work
    ids: list[int]


class Threads:
    """`count` threads, and places for waiting batches: one for each ordered stream, and `count` for the others."""

    def __init__(self, count: int, name: str = "send") -> None:
        self._change = threading.Condition()  # told of every batch that comes, begins or is done
        self._waiting: deque[_Batch] = deque()
        self._under_way: list[Stream] = []
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._work_off, name=f"{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, work: Work, ids: Sequence[int], stream: Stream) -> None:
        """Queue `work` on `ids`, merged with waiting ids of the same stream if they fit into one batch of JOB_SIZE.
        Waits while there is no place for them."""
        batch = _Batch(stream, work, list(ids))
        with self._change:
            while not self._placed(batch):
                # A thread that waits for these threads makes progress as long as they do.
                self._change.wait(timeout=PLACE_SECONDS)
                pulse.moves_on()
            self._change.notify_all()

    def _placed(self, batch: _Batch) -> bool:
        alike = [one for one in self._waiting if one.stream == batch.stream]
        if alike and alike[-1].work == batch.work and len(alike[-1].ids) + len(batch.ids) <= settings.JOB_SIZE:
            alike[-1].ids.extend(batch.ids)
            return True
        is_full = alike if batch.stream.is_ordered else self._unordered() >= len(self._threads)
        if not is_full:
            self._waiting.append(batch)
        return not is_full

    def _unordered(self) -> int:
        return sum(not one.stream.is_ordered for one in self._waiting)

    def _next(self) -> _Batch | None:
        """Take the batch that has waited longest and may begin; None at the end of everything."""
        with self._change:
            while True:
                for batch in self._waiting:
                    if not (batch.stream.is_ordered and batch.stream in self._under_way):
                        self._waiting.remove(batch)
                        self._under_way.append(batch.stream)
                        self._change.notify_all()
                        return batch
                if self._is_closed and not self._waiting:
                    return None
                self._change.wait()

    def _work_off(self) -> None:
        while (batch := self._next()) is not None:
            pulse.moved()
            try:
                db.close_old_connections()
                batch.work(batch.ids)
            except Exception:
                # Rows that were not begun were given back; the sweeper finds the rest, pending or by its lease.
                log.exception("%s: a job failed", threading.current_thread().name)
            finally:
                pulse.rested()
                with self._change:
                    self._under_way.remove(batch.stream)
                    self._change.notify_all()
        db.connections.close_all()

    def drain(self) -> None:
        """Wait until everything handed over is done, and end the threads."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()


class Workshop:
    """The threads of one worker process: `send_threads` for sending, and one for distributing, because the pushes of a
    conversation are distributed in order. With `distributes=False` the caller distributes in its own thread."""

    is_ending = False

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
    """Start the background threads of this process. Call it after a fork, not before."""
    _Process.workshop = Workshop(send_threads, distributes=distributes)
    return _Process.workshop


def end() -> None:
    """The process was told to end: what it has begun is done to its end, and nothing more is begun. For a signal
    handler."""
    if _Process.workshop is not None:
        _Process.workshop.is_ending = True


def is_ending() -> bool:
    return _Process.workshop is not None and _Process.workshop.is_ending


def send(work: Work, delivery_ids: Sequence[int], stream: Stream) -> None:
    """Run `work` on these rows in the background if it was started, otherwise right here."""
    if _Process.workshop is None:
        work(list(delivery_ids))
    else:
        _Process.workshop.sending.run(work, delivery_ids, stream)


def distribute(work: Work, record_ids: Sequence[int], stream: Stream) -> None:
    """Do the same for distribution: one batch after the other."""
    if _Process.workshop is None or _Process.workshop.distributing is None:
        work(list(record_ids))
    else:
        _Process.workshop.distributing.run(work, record_ids, stream)
