"""The content of an export: the rows of the delivery log's list, page by page, and their cells."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from pushes.history import answers, log_query, pages
from pushes.models import DeliveryResult, Export, PushRecord
from pushes.names import Kind, PushType, Status, label, reason_words
from pushes.people import channels
from pushes.storage import batches
from pushes.text.notes import Note, NotedError
from pushes.text.sentences import Sentence

PERMISSION = "pushes.export_deliveryresult"
#: How many pushes one statement looks up, and the columns of the file about them.
LOOKUP_SIZE, SHOWN_OF_PUSH = 1_000, ("message_id", "conversation", "title")
KNOWN_TYPES = frozenset(PushType.values)


class MayNotExportError(NotedError):
    """The export's operator has lost the permission."""


class Piece(NamedTuple):
    """The next rows of an export, newest first, and the lowest id that they reach."""

    rows: Sequence[DeliveryResult]
    cursor: int
    is_last: bool


def read(export: Export, limit: int, seconds: float) -> Piece:
    """Read the next rows below the export's cursor, with their pushes. Raises MayNotExportError when its operator has
    lost the permission, and what `log_query.read` raises."""
    user = export.created_by
    if not (user.is_active and user.has_perm(PERMISSION)):
        raise MayNotExportError(Note(Sentence.MAY_NOT_EXPORT, user=str(user)))
    piece = _read(export, limit, seconds)
    _look_up_pushes(piece.rows)
    return piece


def _look_up_pushes(rows: Sequence[DeliveryResult]) -> None:
    """Look up the pushes. Django's own prefetching uses one term per push, and SQLite accepts at most 1,000."""
    known: dict[int, PushRecord] = {}
    for ids in batches.chunks({row.record_id for row in rows}, LOOKUP_SIZE):
        known |= {record.pk: record for record in PushRecord.objects.only(*SHOWN_OF_PUSH).filter(pk__among=ids)}
    field: Any = DeliveryResult._meta.get_field("record")
    for row in rows:
        field.set_cached_value(row, known.get(row.record_id))


def _read(export: Export, limit: int, seconds: float) -> Piece:
    asked = log_query.read(export.query)
    rows = DeliveryResult.objects.filter(asked.rows, pk__lte=export.newest_id).order_by("-pk")
    if asked.is_indexed:
        some = list(rows.filter(pk__lt=export.cursor)[:limit])
        is_last = len(some) < limit
        return Piece(some, export.oldest_id if is_last else some[-1].pk, is_last)
    ends_at, some = monotonic() + seconds, []
    for strip in pages.spans_down(DeliveryResult, export.cursor, asked.bounds):
        some += pages.within(rows, strip)[: limit - len(some)]
        if len(some) >= limit:
            return Piece(some, some[-1].pk, False)
        if monotonic() > ends_at:
            return Piece(some, strip[-1][0], False)
    return Piece(some, export.oldest_id, True)


def head(language: str) -> list[str]:
    """Return the names of the columns."""
    with translation.override(language):
        return [
            _("number"), _("created"), _("account"), _("kind"), _("push type"), _("push type's name"), _("app"),
            _("platform"), _("environment"), _("token"), _("status"), _("status in words"), _("reason"),
            _("reason in words"), _("provider's code"), _("provider's message"), _("provider's push id"),
            _("attempts"), _("last sent"), _("finished"), _("push"), _("message id"), _("conversation"), _("title"),
            _("may have arrived"), _("channel"),
        ]  # fmt: skip


def cells(export: Export, rows: Sequence[DeliveryResult]) -> Iterator[Sequence[Any]]:
    """Return one line per delivery, in the columns of `head`."""
    of_rows = channels.of_deliveries(rows)
    with translation.override(export.language):
        for row in rows:
            yield _cells(row, of_rows.get(row.pk, ""), shows_token=export.shows_tokens)


def _cells(row: DeliveryResult, channel: str, *, shows_token: bool) -> Sequence[Any]:
    record = getattr(row, "record", None)  # deliveries may outlive their pushes
    return (
        row.pk, _local(row.created_at), row.account_id, label(Kind, row.kind), row.push_type, _type(row.push_type),
        row.app, row.platform, row.environment, row.token if shows_token else row.masked_token,
        row.status, label(Status, row.status), row.reason, reason_words(row.status, row.reason),
        answers.code(row.provider_code), row.provider_text, row.provider_push_id, row.attempts,
        _local(row.sent_at), _local(row.finished_at), row.record_id, record.message_id if record else "",
        record.conversation if record else "", record.title if record else "",
        int(row.may_have_arrived or row.status == Status.UNKNOWN), channel,
    )  # fmt: skip


def _type(number: int) -> str:
    return label(PushType, number) if number in KNOWN_TYPES else ""


def _local(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else ""
