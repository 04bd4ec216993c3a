"""The watch over forgotten Redis connections reports them, and says who forgot them."""

import gc
import warnings
from collections.abc import Iterator

import pytest
from pytest_django import Settings
from redis import ConnectionPool


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is warned of while the test runs, from within finalizers too."""
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "warn", lambda text, *_, **__: seen.append(str(text)))
        # The socket may be collected first, and complain by itself.
        patch.setattr("sys.unraisablehook", lambda _: None)
        yield seen


def test_a_connection_that_nobody_closes_is_reported_with_its_test(settings: Settings, said: list[str]):
    connection = ConnectionPool.from_url(settings.REDIS_URL).get_connection()
    connection.itself = connection
    del connection
    gc.collect()
    assert len(said) == 1
    assert "test_a_connection_that_nobody_closes_is_reported_with_its_test" in said[0]


def test_a_connection_that_is_closed_is_no_news(settings: Settings, said: list[str]):
    connection = ConnectionPool.from_url(settings.REDIS_URL).get_connection()
    connection.itself = connection
    connection.disconnect()
    del connection
    gc.collect()
    assert said == []
