"""Coalesce bursts in one conversation: the first message goes at once, the following ones become one push with a count.

A waiting delivery (for the end of its burst, or for the delivery window to open) is replaced by the next delivery of
the same conversation on the same device; the new one then stands for one message more. The replaced delivery is
`skipped` as `coalesced`: it is counted, not lost, and keeps the burst's number, so that its message can still be
recalled (`take_backs`). The end of each burst is remembered in Redis; losing it costs one push too many.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from pushes.distribution.planned import Draft
from pushes.ledger.counters import Events
from pushes.models import DeliveryResult
from pushes.names import Reason, Status
from pushes.storage import batches, bulk, shared_redis

MARK = "higo:burst:{order_key}"
CHUNK = 2_000
BURST_BITS = 62
_SET_ALL = "for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored delivery that has not left yet and can still be replaced."""

    id: int
    due_at: datetime
    reason: Reason | None
    stands_for: int
    kind: str = ""
    burst: int | None = None


def coalesce(
    drafts: Sequence[Draft], waiting: dict[int, Waiting], ends: dict[int, datetime], now: datetime, window: timedelta
) -> list[int]:
    """Decide for each draft, in message order, and change the drafts in place. Without other side effects.

    `waiting` holds the replaceable deliveries by order key; `ends` holds the end of the current burst by order key.
    Returns the ids of the stored deliveries that were replaced; a replaced draft becomes `skipped`.
    """
    replaced: list[int] = []
    latest: dict[int, Draft] = {}
    for draft in drafts:
        key = draft.order_key
        if key is None or draft.status not in (Status.PENDING, Status.HELD):
            continue
        before: Draft | Waiting | None = latest.get(key) or waiting.get(key)
        if isinstance(before, Waiting):
            replaced.append(before.id)
        draft.burst = (before and before.burst) or random.getrandbits(BURST_BITS)
        if before is not None:
            draft.stands_for = before.stands_for + 1
            draft.status, draft.reason = Status.HELD, before.reason
            draft.due_at = max(before.due_at, draft.due_at)
        elif draft.status is Status.PENDING and now < ends.get(key, now):
            draft.status, draft.reason, draft.due_at = Status.HELD, Reason.COALESCED, ends[key]
        elif draft.status is Status.PENDING:
            ends[key], draft.burst = now + window, None
            continue
        if isinstance(before, Draft):
            before.status, before.reason, before.order_key = Status.SKIPPED, Reason.COALESCED, None
        latest[key] = draft
    return replaced


def apply(drafts: Sequence[Draft], now: datetime) -> Events:
    """Coalesce new drafts with stored deliveries, inside the caller's transaction. Returns the stored deliveries
    that were replaced, for the counters. Raises redis.RedisError.

    Without COALESCE_SECONDS every message is sent separately, but messages that wait for the delivery window are
    summarised all the same: nobody wants a night's messages one by one in the morning.
    """
    window = timedelta(seconds=settings.COALESCE_SECONDS)
    if not window:
        drafts = [draft for draft in drafts if draft.reason is Reason.OUTSIDE_WINDOW]
    keys = {draft.order_key for draft in drafts if draft.order_key is not None}
    if not keys:
        return {}
    ends, waiting = _ends(keys, now + window) if window else {}, _waiting(keys)
    if not window:
        waiting = {key: row for key, row in waiting.items() if row.reason is Reason.OUTSIDE_WINDOW}
    known = dict(ends)
    replaced = coalesce(drafts, waiting, ends, now, window)
    if window:
        _remember({key: end for key, end in ends.items() if known.get(key) != end}, now)
    if not replaced:
        return {}
    DeliveryResult.objects.filter(id__among=replaced).update(
        status=Status.SKIPPED, reason=Reason.COALESCED, order_key=None, finished_at=now
    )
    _name_bursts(drafts, waiting, set(replaced))
    kinds = {row.id: row.kind for row in waiting.values()}
    return Counter((kinds[pk], Status.SKIPPED.value, Reason.COALESCED.value, 0) for pk in replaced)


def _name_bursts(drafts: Iterable[Draft], waiting: Mapping[int, Waiting], replaced: Collection[int]) -> None:
    """A stored row that began to wait after it was stored has no burst yet: give it the burst of its replacement."""
    bursts = {draft.order_key: draft.burst for draft in drafts if draft.order_key is not None}
    for key, row in waiting.items():
        if row.burst is None and row.id in replaced:
            DeliveryResult.objects.filter(pk=row.id).update(burst=bursts[key])


def _waiting(keys: Iterable[int]) -> dict[int, Waiting]:
    """Return the replaceable rows, locked until the transaction ends, so that no worker claims them meanwhile."""
    held = bulk.locked(DeliveryResult.objects.filter(order_key__among=set(keys), status=Status.HELD))
    rows = held.order_by("id").values_list("order_key", "id", "kind", "due_at", "reason", "stands_for", "burst")
    return {
        key: Waiting(pk, due_at, Reason(reason) if reason else None, stands_for, kind, burst)
        for key, pk, kind, due_at, reason, stands_for, burst in rows
    }


def _ends(keys: Iterable[int], latest: datetime) -> dict[int, datetime]:
    """Return when the current bursts end. An end after `latest` was not written by us and is ignored."""
    asked = sorted(keys)
    found: Any = shared_redis.connection().mget([MARK.format(order_key=key) for key in asked])
    ends = {key: _instant(value) for key, value in zip(asked, found, strict=True)}
    return {key: end for key, end in ends.items() if end is not None and end <= latest}


def _instant(value: bytes | None) -> datetime | None:
    """Parse a stored time; None if it is not a time, since others may write to Redis too."""
    try:
        return datetime.fromtimestamp(float(value or b""), timezone.get_default_timezone())
    except (ValueError, OverflowError, OSError):
        return None


def _remember(ends: dict[int, datetime], now: datetime) -> None:
    """One call for all bursts with the same end: a message to a large group begins thousands of bursts at once."""
    by_end: dict[datetime, list[str]] = defaultdict(list)
    for key, end in ends.items():
        by_end[end].append(MARK.format(order_key=key))
    for end, names in by_end.items():
        milliseconds = max(1, int((end - now).total_seconds() * 1_000))
        for chunk in batches.chunks(names, CHUNK):
            shared_redis.connection().eval(_SET_ALL, len(chunk), *chunk, str(end.timestamp()), str(milliseconds))
