"""The same work, or different work, in several threads at the same moment."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


def together(works: Sequence[Callable[[], T]]) -> list[T]:
    """What each of `works` returned, in their order. Each runs in a thread of its own, with a database connection of
    its own, and none begins before all are there. Raises what the first of them raised, once all have ended."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        barrier.wait(timeout=30)
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(begin, work) for work in works]]
