"""Calls on their way: the thread's connections to the providers, and answers as they come in."""

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
    """Each sending thread's own connections; they outlive the job, so that they stay alive."""

    window: HttpWindow | None = None


_connections = _Connections()


def concurrency() -> int:
    """Calls under way at once in one thread: its share of the process's SEND_CONCURRENCY."""
    return max(1, int(settings.SEND_CONCURRENCY) // int(settings.SEND_THREADS))


def _window() -> HttpWindow:
    if _connections.window is None:
        _connections.window = HttpWindow(concurrency(), settings.CALL_TIMEOUT_SECONDS, guard=hosts.guard)
    return _connections.window


def outcomes_of(
    sender: Provider, requests: dict[T, HttpRequest], leaves: Callable[[T], None] = lambda _: None
) -> Generator[tuple[T, Outcome], None, None]:
    """Run the requests, as many at once as the window holds, and read each answer as it comes. To be closed.

    `leaves` is told of each before it is handed to the window: of the others nothing has left.
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
                except ValueError as error:  # an address that is none
                    yield number, sender.read(TransportFailure(False, str(error)))
            for tag, answer in window.collect(COLLECT_SECONDS):
                yield tag, sender.read(answer)
    finally:
        if window.in_flight:
            # Left by an error: the next job must not take these calls' answers for those to its own.
            _connections.window = None
            window.close()
