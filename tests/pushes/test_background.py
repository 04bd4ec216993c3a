"""The threads in which jobs wait, so that the next one need not."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from pushes import background
from pushes.background import Threads


def note(done: list[int], number: int, seconds: float) -> None:
    time.sleep(seconds)
    done.append(number)


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2)
    yield made
    made.drain()


def test_where_nothing_was_started_work_is_done_here_and_now():
    done: list[str] = []
    background.send(lambda: done.append(threading.current_thread().name), in_order_with="x")
    background.distribute(lambda: done.append(threading.current_thread().name))
    assert done == [threading.current_thread().name] * 2


@pytest.fixture
def working_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `start` does to this process lasts as long as the test."""
    monkeypatch.setattr(background._Process, "workshop", None)


@pytest.mark.usefixtures("working_process")
def test_a_worker_process_sends_and_distributes_in_threads_of_their_own():
    done: list[str] = []
    threads = background.start(1)
    background.send(lambda: done.append(threading.current_thread().name))
    background.distribute(lambda: done.append(threading.current_thread().name))
    threads.drain()
    assert sorted(done) == ["distribute-1", "send-1"]


@pytest.mark.usefixtures("working_process")
def test_distribution_is_done_one_piece_after_the_other_in_order():
    done: list[int] = []
    threads = background.start(3)
    for number in range(10):
        background.distribute(partial(note, done, number, 0.02 if number % 2 else 0.0))
    threads.drain()
    assert done == list(range(10))


@pytest.mark.usefixtures("working_process")
def test_draining_ends_distribution_before_sending():
    """What distribution hands over for sending at the very end is still sent."""
    done: list[str] = []
    threads = background.start(1)

    def distribute() -> None:
        time.sleep(0.05)
        background.send(lambda: done.append("sent"))

    background.distribute(distribute)
    threads.drain()
    assert done == ["sent"]


@pytest.mark.usefixtures("working_process")
def test_a_burst_distributes_here_and_now():
    done: list[str] = []
    threads = background.start(1, distributes=False)
    background.distribute(lambda: done.append(threading.current_thread().name))
    threads.drain()
    assert done == [threading.current_thread().name]


def test_draining_waits_for_everything_that_was_handed_over():
    done: list[int] = []
    threads = Threads(2)
    for number in range(6):
        threads.run(partial(note, done, number, 0.02))
    threads.drain()
    assert sorted(done) == list(range(6))


def test_work_of_one_shard_is_done_one_after_the_other_in_its_order():
    done: list[int] = []
    threads = Threads(4)
    for number in range(10):
        threads.run(partial(note, done, number, 0.02 if number % 2 else 0.0), in_order_with="shard")
    threads.drain()
    assert done == list(range(10))


def test_names_are_dealt_out_so_that_one_does_not_wait_for_the_other(threads: Threads):
    blocked, free = threading.Event(), threading.Event()
    threads.run(lambda: blocked.wait(10), in_order_with="shard:1")
    threads.run(free.set, in_order_with="shard:2")
    assert free.wait(5)
    blocked.set()


def test_other_work_goes_to_whichever_thread_is_free(threads: Threads):
    blocked, free = threading.Event(), threading.Event()
    threads.run(lambda: blocked.wait(10))
    threads.run(free.set)
    assert free.wait(5)
    blocked.set()


def test_what_is_handed_over_is_bounded(threads: Threads):
    """Two threads with one piece of work each under way and one waiting: the fifth has to wait outside."""
    blocked, handed_over = threading.Event(), list[int]()

    def hand_over() -> None:
        for number in range(6):
            threads.run(lambda: blocked.wait(10))
            handed_over.append(number)

    giver = threading.Thread(target=hand_over)
    giver.start()
    deadline = time.monotonic() + 10
    while len(handed_over) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(handed_over) == 4
    blocked.set()
    giver.join(timeout=10)
    assert len(handed_over) == 6


@pytest.mark.parametrize("first_free", ["send-1", "send-2"])
def test_when_all_are_busy_the_first_to_be_free_takes_it(threads: Threads, first_free: str):
    go_on = {name: threading.Event() for name in ("send-1", "send-2")}

    def wait() -> None:
        go_on[threading.current_thread().name].wait(10)

    def hand_over() -> None:
        for _ in range(5):
            threads.run(wait)

    giver = threading.Thread(target=hand_over)
    giver.start()
    time.sleep(0.2)
    go_on[first_free].set()
    giver.join(timeout=5)
    assert not giver.is_alive()
    for event in go_on.values():
        event.set()


def test_work_that_fails_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture):
    done: list[str] = []
    threads = Threads(1)
    threads.run(lambda: 1 / 0)
    threads.run(lambda: done.append("next"))
    threads.drain()
    assert done == ["next"]
    assert "ZeroDivisionError" in caplog.text
