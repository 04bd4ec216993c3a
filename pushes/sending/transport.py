"""Calls in flight: each thread's connections to the providers, and the answers as they come in."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import TypeVar

from django.conf import settings

from pushes.providers import hosts
from pushes.providers.base import HttpRequest, Provider, TransportFailure
from pushes.providers.http import HttpWindow
from pushes.values import Outcome

T = TypeVar("T", bound=Hashable)


COLLECT_SECONDS = 0.25


class _Connections(threading.local):
    """Each sending thread's own connections. They outlive the job, so that they are reused."""

    window: HttpWindow | None = None


_connections = _Connections()


def concurrency() -> int:
    """Return how many calls one thread may have in flight: its share of the process's SEND_CONCURRENCY."""
    return max(1, int(settings.SEND_CONCURRENCY) // int(settings.SEND_THREADS))


def _window() -> HttpWindow:
    if _connections.window is None:
        _connections.window = HttpWindow(concurrency(), settings.CALL_TIMEOUT_SECONDS, guard=hosts.guard)
    return _connections.window


def hang_up() -> None:
    """Cut this thread's calls and close its connections; the next call opens new ones."""
    window, _connections.window = _connections.window, None
    if window is not None:
        window.close()


def outcomes_of(
    sender: Provider, requests: dict[T, HttpRequest], leaves: Callable[[T], None] = lambda _: None
) -> Generator[tuple[T, Outcome], None, None]:
    """Run the requests, as many at once as the window holds, and yield each outcome as it comes. The caller must
    close the generator.

    `leaves` is called with each request before it is handed to the window: nothing of the others has left.
    """
    window = _window()
    waiting = deque(requests.items())
    try:
        while waiting or window.in_flight:
            while waiting and window.free:
                number, request = waiting.popleft()
                leaves(number)
                try:
                    window.add(number, request)
                except ValueError as error:  # not a valid address
                    yield number, sender.read(TransportFailure(False, str(error)))
            for tag, answer in window.collect(COLLECT_SECONDS):
                yield tag, sender.read(answer)
    finally:
        if window.in_flight:
            # Left by an error: the next job must not take these calls' answers for its own.
            hang_up()
