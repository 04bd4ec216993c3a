"""Long lists in pieces of a size that one statement, or one job, takes."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
#: So many rows at most are named in one statement.
CHUNK = 5_000


def chunks(ids: Iterable[T], size: int) -> Iterator[list[T]]:
    """`ids` in lists of at most `size`."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
