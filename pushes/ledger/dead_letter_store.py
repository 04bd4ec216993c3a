"""Store dead letters: input that could not become a push, unchanged, within bounds.

A faulty producer could fill the disk with unreadable input. So for each source and reason at most DEAD_LETTERS_PER_HOUR
letters are kept per hour, and further ones are only counted. A flood for one reason does not hide the others.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, QuerySet

from pushes.ledger import counters
from pushes.models import DeadLetter, MinuteCount
from pushes.names import DeadLetterStatus, Kind
from pushes.storage import bulk, clocks
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
#: A longer message is truncated to this: it cannot become a push, corrected or not.
MAX_RAW_BYTES = 65_536
MAX_DETAIL = 300
SAY_SECONDS = 60.0
_NEW = DeadLetterStatus.NEW.value
_KINDS = frozenset(Kind.values)
_said_at = -SAY_SECONDS


class Letter(NamedTuple):
    """One input that cannot become a push. `position` says where it was: the same position twice is one row."""

    source: str
    position: str
    raw: bytes
    reason: str
    detail: Note


class Row(NamedTuple):
    """A DeadLetter's columns, in the database's own form."""

    source: str
    position: str
    raw: bytes
    reason: str
    detail: str
    status: str
    created_at: Any


def keep(letters: Sequence[Letter]) -> None:
    """Store the letters within the hour's limit, and count the rest."""
    if not letters:
        return
    now = clocks.now()
    kept, left_out = _divided(letters, now)
    stamp = bulk.db_datetime(now)
    rows = [
        Row(one.source, one.position, one.raw[:MAX_RAW_BYTES], one.reason, _detail(one), status=_NEW, created_at=stamp)
        for one in kept
    ]
    bulk.insert_rows(DeadLetter, rows, ignore_conflicts=True)
    if left_out:
        _count(left_out, now)


def not_kept(now: datetime) -> dict[str, int]:
    """Return how many letters of the last hour were only counted, by reason."""
    rows = MinuteCount.objects.filter(
        granularity=MinuteCount.Granularity.MINUTE, event=counters.NOT_KEPT, bucket_at__gte=now - HOUR
    )
    found: Counter[str] = Counter()
    for reason, count in rows.values_list("reason", "count"):
        found[reason] += count
    return dict(found)


def of_last_hour(now: datetime) -> "QuerySet[Any, tuple[str, str, int]]":
    """Return source, reason and number of the letters kept within the hour, from an index alone."""
    recent = DeadLetter.objects.filter(created_at__gte=now - HOUR).order_by()
    return recent.values_list("source", "reason").annotate(number=Count("id"))


def _divided(letters: Sequence[Letter], now: datetime) -> tuple[list[Letter], list[Letter]]:
    """Divide the letters into those to keep and those to count."""
    known = Counter({(source, reason): number for source, reason, number in of_last_hour(now)})
    kept: list[Letter] = []
    left_out: list[Letter] = []
    for one in letters:
        known[one.source, one.reason] += 1
        has_room = known[one.source, one.reason] <= settings.DEAD_LETTERS_PER_HOUR
        (kept if has_room else left_out).append(one)
    return kept, left_out


def _detail(letter: Letter) -> str:
    cut = [Note(Sentence.CUT, n=MAX_RAW_BYTES)] if len(letter.raw) > MAX_RAW_BYTES else []
    return notes.stored(letter.detail, *cut, most=MAX_DETAIL)


def _count(letters: Sequence[Letter], now: datetime) -> None:
    """Count the letters in the counters, which the console and the metrics read, and log one line a minute."""
    global _said_at
    kinds = [one.source if one.source in _KINDS else Kind.SYSTEM.value for one in letters]
    counters.add(
        Counter((kind, counters.NOT_KEPT, one.reason[:20], 0) for kind, one in zip(kinds, letters, strict=True)), now
    )
    if time.monotonic() - _said_at < SAY_SECONDS:
        return
    _said_at = time.monotonic()
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(not_kept(now).items()))
    log.warning(
        "more than DEAD_LETTERS_PER_HOUR=%s for one reason: further dead letters are counted, not kept (this hour: %s)",
        settings.DEAD_LETTERS_PER_HOUR,
        reasons,
    )
