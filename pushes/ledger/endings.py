"""End deliveries without sending them: too late, given up, refused. They are counted like all others."""

from collections import Counter
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from pushes.ledger import counters, tallies
from pushes.models import DeliveryResult
from pushes.names import Kind, Reason, Status
from pushes.storage import batches, conflicts


def end(
    rows: "QuerySet[DeliveryResult]",
    status: Status,
    reason: Reason,
    *,
    now: datetime,
    most: int | None = None,
    **changes: Any,
) -> int:
    """Give at most `most` of the `rows` a terminal status. Returns how many.

    Their conditions are checked again under a lock, a chunk at a time: a row that has moved on meanwhile stays as it
    is, and no row is counted twice.
    """
    ids = list(rows.order_by("id").values_list("id", flat=True)[:most])
    return sum(
        _end(rows.filter(id__in=chunk), status, reason, now, changes) for chunk in batches.chunks(ids, batches.CHUNK)
    )


@conflicts.repeated
@transaction.atomic
def _end(
    rows: "QuerySet[DeliveryResult]", status: Status, reason: Reason, now: datetime, changes: dict[str, Any]
) -> int:
    columns = ("id", "kind", "app_key_id", "record_id", "call_key")
    locked = list(rows.select_for_update().order_by("id").values_list(*columns))
    if not locked:
        return 0
    ended = DeliveryResult.objects.filter(id__in=[row[0] for row in locked]).update(
        status=status, reason=reason, claim="", lease_until=None, order_key=None, finished_at=now, **changes
    )
    if doubtful := [pk for pk, *_, call_key in locked if call_key]:
        # The fate of their last call was still open.
        DeliveryResult.objects.filter(id__in=doubtful).update(may_have_arrived=True)
    counters.add(Counter((kind, status.value, reason.value, key_id or 0) for _, kind, key_id, *_ in locked), now)
    records = Counter(record_id for _, kind, _, record_id, _ in locked if kind == Kind.BROADCAST)
    tallies.add({(pk, status.value, reason.value): number for pk, number in records.items()}, now)
    return ended
