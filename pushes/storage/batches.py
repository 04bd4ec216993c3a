"""Split long lists into pieces for one statement or one job."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
#: How many rows one statement names at most.
CHUNK = 5_000


def chunks(ids: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split `ids` into lists of at most `size`."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
