"""Convert BSON values to and from text: for storage, and for people to read or type."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bson import Int64, ObjectId, json_util
from bson.errors import BSONError

from chatscan.messages.instants import Cursor


def encode(cursor: Cursor) -> list[str]:
    """Encode a cursor for storage, as two JSON texts that keep the BSON types."""
    options = json_util.CANONICAL_JSON_OPTIONS
    parts = (cursor.value,) if cursor.document_id is None else (cursor.value, cursor.document_id)
    return [json_util.dumps(part, json_options=options) for part in parts]


def decode(parts: Sequence[str]) -> Cursor:
    """Decode what `encode` made."""
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
    return Cursor(*(json_util.loads(part, json_options=options) for part in parts))


def raw(document: Mapping[str, Any], most: int) -> bytes:
    """Return the document as readable extended JSON, at most `most` bytes."""
    return json_util.dumps(document, ensure_ascii=False).encode(errors="replace")[:most]


def ids_written_as(text: str) -> Iterator[Any]:
    """Return the possible values of an `_id` with this text, of the usual types, which can be restored from text."""
    readers: tuple[Callable[[str], Any], ...] = (str, ObjectId, int, lambda digits: Int64(int(digits)), float)
    for read in readers:
        with contextlib.suppress(ValueError, TypeError, OverflowError, BSONError):
            yield read(text)
