"""Tally how a broadcast's deliveries ended, and when. The transactions that end deliveries add to the tallies, so that
neither the progress nor the watch ever reads delivery rows."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Case, CharField, Q, Sum, When

from pushes.ledger import counters
from pushes.models import BroadcastTally, PushRecord
from pushes.names import TERMINAL
from pushes.storage import bulk

COUNTED = frozenset({*TERMINAL, BroadcastTally.MADE, BroadcastTally.DOUBTED})
FIELDS = ("broadcast_id", "bucket_at", "event", "reason", "count")
#: (record id, status or `made` or `doubted`, reason) → how many.
Ends = Mapping[tuple[int, str, str], int]


def add(ends: Ends, now: datetime) -> None:
    """Count the `ends` that belong to a broadcast and are terminal. Call it after `counters.add`, as the transaction's
    last statement."""
    wanted = {key: number for key, number in ends.items() if number and key[1] in COUNTED}
    record_ids = {record_id for record_id, _, _ in wanted}
    if not record_ids:
        return
    records = PushRecord.objects.filter(id__in=record_ids, broadcast_id__isnull=False)
    owners = dict(records.values_list("id", "broadcast_id"))
    found: Counter[tuple[int, str, str]] = Counter()
    for (record_id, event, reason), number in wanted.items():
        if owner := owners.get(record_id):
            found[owner, str(event), str(reason)] += number
    bucket = bulk.db_datetime(bucket_of(now))
    rows = [(owner, bucket, event, reason, number) for (owner, event, reason), number in sorted(found.items())]
    counters.upsert(BroadcastTally, FIELDS, rows)


def bucket_of(moment: datetime) -> datetime:
    """Return the beginning of the ten-second bucket of a moment."""
    second = moment.second - moment.second % BroadcastTally.SECONDS
    return moment.replace(second=second, microsecond=0)


def ends(broadcast_id: int, *, since: datetime | None = None) -> dict[tuple[str, str], int]:
    """Return how many deliveries were made and ended, by (event, reason): in total, or in the buckets that began at
    `since` or later."""
    rows = BroadcastTally.objects.filter(broadcast_id=broadcast_id)
    if since is not None:
        rows = rows.filter(bucket_at__gte=since)
    found = rows.order_by().values_list("event", "reason").annotate(total=Sum("count"))
    return {(event, reason): total for event, reason, total in found}


def by_event(broadcast_id: int, *, recent_since: datetime) -> dict[str, tuple[int, int]]:
    """Return by event the total, and the count in the buckets that began at `recent_since` or later. Deliveries for an
    account without a device are a separate event (BroadcastTally.WITHOUT_DEVICE), and not among the made."""
    recent = Sum("count", filter=Q(bucket_at__gte=recent_since), default=0)
    apart = When(reason=BroadcastTally.WITHOUT_DEVICE, then="reason")
    of_it = BroadcastTally.objects.filter(broadcast_id=broadcast_id).order_by()
    rows = of_it.annotate(what=Case(apart, default="event", output_field=CharField())).values("what")
    return {row["what"]: (row["total"], row["late"]) for row in rows.annotate(total=Sum("count"), late=recent)}


def seconds_ago(now: datetime, seconds: float) -> datetime:
    """Return the beginning of the bucket that contains `now` minus `seconds`."""
    return bucket_of(now - timedelta(seconds=seconds))
