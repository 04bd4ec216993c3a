from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from math import inf
from typing import Any

import pytest
import redis
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone as clock

from pushes import counters, keygate, queues
from pushes.admin import health, landing, series
from pushes.counters import SUBMITTED
from pushes.names import Status
from tests.make import make_app_key, make_broadcast, make_dead_letter, make_delivery
from tests.pushes.admin.conftest import SignIn

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
    count(SUBMITTED, 30)
    count(SUBMITTED, 6, kind="group", at=NOW - timedelta(minutes=5))
    found = series.figures(HOUR, NOW)
    assert found.per_minute["system"][-1] == 30
    assert found.per_minute["group"][-6] == 6
    assert found.events[SUBMITTED] == 36


def test_longer_steps_show_rates_per_minute() -> None:
    count(SUBMITTED, 30)
    assert series.figures(DAY, NOW).per_minute["system"][-1] == 2


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
    assert series.figures(HOUR, NOW).success_percent == 90


def test_without_deliveries_there_is_no_success_rate() -> None:
    assert series.figures(HOUR, NOW).success_percent is None


@pytest.mark.parametrize(
    ("counts", "quantile", "bound"),
    [({}, 0.5, None), ({50: 1}, 0.5, 50), ({50: 1, 100: 1}, 0.95, 100), ({50: 99, 0: 1}, 0.99, 50), ({0: 1}, 0.5, inf)],
)
def test_a_quantile_is_the_bound_that_it_stays_under(
    counts: dict[int, int], quantile: float, bound: float | None
) -> None:
    assert series.at_quantile(counts, quantile) == bound


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (50.0, "≤ 50 ms"), (2500.0, "≤ 2.5 s"), (inf, "> 60 s")])
def test_latencies_are_shown_as_bounds(value: float | None, text: str) -> None:
    assert landing.milliseconds(value) == text


def test_latencies_come_from_the_histogram() -> None:
    counters.add_latencies([("system", 0.04)] * 9 + [("system", 90.0)], NOW)
    found = series.figures(HOUR, NOW)
    assert (found.latency[0.5], found.latency[0.95]) == (50, inf)
    assert series.chart_data(found, [])["latencies"]["p95"][-1] == 60_000


def test_an_empty_system_says_how_to_begin(administrator: Client) -> None:
    page = overview(administrator)
    assert "Three steps to the first push" in page
    assert reverse("admin:pushes_appkey_changelist") in page


def test_the_page_shows_figures_reasons_and_waiting_work(viewer: Client) -> None:
    make_app_key()
    make_dead_letter(reason="truncated")
    broadcast = make_broadcast(title="Spring", status="sending")
    counters.add({("system", "skipped", "online", 0): 1234}, clock.now())
    page = overview(viewer)
    assert "the account is online" in page
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
    while not keygate.report(key.pk, answered=0, failed=100):
        pass
    assert "single probes" in overview(viewer)


def test_no_worker_is_an_alert(viewer: Client, redis_client: redis.Redis) -> None:
    assert "No worker is running" in overview(viewer)
    redis_client.sadd("rq:workers", "rq:worker:a")
    redis_client.set("rq:worker:a", 1)
    assert "No worker is running" not in overview(viewer)


def test_a_worker_that_died_does_not_count(redis_client: redis.Redis) -> None:
    redis_client.sadd("rq:workers", "rq:worker:gone")
    view = health.redis_view()
    assert view is not None
    assert view.workers == 0


def test_a_push_that_waits_too_long_is_an_alert(viewer: Client) -> None:
    make_delivery(status=Status.PENDING, due_at=clock.now() - timedelta(hours=3))
    assert "has waited for 3 h" in overview(viewer)


def test_the_page_stands_while_redis_is_away(viewer: Client, settings: Any) -> None:
    settings.RQ_QUEUES = {name: {**queue, "URL": "redis://127.0.0.1:1/0"} for name, queue in settings.RQ_QUEUES.items()}
    assert "Redis does not answer" in overview(viewer)
    queues._client.cache_clear()


def test_the_page_never_reads_through_the_log(viewer: Client) -> None:
    make_delivery()
    with CaptureQueriesContext(connection) as asked:
        overview(viewer)
    of_the_log = [q["sql"] for q in asked if "pushes_deliveryresult" in q["sql"]]
    assert all("LIMIT 1" in sql and "COUNT" not in sql for sql in of_the_log)


def test_staff_without_a_role_sees_no_figures(sign_in: SignIn) -> None:
    make_app_key()
    page = overview(sign_in(""))
    assert "Ask an administrator for a role" in page
    assert 'id="overview"' not in page
