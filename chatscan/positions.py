"""Operators' actions on a scanner's position: preview a rewind, and rewind.

A rewind does not push accepted messages again: their records keep their dedupe keys. (Records older than RETENTION_DAYS
are deleted, so a rewind beyond that is refused.) Later messages that were refused or lost are read again and pushed,
unless they are older than CHAT_MAX_AGE_SECONDS.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from chatscan.groups import group_directory
from chatscan.messages import instants
from chatscan.messages.config import scan_config
from chatscan.messages.instants import Cursor, Scale
from chatscan.models import Rewind, ScannerPosition
from chatscan.mongo.chats import ChatStore
from chatscan.mongo.connection import connect, database_of
from chatscan.names import Refusal
from chatscan.scanning import watermarks
from chatscan.scanning.scanner import Scanner
from chatscan.scanning.watermarks import PositionLostError
from pushes import submit
from pushes.storage import clocks
from pushes.values import PushMessage

#: A preview reads at most this many documents of each scale, so that the page answers soon.
MAX_REHEARSED = 2_000
SAMPLE_SIZE = 20
MAX_COUNT = 1_000_000
_TRIES = 5


class RewindRefusedError(ValueError):
    """The position cannot be moved to that time; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One message that a rewind would push. Its text is as it would be stored, under CHAT_PRIVACY."""

    message_id: str
    conversation: str
    occurred_at: datetime | None
    recipients: int
    text: str


@dataclass(slots=True)
class RewindPreview:
    """What a rewind would do. `documents` counts all documents; only the first `examined` were previewed."""

    kind: str
    to_time: datetime
    documents: int
    examined: int = 0
    would_push: int = 0
    already_pushed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.examined >= self.documents


@contextlib.contextmanager
def open_scanner(kind: str) -> Iterator[tuple[Scanner, ChatStore]]:
    """Open a scanner made from the settings. It connects when it is first used, and is closed with the block.

    Raises ValueError for a kind without a scanner, and ChatStoreError for an invalid MONGO_URL.
    """
    config = scan_config(kind)
    database = database_of(settings.MONGO_URL, config.database)
    with connect(settings.MONGO_URL, settings.MONGO_TIMEOUT_SECONDS) as client:
        chats = ChatStore(client, database, config.collection, config.fields.created_at)
        yield Scanner(config, chats, group_directory(client)), chats


def preview_rewind(kind: str, to_time: datetime) -> RewindPreview:
    """Preview a rewind with the real steps, each batch in a transaction that is rolled back.

    Raises RewindRefusedError, ChatStoreError.
    """
    now = clocks.now()
    _refuse_time(kind, to_time, now)
    cursors, end = at_time(to_time), int(now.timestamp()) + 1
    with open_scanner(kind) as (scanner, chats):
        chats.check_index()
        counts = [chats.count(cursor.value, instants.bound(scale, end), MAX_COUNT) for scale, cursor in cursors.items()]
        preview = RewindPreview(kind, to_time, documents=sum(counts))
        for refused, pushes in scanner.rehearse(cursors, now, MAX_REHEARSED):
            preview.examined += len(refused) + len(pushes)
            preview.refused.update(refuse.reason.value for _, refuse in refused)
            _rehearse(pushes, preview)
    return preview


def rewind(kind: str, to_time: datetime, by: AbstractUser | None) -> ScannerPosition:
    """Move the position before the first message of that second; a running scanner continues from there.

    Raises RewindRefusedError, and PositionLostError in the unlikely case that the scanner moved at every attempt.
    """
    _refuse_time(kind, to_time, clocks.now())
    for tries_left in reversed(range(_TRIES)):
        mark = watermarks.load(kind)
        assert mark is not None  # _refuse_time found it
        before = ScannerPosition.objects.values_list("cursors", flat=True).get(pk=kind)
        try:
            with transaction.atomic():
                watermarks.set_back(mark, at_time(to_time), to_time)
                Rewind.objects.create(
                    scanner_id=kind, to_time=to_time, by_id=by.pk if by else None, cursors_before=before
                )
            break
        except PositionLostError:
            if not tries_left:
                raise
    return ScannerPosition.objects.get(pk=kind)


def at_time(to_time: datetime) -> Mapping[Scale, Cursor]:
    """Return cursors before the first document of that second, in every scale."""
    second = int(to_time.timestamp())
    return {scale: Cursor(instants.bound(scale, second)) for scale in Scale}


def _refuse_time(kind: str, to_time: datetime, now: datetime) -> None:
    row = ScannerPosition.objects.filter(pk=kind).first()
    if row is None:
        raise RewindRefusedError(f"kind={kind!r}: this scanner has not started yet")
    if timezone.is_naive(to_time):
        raise RewindRefusedError(f"to_time={to_time.isoformat()}: the time needs a time zone")
    named = {"time": timezone.localtime(to_time).isoformat(" ", "seconds"), "days": settings.RETENTION_DAYS}
    if to_time > (row.position_at or now):
        raise RewindRefusedError(
            _("%(time)s is later than the current position: messages would be skipped. Choose an earlier time.") % named
        )
    if to_time < now - timedelta(days=settings.RETENTION_DAYS):
        raise RewindRefusedError(
            _(
                "%(time)s is more than RETENTION_DAYS=%(days)s days ago: pushes from that time are no longer on record "
                "and would be sent again. Choose a later time."
            )
            % named
        )


def _rehearse(pushes: list[PushMessage], preview: RewindPreview) -> None:
    with transaction.atomic():
        done = submit.submit(pushes)
        transaction.set_rollback(True)
    preview.would_push += done.accepted
    preview.already_pushed += done.duplicates
    preview.refused.update(Refusal.INVALID.value for result in done.results if isinstance(result, submit.Refused))
    answered = zip(pushes, done.results, strict=True)
    fresh = [push for push, result in answered if isinstance(result, submit.Stored) and result.is_new]
    preview.samples += [_sample(push) for push in fresh[: SAMPLE_SIZE - len(preview.samples)]]


def _sample(push: PushMessage) -> Sample:
    return Sample(push.message_id, push.conversation, push.occurred_at, len(push.audience.accounts), push.text)


__all__ = ["RewindPreview", "RewindRefusedError", "Sample", "preview_rewind", "rewind"]
