"""The simulator as a fixture."""

import logging
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.simulation.world import Simulator, simulator


@pytest.fixture(scope="module")
def simulated(django_db_blocker: DjangoDbBlocker) -> Iterator[Simulator]:
    """A simulator with a database of its own, in memory. What the code logs of so many faults is left out."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with django_db_blocker.unblock(), simulator() as here:
        yield here
    logging.disable(before)
