"""A few calls at once, for what happens once in a while, such as the check of a key."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from pushes.providers.base import Answer, HttpRequest, TransportFailure
from pushes.providers.http import CONNECT_SECONDS, HttpWindow
from pushes.providers.http_slot import Guard

#: libcurl ends a call at its time-out; this much later we do.
_LATE_SECONDS = 0.25


def calls(requests: Sequence[HttpRequest], timeout_seconds: float, guard: Guard | None = None) -> list[Answer]:
    """The answers to a few requests that are made at once, in their order.

    `timeout_seconds` bounds all of it: name look-up, handshakes, waiting for every byte of head and body.
    """
    window = HttpWindow(max(1, len(requests)), timeout_seconds, min(CONNECT_SECONDS, timeout_seconds), guard)
    deadline = time.monotonic() + timeout_seconds + _LATE_SECONDS
    try:
        found = _added(window, requests)
        while window.in_flight and time.monotonic() < deadline:
            found.update(window.collect(deadline - time.monotonic()))
    finally:
        # Closing waits for a name look-up that hangs, for as long as the system's resolver likes.
        threading.Thread(target=window.close, name="close-window", daemon=True).start()
    silent = TransportFailure(True, "the call did not end in time")
    return [found.get(number, silent) for number in range(len(requests))]


def _added(window: HttpWindow, requests: Sequence[HttpRequest]) -> dict[Any, Answer]:
    """The answers to those requests that cannot be made at all."""
    refused: dict[Any, Answer] = {}
    for number, request in enumerate(requests):
        try:
            window.add(number, request)
        except ValueError as error:
            refused[number] = TransportFailure(False, str(error))
    return refused
