"""Where dead letters are put: input that could not become a push, kept to the byte, but never without bounds.

Whoever may write to the producers' list could fill the disk with what nobody can read. So of one source and reason at
most DEAD_LETTERS_PER_HOUR are kept within an hour; the others are only counted. A flood of one sort hides no other.
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
from pushes.text import characters

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
#: Of a longer message only this much is kept: nothing longer can become a push, corrected or not.
MAX_RAW_BYTES = 65_536
MAX_DETAIL = 300
SAY_SECONDS = 60.0
_NEW = DeadLetterStatus.NEW.value
_KINDS = frozenset(Kind.values)
_said_at = -SAY_SECONDS


class Letter(NamedTuple):
    """One input that cannot become a push. `position` is where it stood: the same position twice is one row."""

    source: str
    position: str
    raw: bytes
    reason: str
    detail: str


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
    """Store the letters as far as the hour has room for them, and count the rest."""
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
    """How many letters of the last hour were counted only, by reason."""
    rows = MinuteCount.objects.filter(
        granularity=MinuteCount.Granularity.MINUTE, event=counters.NOT_KEPT, bucket_at__gte=now - HOUR
    )
    found: Counter[str] = Counter()
    for reason, count in rows.values_list("reason", "count"):
        found[reason] += count
    return dict(found)


def of_last_hour(now: datetime) -> "QuerySet[Any, tuple[str, str, int]]":
    """Source, reason and number of the letters kept within the hour; an index holds all that is asked for."""
    recent = DeadLetter.objects.filter(created_at__gte=now - HOUR).order_by()
    return recent.values_list("source", "reason").annotate(number=Count("id"))


def _divided(letters: Sequence[Letter], now: datetime) -> tuple[list[Letter], list[Letter]]:
    """Those to keep, and those to count."""
    known = Counter({(source, reason): number for source, reason, number in of_last_hour(now)})
    kept: list[Letter] = []
    left_out: list[Letter] = []
    for one in letters:
        known[one.source, one.reason] += 1
        has_room = known[one.source, one.reason] <= settings.DEAD_LETTERS_PER_HOUR
        (kept if has_room else left_out).append(one)
    return kept, left_out


def _detail(letter: Letter) -> str:
    cut = f" (only the first {MAX_RAW_BYTES} bytes are kept)" if len(letter.raw) > MAX_RAW_BYTES else ""
    return characters.shorten(letter.detail, MAX_DETAIL - len(cut)) + cut


def _count(letters: Sequence[Letter], now: datetime) -> None:
    """In the counters, which the console and the metrics read, and in one line a minute."""
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
        "more than DEAD_LETTERS_PER_HOUR=%s of one reason: dead letters are counted and not kept (this hour: %s)",
        settings.DEAD_LETTERS_PER_HOUR,
        reasons,
    )
