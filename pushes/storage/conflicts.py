"""Transactions that meet another one's: a deadlock or, in a cluster, the same row changed on two nodes.

The database then rolls one of the two back, in a cluster even at its commit. Nothing of it is left, so the whole of it
may run again.
"""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseError
from django.db import connection

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

#: Not 1205: after a lock time-out the caller has waited long enough.
DEADLOCK = 1213
TRIES = 8
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.01, 0.2


def repeated(work: Callable[P, T]) -> Callable[P, T]:
    """Repeat `work`, which is one transaction or one statement, when it met another transaction. Inside a caller's
    transaction it runs once: only the whole may run again."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        pause = PAUSE_SECONDS
        for _ in range(TRIES - 1):
            try:
                return work(*args, **kwargs)
            except DatabaseError as error:
                if connection.in_atomic_block or error.args[:1] != (DEADLOCK,):
                    raise
                log.info("%s met another transaction; it runs again", work.__qualname__)
            # By chance, so that two that met do not meet again.
            time.sleep(random.uniform(0.0, pause))
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
        return work(*args, **kwargs)

    return run
