import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from higo_push.running import processes
from pushes import lanes, submit
from pushes.keys import gate
from pushes.ledger import counters
from pushes.models import AppKey, Lease, PushRecord, RefusedJob
from pushes.names import Platform
from pushes.text.notes import said
from pushes.upkeep import sweep
from pushes.workers import queues
from tests.make import make_app_key
from tests.pushes.api.conftest import Api
from tests.pushes.api.test_pushes import make_delivery

pytestmark = pytest.mark.django_db


def local() -> Client:
    return Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="127.0.0.1:8800")


def scrape(client: Client | None = None, **headers: str) -> dict[tuple[str, ...], float]:
    """Values by name and label values, which stand in the order of the labels' names."""
    response = (client or local()).get("/metrics", headers=headers)
    assert response.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_depths_of_all_queues_and_of_the_raw_list(redis_client: Any):
    redis_client.rpush(lanes.RAW_LIST, "a", "b")
    redis_client.rpush(f"rq:queue:{lanes.send_queue('group', 2)}", "job")
    values = scrape()
    assert values["higo_raw_messages",] == 2
    assert values["higo_queue_jobs", "group", lanes.send_queue("group", 2)] == 1
    assert values["higo_queue_jobs", "system", "hg_message_queue"] == 0


def test_the_workers_that_live_by_lane(redis_client: Any):
    for name, lives in (("system-here-1", True), ("system-here-2", True), ("group-here-3", True), ("group-x-4", False)):
        redis_client.sadd(queues.WORKERS_KEY, f"{queues.WORKER_PREFIX}{name}")
        if lives:
            redis_client.hset(f"{queues.WORKER_PREFIX}{name}", "birth", "now")
    values = scrape()
    assert [values["higo_workers", lane] for lane in ("system", "group", "private")] == [2, 1, 0]


def test_how_long_no_sweeper_has_been_at_work(redis_client: Any):
    assert ("higo_sweeper_missing_seconds",) not in scrape()
    sweep.take_lease(timezone.now())
    assert scrape()["higo_sweeper_missing_seconds",] == 0
    Lease.objects.update(until=timezone.now() - timedelta(seconds=90))
    assert 90 <= scrape()["higo_sweeper_missing_seconds",] < 95


def test_the_age_of_the_oldest(redis_client: Any):
    now = timezone.now()
    PushRecord.objects.create(
        dedupe_key="k",
        kind="system",
        push_type=5,
        app="higo",
        source="api",
        text="x",
        occurred_at=now,
        created_at=now - timedelta(seconds=60),
        expires_at=now,
    )
    make_delivery(1, status="retrying", due_at=now - timedelta(seconds=30))
    make_delivery(2, status="held", due_at=now + timedelta(hours=8))
    values = scrape()
    assert 60 <= values["higo_oldest_seconds", "distribution"] < 65
    assert 30 <= values["higo_oldest_seconds", "delivery"] < 35


def test_nothing_waiting_is_zero_seconds_old(redis_client: Any):
    make_delivery(2, status="held", due_at=timezone.now() + timedelta(hours=8))
    assert scrape()["higo_oldest_seconds", "delivery"] == 0


def test_live_deliveries_by_status(redis_client: Any):
    make_delivery(1, status="pending")
    make_delivery(2, status="accepted")
    values = scrape()
    assert values["higo_live_deliveries", "pending"] == 1
    assert ("higo_live_deliveries", "accepted") not in values


def test_what_became_of_the_recent_past(redis_client: Any):
    now = timezone.now()
    counters.add({("system", "skipped", "no_device", 0): 3}, now)
    counters.add({("system", "skipped", "no_device", 0): 5}, now - timedelta(minutes=10))
    assert scrape()["higo_recent_events", "skipped", "system", "no_device"] == 3


def test_paused_app_keys(redis_client: Any):
    make_app_key(paused_at=timezone.now())
    assert scrape()["higo_app_key_paused", "higo", "xinge", "production", "android"] == 1


def test_app_keys_that_went_back_to_their_old_secret(redis_client: Any):
    make_app_key()
    AppKey.objects.update(fell_back_at=timezone.now())
    make_app_key(platform=Platform.IOS)
    values = scrape()
    assert values["higo_app_key_fell_back", "higo", "xinge", "production", "android"] == 1
    assert values["higo_app_key_fell_back", "higo", "xinge", "production", "ios"] == 0


def test_how_long_recent_pushes_took(redis_client: Any):
    now = timezone.now()
    counters.add_latencies([("system", 0.02), ("system", 0.3), ("system", 99), ("group", 0.3)], now)
    counters.add_latencies([("system", 0.02)], now - timedelta(minutes=10))
    values = scrape()
    found = [values["higo_recent_latency_bucket", "system", le] for le in ("0.05", "0.25", "0.5", "60", "+Inf")]
    assert found == [1, 1, 2, 2, 3]
    assert values["higo_recent_latency_bucket", "group", "0.25"] == 0


