"""The threads in which jobs wait, so that the next one need not."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError
from pytest_django import Settings
from redis import Redis

from pushes import lanes
from pushes.workers import pulse, queues, threads
from pushes.workers.threads import OrPutBack, Stream, Threads, Work

LOOSE = Stream("system")
SHARD, OTHER_SHARD = Stream("group:1", is_ordered=True), Stream("group:2", is_ordered=True)


class Gate:
    """Work that waits until it is let through, and notes what it was given, by which thread."""

    def __init__(self) -> None:
        self.began, self.opened = threading.Event(), threading.Event()

    def __call__(self, _ids: list[int]) -> None:
        self.began.set()
        assert self.opened.wait(10)


class Notes:
    """Work that notes the batches that it was given, and the threads that did it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.threads: list[str] = []
        self.done = threading.Event()
        self._seconds = seconds

    def __call__(self, ids: list[int]) -> None:
        time.sleep(self._seconds)
        self.batches.append(ids)
        self.threads.append(threading.current_thread().name)
        self.done.set()

    @property
    def ids(self) -> list[int]:
        return [pk for batch in self.batches for pk in batch]


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def notes() -> Notes:
    return Notes()


def in_background(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_where_nothing_was_started_work_is_done_here_and_now(notes: Notes):
    threads.send(notes, [1], SHARD)
    threads.distribute(notes, [2], SHARD)
    assert notes.batches == [[1], [2]]
    assert notes.threads == [threading.current_thread().name] * 2


@pytest.fixture
def working_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `start` does to this process lasts as long as the test."""
    monkeypatch.setattr(threads._Process, "workshop", None)


@pytest.mark.usefixtures("working_process")
def test_a_worker_process_sends_and_distributes_in_threads_of_their_own(notes: Notes):
    workshop = threads.start(1)
    threads.send(notes, [1], LOOSE)
    threads.distribute(notes, [1], SHARD)
    workshop.drain()
    assert sorted(notes.threads) == ["distribute-1", "send-1"]


@pytest.mark.usefixtures("working_process")
def test_distribution_is_done_one_batch_after_the_other_whatever_the_queue(notes: Notes):
    slow = Notes(seconds=0.05)
    workshop = threads.start(3)
    threads.distribute(slow, [1], SHARD)
    threads.distribute(lambda ids: notes(slow.ids + ids), [2], OTHER_SHARD)
    workshop.drain()
    assert notes.ids == [1, 2]


@pytest.mark.usefixtures("working_process")
def test_draining_ends_distribution_before_sending(notes: Notes):
    """What distribution hands over for sending at the very end is still sent."""
    workshop = threads.start(1)

    def distribute(ids: list[int]) -> None:
        time.sleep(0.05)
        threads.send(notes, ids, LOOSE)

    threads.distribute(distribute, [7], SHARD)
    workshop.drain()
    assert notes.batches == [[7]]


@pytest.mark.usefixtures("working_process")
def test_a_burst_distributes_here_and_now(notes: Notes):
    workshop = threads.start(1, distributes=False)
    threads.distribute(notes, [1], SHARD)
    workshop.drain()
    assert notes.threads == [threading.current_thread().name]


def test_draining_waits_for_everything_that_was_handed_over():
    notes, pool = Notes(seconds=0.02), Threads(2)
    for number in range(6):
        pool.run(notes, [number], LOOSE)
    pool.drain()
    assert sorted(notes.ids) == list(range(6))


def test_an_ordered_stream_is_done_in_its_order_by_one_thread_at_a_time(settings: Settings):
    settings.JOB_SIZE = 1
    most, now, lock = [0], [0], threading.Lock()
    notes, pool = Notes(), Threads(4)

    def work(ids: list[int]) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02 if ids[0] % 2 else 0.0)
        notes(ids)
        with lock:
            now[0] -= 1

    for number in range(10):
        pool.run(work, [number], SHARD)
    pool.drain()
    assert notes.batches == [[number] for number in range(10)]
    assert most == [1]


def test_one_ordered_stream_does_not_wait_for_another(gate: Gate, notes: Notes):
    pool = Threads(2)
    pool.run(gate, [1], SHARD)
    pool.run(gate, [2], SHARD)
    pool.run(notes, [3], OTHER_SHARD)
    assert notes.done.wait(5)
    gate.opened.set()
    pool.drain()


def test_loose_work_goes_to_whichever_thread_is_free(gate: Gate, notes: Notes):
    pool = Threads(2)
    pool.run(gate, [1], LOOSE)
    pool.run(notes, [2], LOOSE)
    assert notes.done.wait(5)
    gate.opened.set()
    pool.drain()


@pytest.mark.parametrize("stream", [LOOSE, SHARD])
def test_what_waits_in_one_stream_is_done_as_one_batch(gate: Gate, notes: Notes, stream: Stream):
    pool = Threads(1)
    pool.run(gate, [0], Stream("another"))
    assert gate.began.wait(5)
    for number in range(1, 5):
        pool.run(notes, [number], stream)
    gate.opened.set()
    pool.drain()
    assert notes.batches == [[1, 2, 3, 4]]


def test_what_waits_in_two_streams_is_not_mixed_and_the_older_goes_first(gate: Gate, notes: Notes):
    pool = Threads(1)
    pool.run(gate, [0], LOOSE)
    assert gate.began.wait(5)
    for number in range(1, 5):
        pool.run(notes, [number], SHARD if number % 2 else OTHER_SHARD)
    gate.opened.set()
    pool.drain()
    assert notes.batches == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("stream", "waiting"),
    [(LOOSE, 4), (SHARD, 2)],
    ids=["as many loose batches as threads", "one batch of an ordered stream"],
)
def test_what_waits_is_bounded(settings: Settings, gate: Gate, stream: Stream, waiting: int):
    """Two rows to a batch, two threads busy with something else: whoever brings more has to wait outside."""
    settings.JOB_SIZE = 2
    pool, handed_over = Threads(2), list[int]()
    for number in range(2):
        pool.run(gate, [number], Stream(f"busy:{number}", is_ordered=True))

    def hand_over() -> None:
        for number in range(waiting + 1):
            pool.run(gate, [number], stream)
            handed_over.append(number)

    giver = in_background(hand_over)
    deadline = time.monotonic() + 10
    while len(handed_over) < waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(handed_over) == waiting
    gate.opened.set()
    giver.join(timeout=10)
    assert len(handed_over) == waiting + 1
    pool.drain()


def test_a_batch_larger_than_the_job_size_is_done_as_it_came(settings: Settings, gate: Gate, notes: Notes):
    settings.JOB_SIZE = 2
    pool = Threads(1)
    pool.run(gate, [0], Stream("another"))
    assert gate.began.wait(5)
    pool.run(notes, [1, 2, 3], SHARD)
    gate.opened.set()
    pool.drain()
    assert notes.batches == [[1, 2, 3]]


@pytest.mark.parametrize("stream", [LOOSE, SHARD])
def test_work_that_fails_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, settings: Settings, notes: Notes, stream: Stream
):
    settings.JOB_SIZE = 1

    def fail(_ids: list[int]) -> None:
        raise ZeroDivisionError

    pool = Threads(1)
    works: list[Work] = [fail, notes]
    for number, work in enumerate(works):
        pool.run(work, [number], stream)
    pool.drain()
    assert notes.batches == [[1]]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("number", "is_put_back"), [(2013, True), (1047, True), (2002, True), (1205, False)])
def test_a_job_whose_database_is_lost_is_put_back(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, number: int, is_put_back: bool
):
    monkeypatch.setattr(pulse._Process, "lost_at", None)
    name = lanes.send_queue(lanes.SYSTEM)

    def lose(_ids: list[int]) -> None:
        raise OperationalError(number, "said by the server")

    with pytest.raises(OperationalError):
        OrPutBack(lose, name, queues.SEND_JOB, 7)([1, 2])
    waiting = queues.queue(name).get_jobs()
    assert [(job.args, job.meta["app_key_id"]) for job in waiting] == ([([[1, 2]], 7)] if is_put_back else [])
    assert (pulse._Process.lost_at is not None) is is_put_back
