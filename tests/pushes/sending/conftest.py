"""Fixtures that the tests of sending share."""

from collections.abc import Iterator

import pytest

from pushes.sending import transport


@pytest.fixture
def own_connections() -> Iterator[None]:
    """Connections to the providers that no other test has used or will use."""
    transport.hang_up()
    yield
    transport.hang_up()
