from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from math import inf
from typing import Any

import pytest
import redis
from django.core.cache import cache
from django.db import connection
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone as clock
from hypothesis import given
from hypothesis import strategies as st

from pushes import lanes
from pushes.console.overview.page import milliseconds
from pushes.history import series, vitals
from pushes.keys import gate
from pushes.ledger import counters
from pushes.ledger.counters import SUBMITTED
from pushes.models import LatencyBucket
from pushes.names import RecordStatus, Status
from pushes.storage import shared_redis
from pushes.workers import queues
from tests.make import make_app_key, make_broadcast, make_dead_letter, make_delivery, make_record
from tests.pushes.console.conftest import SignIn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
NOW = datetime(2026, 5, 1, 12, 34, 56, tzinfo=timezone.utc)
HOUR, DAY, WEEK = (series.SPANS[name] for name in ("1h", "24h", "7d"))


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def overview(client: Client, **query: str) -> str:
    answer = client.get(reverse("admin:index"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def count(event: str, number: int, *, at: datetime = NOW, kind: str = "system", reason: str = "", key: int = 0) -> None:
    counters.add({(kind, event, reason, key): number}, at)


@pytest.mark.parametrize(("span", "steps"), [(HOUR, 60), (DAY, 96), (WEEK, 168)])
def test_the_last_step_holds_the_present(span: series.Span, steps: int) -> None:
    moments = span.moments(NOW)
    assert len(moments) == steps
    assert moments[-1] <= NOW < moments[-1] + span.step


def test_pushes_are_counted_per_minute_and_kind() -> None:
    count(SUBMITTED, 30, at=NOW - timedelta(minutes=1))
    count(SUBMITTED, 6, kind="group", at=NOW - timedelta(minutes=5))
    found = series.figures(HOUR, NOW)
    assert found.per_minute["system"][-2] == 30
    assert found.per_minute["group"][-6] == 6
    assert found.events[SUBMITTED] == 36


def test_longer_steps_show_rates_per_minute() -> None:
    count(SUBMITTED, 30, at=NOW - timedelta(minutes=15))
    assert series.figures(DAY, NOW).per_minute["system"][-2] == 2


@pytest.mark.parametrize(
    ("span", "seconds", "expected"), [(HOUR, 30, 60), (HOUR, 1, 90), (HOUR, 59, 30 / 59 * 60), (DAY, 300, 6)]
)
def test_the_step_under_way_shows_the_rate_so_far(span: series.Span, seconds: int, expected: float) -> None:
    now = datetime(2026, 5, 1, 12, 30, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    count(SUBMITTED, 30, at=now)
    assert series.figures(span, now).per_minute["system"][-1] == pytest.approx(expected)


def test_keys_are_added_up() -> None:
    count(Status.ACCEPTED, 3, key=1)
    count(Status.ACCEPTED, 4, key=2)
    assert series.figures(HOUR, NOW).outcomes[Status.ACCEPTED][-1] == 7


def test_what_is_older_than_the_span_is_left_out() -> None:
    count(SUBMITTED, 5, at=NOW - timedelta(hours=2))
    assert series.figures(HOUR, NOW).events[SUBMITTED] == 0
    assert series.figures(DAY, NOW).events[SUBMITTED] == 5


def test_a_week_holds_hours_and_minutes_together() -> None:
    count(SUBMITTED, 5, at=NOW - timedelta(days=3))
    count(SUBMITTED, 7)
    counters.roll_up(NOW)
    assert series.figures(WEEK, NOW).events[SUBMITTED] == 12


def test_the_success_rate_leaves_out_what_was_not_to_be_sent() -> None:
    count(Status.ACCEPTED, 9)
    count(Status.FAILED, 1)
    count(Status.SKIPPED, 90)
    assert series.figures(HOUR, NOW).attempts.success_percent == 90


def test_without_deliveries_there_is_no_success_rate() -> None:
    assert series.figures(HOUR, NOW).attempts.success_percent is None


@pytest.mark.parametrize(
    ("counts", "quantile", "value"),
    [
        ({}, 0.5, None),
        ({50: 1}, 0.5, 25),
        ({50: 10}, 0.95, 47.5),
        ({100: 10}, 0.5, 75),
        ({50: 1, 100: 1}, 0.95, 95),
        ({50: 50, 250: 50}, 0.5, 50),
        ({50: 99, 0: 1}, 0.99, 50),
        ({0: 1}, 0.5, inf),
        ({60_000: 4}, 1.0, 60_000),
    ],
)
def test_a_quantile_is_estimated_between_the_bounds_that_it_lies_between(
    counts: dict[int, int], quantile: float, value: float | None
) -> None:
    assert series.at_quantile(counts, quantile) == (value if value is None else pytest.approx(value))


@given(
    st.dictionaries(st.sampled_from((*LatencyBucket.BOUNDS_MS, 0)), st.integers(1, 1_000), min_size=1),
    st.floats(0.01, 0.99),
)
def test_an_estimate_never_leaves_its_bucket(counts: dict[int, int], quantile: float) -> None:
    """The bound that the quantile stays under, as the histogram knows it for sure, and the one below it."""
    found = series.at_quantile(counts, quantile)
    reached, lower = 0, 0
    for bound in LatencyBucket.BOUNDS_MS:
        reached += counts.get(bound, 0)
        if reached >= quantile * sum(counts.values()):
            assert found is not None
            assert lower <= found <= bound
            return
        lower = bound
    assert found == inf


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (47.5, "≈ 48 ms"), (2540.0, "≈ 2.5 s"), (999.0, "≈ 1 s"), (inf, "> 60 s")]
)
def test_latencies_are_shown_as_estimates(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_latencies_come_from_the_histogram() -> None:
    counters.add_latencies([("system", 0.04)] * 9 + [("system", 90.0)], NOW)
    found = series.figures(HOUR, NOW)
    assert found.latency[0.5] == pytest.approx(27.8, abs=0.1)
    assert found.latency[0.95] == inf
    assert series.chart_data(found, [])["latencies"]["p95"][-1] == 60_000


def test_an_empty_system_says_how_to_begin(administrator: Client) -> None:
    page = overview(administrator)
    assert "Welcome: three steps to your first push" in page
    assert reverse("admin:pushes_appkey_changelist") in page


def test_the_page_shows_figures_reasons_and_waiting_work(viewer: Client) -> None:
    make_app_key()
    make_dead_letter(reason="truncated")
    broadcast = make_broadcast(title="Spring", status="sending")
    counters.add({("system", "skipped", "online", 0): 1234}, clock.now())
    page = overview(viewer)
    assert "online: shown in the app instead" in page
    assert "1,234" in page
    assert "truncated" in page
    assert reverse("admin:pushes_broadcast_progress_page", args=(broadcast.pk,)) in page


def test_the_part_is_the_figures_alone(viewer: Client) -> None:
    page = overview(viewer, part="1", span="24h")
    assert page.lstrip().startswith('<div id="overview"')
    assert "<html" not in page


@pytest.mark.parametrize("span", ["1h", "24h", "7d", "nonsense", ""])
def test_every_span_is_shown(viewer: Client, span: str) -> None:
    assert 'id="chart-data"' in overview(viewer, span=span)


def test_a_paused_key_is_an_alert(viewer: Client) -> None:
    make_app_key(paused_at=clock.now(), paused_reason="sign error")
    assert "sign error" in overview(viewer)


def test_a_failing_provider_is_an_alert(viewer: Client, settings: Any) -> None:
    key = make_app_key()
    while not gate.report(key.pk, answered=0, failed=100):
        pass
    assert "is failing. We retry with single test calls" in overview(viewer)


def test_no_worker_is_an_alert(viewer: Client, redis_client: redis.Redis) -> None:
    assert "No worker is running" in overview(viewer)
    redis_client.sadd("rq:workers", "rq:worker:a")
    redis_client.set("rq:worker:a", 1)
    assert "No worker is running" not in overview(viewer)


def test_a_worker_that_died_does_not_count(redis_client: redis.Redis) -> None:
    redis_client.sadd("rq:workers", "rq:worker:gone")
    view = vitals.redis_view()
    assert view is not None
    assert view.workers == 0


def live_worker(client: redis.Redis, name: str) -> None:
    client.sadd("rq:workers", f"rq:worker:{name}")
    client.set(f"rq:worker:{name}", 1)


def test_a_lane_that_no_worker_serves_is_an_alert(viewer: Client, redis_client: redis.Redis) -> None:
    for lane in ("system", "group", "private"):
        live_worker(redis_client, f"{lane}-host-1")
    page = overview(viewer)
    assert "No worker serves the broadcast lane" in page
    assert page.count("No worker serves") == 1


def test_every_lane_shows_its_jobs_their_age_and_its_workers(redis_client: redis.Redis) -> None:
    live_worker(redis_client, "system-host-1")
    live_worker(redis_client, "system-host-2")
    begun = clock.now()
    with TestCase.captureOnCommitCallbacks(execute=True):
        queues.enqueue_send("system", 0, [1])
        queues.enqueue_distribute("group", 2, [1])
    redis_client.rpush(lanes.RAW_LIST, "a", "b", "c")
    view = vitals.redis_view()
    assert view is not None
    found = {lane.name: (lane.jobs, lane.workers) for lane in view.lanes}
    assert found == {"system": (1, 2), "group": (1, 0), "private": (0, 0), "broadcast": (0, 0)}
    ages = {lane.name: lane.oldest_at for lane in view.lanes}
    assert ages["private"] is None
    assert ages["system"] is not None
    assert begun <= ages["system"] <= clock.now()
    assert view.raw_messages == 3


def test_a_job_that_has_vanished_has_no_age(redis_client: redis.Redis) -> None:
    redis_client.rpush("rq:queue:hg_xinge_queue", "gone")
    view = vitals.redis_view()
    assert view is not None
    assert (view.lanes[0].jobs, view.lanes[0].oldest_at) == (1, None)


def test_what_nobody_distributes_is_an_alert(viewer: Client) -> None:
    make_record(status=RecordStatus.PENDING, created_at=clock.now() - timedelta(hours=2))
    page = overview(viewer)
    assert "has waited 2 h for distribution" in page
    assert "has been due for" not in page


def test_the_keys_are_shown_while_redis_is_away(viewer: Client, settings: Any) -> None:
    make_app_key(paused_at=clock.now(), paused_reason="wrong clock")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = overview(viewer)
    assert 'title="wrong clock"' in page
    assert "Unknown while Redis does not answer." in page
    shared_redis.client.cache_clear()


def test_a_key_that_was_asked_to_wait_says_for_how_long(viewer: Client) -> None:
    key = make_app_key()
    gate.report(key.pk, answered=0, failed=0, pause_seconds=90)
    assert "waiting 90 s" in overview(viewer)


def test_a_push_that_waits_too_long_is_an_alert(viewer: Client) -> None:
    make_delivery(status=Status.PENDING, due_at=clock.now() - timedelta(hours=3))
    assert "has been due for 3 h" in overview(viewer)


def test_the_page_stands_while_redis_is_away(viewer: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "Redis does not answer" in overview(viewer)
    shared_redis.client.cache_clear()


def test_the_page_never_reads_through_the_log(viewer: Client) -> None:
    make_delivery()
    with CaptureQueriesContext(connection) as asked:
        overview(viewer)
    of_the_log = [q["sql"] for q in asked if "pushes_deliveryresult" in q["sql"]]
    limits = [int(sql.rpartition("LIMIT ")[2].split()[0]) for sql in of_the_log]
    assert max(limits) == vitals.MAX_TOLD_APART + 1
    assert not any("COUNT" in sql for sql in of_the_log)


def test_staff_without_a_role_sees_no_figures(sign_in: SignIn) -> None:
    make_app_key()
    page = overview(sign_in(""))
    assert "Ask an administrator for a role" in page
    assert 'id="overview"' not in page
