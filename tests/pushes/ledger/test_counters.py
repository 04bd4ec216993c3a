"""Counters per minute: what the dashboard reads."""

from datetime import datetime, timedelta, timezone

import pytest
from django.db import connection

from pushes.ledger import counters
from pushes.models import LatencyBucket, MinuteCount

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, 34, 56, 789, tzinfo=timezone.utc)
MINUTE = NOW.replace(second=0, microsecond=0)


def counted() -> dict[tuple[str, str, str, int], int]:
    rows = MinuteCount.objects.values_list("kind", "event", "reason", "app_key_id", "count")
    return {(kind, event, reason, key): count for kind, event, reason, key, count in rows}


def test_events_of_one_minute_add_up():
    key = ("system", "accepted", "", 3)
    counters.add({key: 2}, NOW)
    counters.add({key: 5}, NOW + timedelta(seconds=3))
    assert counted() == {key: 7}
    assert MinuteCount.objects.get().bucket_at == MINUTE


def test_the_next_minute_is_another_row():
    counters.add({("system", "accepted", "", 3): 1}, NOW)
    counters.add({("system", "accepted", "", 3): 1}, NOW + timedelta(minutes=1))
    assert MinuteCount.objects.count() == 2


def test_reasons_and_keys_are_told_apart():
    events = {("group", "skipped", "online", 0): 1, ("group", "skipped", "muted", 0): 2, ("group", "failed", "", 9): 3}
    counters.add(events, NOW)
    assert counted() == events


def test_nothing_that_happened_makes_no_row():
    counters.add({("system", "accepted", "", 3): 0}, NOW)
    counters.add({}, NOW)
    counters.add_latencies([], NOW)
    assert not MinuteCount.objects.exists()
    assert not LatencyBucket.objects.exists()


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, 50), (0.05, 50), (0.051, 100), (0.7, 1_000), (60.0, 60_000), (60.1, 0), (9_999.0, 0)]
)
def test_a_latency_falls_under_the_smallest_bound_that_holds_it(seconds: float, bound: int):
    assert counters.bound_of(seconds) == bound


def test_latencies_are_counted_by_kind_and_bound():
    counters.add_latencies([("system", 0.01), ("system", 0.02), ("group", 0.2)], NOW)
    counters.add_latencies([("system", 0.03)], NOW)
    found = set(LatencyBucket.objects.values_list("kind", "le_ms", "count"))
    assert found == {("system", 50, 3), ("group", 250, 1)}


def test_old_minutes_become_hours_and_lose_nothing():
    old = NOW - timedelta(days=2)
    for minutes in range(3):
        counters.add({("system", "accepted", "", 3): 2}, old + timedelta(minutes=minutes))
    counters.add_latencies([("system", 0.01)], old)
    counters.add({("system", "accepted", "", 3): 1}, NOW)
    assert counters.roll_up(NOW) == 4
    hours = MinuteCount.objects.filter(granularity="hour")
    assert [(row.bucket_at, row.count) for row in hours] == [(old.replace(minute=0, second=0, microsecond=0), 6)]
    assert LatencyBucket.objects.get().granularity == "hour"
    assert MinuteCount.objects.get(granularity="minute").bucket_at == MINUTE


def test_rolling_up_twice_does_nothing_more():
    counters.add({("system", "accepted", "", 3): 2}, NOW - timedelta(days=2))
    counters.roll_up(NOW)
    assert counters.roll_up(NOW) == 0
    assert MinuteCount.objects.get().count == 2


def test_an_hour_that_gets_more_minutes_adds_up():
    old = NOW - timedelta(days=2)
    for _ in range(2):
        counters.add({("system", "accepted", "", 3): 2}, old)
        counters.roll_up(NOW)
    assert MinuteCount.objects.get().count == 4


@pytest.mark.skipif(connection.vendor != "mysql", reason="SQLite has one node")
def test_each_node_of_a_cluster_counts_in_a_row_of_its_own():
    key = ("system", "accepted", "", 3)
    counters.add({key: 2}, NOW)
    MinuteCount.objects.update(node=2)
    counters.add({key: 5}, NOW)
    assert sorted(MinuteCount.objects.values_list("node", "count")) == [(1, 5), (2, 2)]
    counters.roll_up(NOW + timedelta(days=2))
    assert MinuteCount.objects.get(granularity="hour").count == 7