def test_an_open_breaker(redis_client: Any, settings: Settings):
    settings.BREAKER_FAILURES = 3
    key, other = make_app_key(), make_app_key(platform=Platform.IOS)
    gate.report(key.pk, answered=0, failed=3)
    values = scrape()
    assert values["higo_app_key_breaker", "higo", "xinge", "production", "android"] == 1
    assert (
        0
        < values["higo_app_key_shut_seconds", "higo", "xinge", "production", "android"]
        <= settings.BREAKER_BASE_SECONDS
    )
    assert values["higo_app_key_breaker", "higo", "xinge", "production", other.platform] == 0


def test_other_parts_add_their_own(redis_client: Any, settings: Settings):
    settings.METRICS_READERS = {"stars": f"{__name__}.read_stars"}
    values = scrape()
    assert (values["stars",], values["higo_source_up", "stars"]) == (7, 1)


def read_stars() -> Iterator[Metric]:
    yield GaugeMetricFamily("stars", "Seen tonight.", value=7)


def test_a_part_that_cannot_be_read_takes_no_other_with_it(redis_client: Any, settings: Settings):
    settings.METRICS_READERS = {"clouds": f"{__name__}.read_clouds"}
    values = scrape()
    assert (values["higo_source_up", "clouds"], values["higo_source_up", "database"]) == (0, 1)


def read_clouds() -> Iterator[Metric]:
    raise DatabaseError("too many")


def test_every_query_uses_an_index(redis_client: Any):
    make_app_key()
    with CaptureQueriesContext(connection) as queries:
        scrape()
    tiny = ("pushes_appkey", "scanner", "pushes_refusedjob")
    reads = [query["sql"] for query in queries if not any(name in query["sql"] for name in tiny)]
    assert len(reads) >= 10
    assert [sql for sql in reads if _scans(sql)] == []


def _scans(sql: str) -> bool:
    """Whether the database would read a whole table for this."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return any(re.match(r"SCAN pushes_", str(row[3])) for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN {sql}")
        # select_type, table, type stand after the id; a counted subquery is a table, too.
        return any(str(row[2]).startswith("pushes_") and row[3] == "ALL" for row in cursor.fetchall())


def test_dead_letters(redis_client: Any):
    submit.dead_letter("intake", "p", b"raw", "malformed", said(""))
    assert scrape()["higo_dead_letters",] == 1


def test_without_redis_the_rest_is_still_told(settings: Settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
    values = scrape()
    assert (values["higo_source_up", "redis"], values["higo_source_up", "database"]) == (0, 1)
    assert ("higo_dead_letters",) in values


def test_scraping_twice_is_fine(redis_client: Any):
    assert scrape().keys() == scrape().keys()


def test_a_token_with_the_scope_may_ask_from_anywhere(redis_client: Any, make_api: Callable[..., Api]):
    api = make_api("metrics")
    assert scrape(Client(REMOTE_ADDR="10.0.0.9"), Authorization=f"Bearer {api.clear}")


@pytest.mark.parametrize("scopes", [["push"], ["read", "accounts"]])
def test_a_token_without_the_scope_may_not(make_api: Callable[..., Api], scopes: list[str]):
    assert make_api(*scopes).raw("GET", "/metrics").status_code == 403


@pytest.mark.parametrize(("address", "host"), [("10.0.0.9", "localhost"), ("127.0.0.1", "testserver")])
def test_another_machine_or_another_name_needs_a_token(address: str, host: str):
    assert Client(REMOTE_ADDR=address, HTTP_HOST=host).get("/metrics").status_code == 401


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8800", "[::1]:8800"])
def test_this_machine_needs_none(redis_client: Any, host: str):
    assert scrape(Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST=host))


@pytest.mark.parametrize("mark", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"])
def test_what_a_proxy_passed_on_is_not_local(mark: str):
    assert local().get("/metrics", headers={mark: "10.0.0.9"}).status_code == 401


def test_behind_a_proxy_nothing_is_local(settings: Settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert local().get("/metrics").status_code == 401


def test_refused_jobs_are_counted_from_nothing(redis_client: Any):
    """A rate needs the time before the first: those that never happened are told as 0."""
    values = scrape()
    assert values["higo_refused_jobs_total", "system", "function"] == 0
    RefusedJob.objects.create(lane="group", reason="extras", count=7, last_at=timezone.now(), detail="x")
    values = scrape()
    assert values["higo_refused_jobs_total", "group", "extras"] == 7
    assert values["higo_refused_jobs_total", "system", "extras"] == 0
