"""The delivery log as a CSV file, written in the background, a piece at a time.

An export is a row: what was requested, its progress, and its finished pieces. A job in a separate queue writes for
about a second, then queues itself again, so that the pushes of its worker wait no longer than that. After a crash the
sweeper enqueues the next job, which continues after the last stored piece.
"""

import logging
import secrets
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from pushes import lanes
from pushes.history import export_rows
from pushes.history.export_rows import Piece
from pushes.models import DeliveryResult, Export, ExportPiece
from pushes.names import ExportStatus
from pushes.storage import clocks
from pushes.text import csv_cells, notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.workers import queues

log = logging.getLogger(__name__)

#: The file ends here, with a note. A spreadsheet shows 1,048,576 lines.
MAX_ROWS = 500_000
PIECE_ROWS = 2_000
SLICE_SECONDS = 1.0
LEASE = timedelta(seconds=60)
KEPT = timedelta(days=3)
#: How many exports one operator may have in progress.
MAX_WAITING = 3
#: The byte order mark makes spreadsheets read UTF-8.
BOM = b"\xef\xbb\xbf"
LIVE = (ExportStatus.WAITING, ExportStatus.RUNNING)


class TooManyError(Exception):
    """The operator has too many exports in progress."""


def order(export: Export) -> Export:
    """Store the export and enqueue its job. Raises TooManyError."""
    with transaction.atomic():
        mine = Export.objects.filter(created_by_id=export.created_by_id, status__in=LIVE)
        if mine.count() >= MAX_WAITING:
            raise TooManyError
        ids = DeliveryResult.objects.order_by("pk").values_list("pk", flat=True)
        export.oldest_id, export.newest_id = ids.first() or 0, ids.last() or 0
        export.cursor = export.newest_id + 1
        export.save()
        queues.enqueue_export(export.pk)
    return export


def write(export_id: int, *, slice_seconds: float = SLICE_SECONDS) -> bool:
    """Write pieces for a while, and queue the rest. False when there was nothing to do: the export is over, or another
    job is writing it. A permanent error ends the export, and is shown on its page."""
    export = _claimed(export_id)
    if export is None:
        return False
    ends_at = monotonic() + slice_seconds
    try:
        while True:
            wanted = min(PIECE_ROWS, MAX_ROWS - export.rows)
            stored = _store(export, export_rows.read(export, wanted, ends_at - monotonic()))
            if stored is None or stored.status != ExportStatus.RUNNING or monotonic() > ends_at:
                break
            export = stored
    except Exception as error:
        if queues.passes(error):
            raise
        log.exception("export #%s cannot be written", export_id)
        _finish(export_id, ExportStatus.FAILED, notes.of_error(error, Sentence.NOT_WRITTEN))
        return True
    if stored is not None and stored.status == ExportStatus.RUNNING:
        Export.objects.filter(pk=export_id, holder=stored.holder).update(holder="", lease_until=None)
        queues.enqueue_export(export_id)
    return True


def _claimed(export_id: int) -> Export | None:
    """Claim the export; None if it is over, or another job is writing it."""
    now, holder = clocks.now(), secrets.token_hex(8)
    taken = Export.objects.filter(_is_free(now), pk=export_id, status__in=LIVE).update(
        status=ExportStatus.RUNNING, holder=holder, lease_until=now + LEASE
    )
    return Export.objects.get(pk=export_id) if taken else None


def _is_free(now: datetime) -> Q:
    """Whether the lease is free. A lease beyond its maximum length was written by a wrong clock, and does not count."""
    return Q(lease_until__isnull=True) | Q(lease_until__lte=now) | Q(lease_until__gt=now + 2 * LEASE)


@transaction.atomic
def _store(export: Export, piece: Piece) -> Export | None:
    """Store the piece and the new cursor together; None when the export is no longer ours (it was cancelled, or the
    lease ran out and another job continued)."""
    mine = Export.objects.select_for_update().filter(pk=export.pk, holder=export.holder, status=ExportStatus.RUNNING)
    current = mine.first()
    if current is None:
        return None
    if piece.rows:
        data = csv_cells.lines(export_rows.cells(current, piece.rows))
        number = ExportPiece.objects.filter(export=current).count()
        ExportPiece.objects.create(export=current, number=number, data=zlib.compress(data, 6))
        current.rows += len(piece.rows)
        current.size += len(data)
    current.cursor, current.lease_until = piece.cursor, clocks.now() + LEASE
    current.is_cut = current.rows >= MAX_ROWS and not piece.is_last
    if piece.is_last or current.is_cut:
        current.status, current.finished_at, current.holder, current.lease_until = (
            ExportStatus.DONE,
            clocks.now(),
            "",
            None,
        )
    current.save()
    return current


def cancel(export_id: int, *, by: str) -> bool:
    """End the export and delete its pieces; False when it was already over."""
    return _finish(export_id, ExportStatus.CANCELLED, Note(Sentence.BY, who=by))


@transaction.atomic
def _finish(export_id: int, status: ExportStatus, detail: Note) -> bool:
    ended = Export.objects.filter(pk=export_id, status__in=LIVE).update(
        status=status, detail=notes.stored(detail, most=300), finished_at=clocks.now(), holder="", lease_until=None
    )
    if ended:
        ExportPiece.objects.filter(export_id=export_id).delete()
    return bool(ended)


def content(export: Export) -> Iterator[bytes]:
    """Yield the file, a piece at a time."""
    yield BOM + csv_cells.lines([export_rows.head(export.language)])
    numbers = ExportPiece.objects.filter(export=export).order_by("number").values_list("pk", flat=True)
    for pk in list(numbers):
        yield zlib.decompress(bytes(ExportPiece.objects.values_list("data", flat=True).get(pk=pk)))


def put_back(now: datetime) -> None:
    """Enqueue exports that have lost their job. Raises redis.RedisError."""
    if queues.depths([lanes.EXPORT_QUEUE])[lanes.EXPORT_QUEUE]:
        return
    stuck = now - timedelta(seconds=settings.STUCK_SECONDS)
    for pk in Export.objects.filter(_is_free(now), status__in=LIVE, created_at__lte=stuck).values_list("pk", flat=True)[
        :20
    ]:
        queues.enqueue_export(pk)


def clean_up(now: datetime) -> int:
    """Delete exports, and their files, that are older than KEPT. Returns how many."""
    old = Export.objects.filter(created_at__lt=now - KEPT).exclude(status__in=LIVE)
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:50])
    for pk in ids:
        ExportPiece.objects.filter(export_id=pk).delete()
    return Export.objects.filter(pk__in=ids).delete()[0] if ids else 0
