"""Values of BSON types as text: to be stored, to be read by people, or typed in by them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bson import Int64, ObjectId, json_util
from bson.errors import BSONError

from chatscan.messages.instants import Cursor


def encode(cursor: Cursor) -> list[str]:
    """A cursor as two JSON texts that keep the BSON types, to be stored."""
    options = json_util.CANONICAL_JSON_OPTIONS
    parts = (cursor.value,) if cursor.document_id is None else (cursor.value, cursor.document_id)
    return [json_util.dumps(part, json_options=options) for part in parts]


def decode(parts: Sequence[str]) -> Cursor:
    """What `encode` made."""
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
    return Cursor(*(json_util.loads(part, json_options=options) for part in parts))


def raw(document: Mapping[str, Any], most: int) -> bytes:
    """The document as extended JSON for people to read, at most `most` bytes of it."""
    return json_util.dumps(document, ensure_ascii=False).encode(errors="replace")[:most]


def ids_written_as(text: str) -> Iterator[Any]:
    """Values that an `_id` with this text may have: of the usual types, each of which can be had back from its text."""
    readers: tuple[Callable[[str], Any], ...] = (str, ObjectId, int, lambda digits: Int64(int(digits)), float)
    for read in readers:
        with contextlib.suppress(ValueError, TypeError, OverflowError, BSONError):
            yield read(text)
