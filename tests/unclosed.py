"""Redis connections that nobody closes, reported at once and with the test that opened them.

redis-py closes a forgotten connection when it is collected, silently most times. In a cycle of references the
socket may go first: then a ResourceWarning without any hint at its origin ends some other test, once in a while.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

from redis.connection import AbstractConnection


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """While the block runs, a connection that is collected while open is a ResourceWarning."""
    patched: Any = AbstractConnection
    opened, collected = patched.__init__, patched.__del__

    def open_here(connection: Any, *args: Any, **kwargs: Any) -> None:
        connection.opened_in = os.environ.get("PYTEST_CURRENT_TEST", "the preparations")
        opened(connection, *args, **kwargs)

    def report(connection: Any) -> None:
        is_open = getattr(connection, "_sock", None) is not None
        collected(connection)
        if is_open:
            warnings.warn(f"never closed: a Redis connection that {connection.opened_in} opened", ResourceWarning, 1)

    patched.__init__, patched.__del__ = open_here, report
    try:
        yield
    finally:
        patched.__init__, patched.__del__ = opened, collected
