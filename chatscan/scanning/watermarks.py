"""Read and move a scanner's position: only by compare-and-set, and only with the work that it covers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import F

from chatscan.messages.instants import Cursor, Scale
from chatscan.models import ScannerPosition
from chatscan.mongo.bson_text import decode, encode
from chatscan.names import Mode
from pushes.storage import conflicts
from pushes.text import notes
from pushes.text.notes import Note

#: The width of a position's mode_detail and last_error.
MAX_DETAIL = 300
Cursors = Mapping[Scale, Cursor]


class PositionLostError(Exception):
    """Another scanner of this kind (or an operator's rewind) moved the position first: read it again."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """A scanner's position as read, at `version`."""

    kind: str
    version: int
    cursors: Cursors
    floors: Cursors
    refused: Mapping[str, int]


def load(kind: str) -> Watermark | None:
    """Return the scanner's position; None before its first start."""
    row = ScannerPosition.objects.filter(pk=kind).first()
    if row is None:
        return None
    return Watermark(kind, row.version, _decoded(row.cursors), _decoded(row.floors), row.refused)


def create(kind: str, cursors: Cursors, at: datetime | None) -> None:
    """Create the first position. Does nothing if it exists by now."""
    encoded = _encoded(cursors)
    ScannerPosition.objects.get_or_create(
        kind=kind, defaults={"cursors": encoded, "floors": encoded, "position_at": at}
    )


def advance(mark: Watermark, cursors: Cursors, at: datetime | None) -> Watermark:
    """Advance from `mark` by compare-and-set; call it first in the transaction that stores what was read.

    The row stays locked until that commits, so a second scanner waits and then loses. Raises PositionLostError,
    upon which the transaction must be rolled back.
    """
    changes: dict[str, Any] = {"version": mark.version + 1, "cursors": _encoded(cursors)}
    if at is not None:
        changes["position_at"] = at
    if ScannerPosition.objects.filter(pk=mark.kind, version=mark.version).update(**changes) != 1:
        raise PositionLostError(mark.kind)
    return replace(mark, version=mark.version + 1, cursors=dict(cursors))


def count(
    mark: Watermark, *, read: int, accepted: int, duplicates: int, late: int = 0, refused: Mapping[str, int]
) -> None:
    """Add to the counters of `mark`, in the transaction of its `advance`, which holds the row."""
    ScannerPosition.objects.filter(pk=mark.kind).update(
        read=F("read") + read,
        accepted=F("accepted") + accepted,
        duplicates=F("duplicates") + duplicates,
        late=F("late") + late,
        refused=dict(Counter(mark.refused) + Counter(refused)),
    )


def set_back(mark: Watermark, cursors: Cursors, at: datetime) -> None:
    """Move the position to where an operator wants it. Raises PositionLostError."""
    encoded = _encoded(cursors)
    changed = ScannerPosition.objects.filter(pk=mark.kind, version=mark.version).update(
        version=mark.version + 1, cursors=encoded, floors=encoded, position_at=at
    )
    if changed != 1:
        raise PositionLostError(mark.kind)


@conflicts.repeated
def report(kind: str, *, mode: Mode, detail: Note | None = None, **news: Any) -> None:
    """Write the process's state, which is not part of the position and never conflicts with it."""
    ScannerPosition.objects.filter(pk=kind).update(
        mode=mode, mode_detail=notes.stored(detail or "", most=MAX_DETAIL), **news
    )


def _encoded(cursors: Cursors) -> dict[str, list[str]]:
    return {scale.value: encode(cursor) for scale, cursor in cursors.items()}


def _decoded(stored: Mapping[str, list[str]]) -> dict[Scale, Cursor]:
    return {Scale(scale): decode(parts) for scale, parts in stored.items()}
