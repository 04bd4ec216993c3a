"""Counters per minute. The stages add to them in one statement per batch; charts never read the log."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Sum
from django.db.models.functions import TruncHour

from pushes.models import LatencyBucket, MinuteCount
from pushes.storage import batches, bulk, conflicts

SUBMITTED = "submitted"
#: A dead letter beyond DEAD_LETTERS_PER_HOUR.
NOT_KEPT = "not_kept"
#: SQLite takes few thousand parameters.
ROWS_PER_STATEMENT = 100
MINUTES_KEPT = timedelta(hours=25)
#: (kind, event, reason, app key id or 0) → how many.
Events = Mapping[tuple[str, str, str, int], int]

EVENT_FIELDS = ("granularity", "bucket_at", "kind", "event", "reason", "app_key_id", "count")
LATENCY_FIELDS = ("granularity", "bucket_at", "kind", "le_ms", "count")


def add(events: Events, now: datetime) -> None:
    """Count `events` in the minute of `now`. Make it a transaction's last statement: the rows are hot."""
    minute = bulk.db_datetime(now.replace(second=0, microsecond=0))
    # In one order everywhere, so that two batches never deadlock.
    rows = [("minute", minute, *key, count) for key, count in sorted(events.items()) if count]
    upsert(MinuteCount, EVENT_FIELDS, rows)


def add_latencies(seconds_by_kind: Iterable[tuple[str, float]], now: datetime) -> None:
    """Count (kind, seconds from acceptance to the provider's confirmation) pairs in the minute of `now`."""
    tally = Counter((kind, bound_of(seconds)) for kind, seconds in seconds_by_kind)
    minute = bulk.db_datetime(now.replace(second=0, microsecond=0))
    upsert(LatencyBucket, LATENCY_FIELDS, [("minute", minute, *key, count) for key, count in sorted(tally.items())])


def bound_of(seconds: float) -> int:
    """Return the histogram bound in milliseconds that `seconds` falls under; 0 beyond the last."""
    position = bisect_left(LatencyBucket.BOUNDS_MS, seconds * 1_000)
    return LatencyBucket.BOUNDS_MS[position] if position < len(LatencyBucket.BOUNDS_MS) else 0


def upsert(model: type[models.Model], fields: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Insert the rows, or add their last field, the count, to existing rows with the same other fields.

    In a cluster of databases each node has rows of its own, and readers add them up: of two nodes that change the same
    row at the same time, one would have to roll back its whole transaction. Galera numbers its nodes for their
    automatic keys; a single server is number 1.
    """
    if not rows:
        return
    is_mysql = connection.vendor == "mysql"
    table, columns = model._meta.db_table, ", ".join(connection.ops.quote_name(name) for name in fields)
    count = connection.ops.quote_name("count")
    node = "@@GLOBAL.auto_increment_offset" if is_mysql else "1"
    upsert = (
        f"ON DUPLICATE KEY UPDATE {count} = {count} + VALUES({count})"
        if is_mysql
        else f"ON CONFLICT ({', '.join(fields[:-1])}, node) DO UPDATE SET {count} = {table}.{count} + excluded.{count}"
    )
    row = f"({', '.join(['%s'] * len(fields))}, {node})"
    with connection.cursor() as cursor:
        for part in batches.chunks(rows, ROWS_PER_STATEMENT):
            values = ", ".join([row] * len(part))
            cursor.execute(f"INSERT INTO {table} ({columns}, node) VALUES {values} {upsert}", list(chain(*part)))


def roll_up(now: datetime) -> int:
    """Merge minutes older than MINUTES_KEPT into hours. Returns how many minute rows were removed."""
    oldest = (now - MINUTES_KEPT).replace(minute=0, second=0, microsecond=0)
    return _roll_up(MinuteCount, EVENT_FIELDS, oldest) + _roll_up(LatencyBucket, LATENCY_FIELDS, oldest)


@conflicts.repeated
@transaction.atomic
def _roll_up(model: type[models.Model], fields: tuple[str, ...], oldest: datetime) -> int:
    minutes = model._default_manager.filter(granularity="minute", bucket_at__lt=oldest)
    names = fields[2:-1]
    # In UTC, which MariaDB knows even without its time zone tables.
    hours = minutes.annotate(hour=TruncHour("bucket_at", tzinfo=timezone.utc))
    sums = hours.values_list("hour", *names).annotate(total=Sum("count"))
    rows = [("hour", bulk.db_datetime(hour), *rest) for hour, *rest in sums]
    upsert(model, fields, rows)
    return minutes.delete()[0]
