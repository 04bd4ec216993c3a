"""Each trouble is an alert that says what to do; nothing wrong is said, too."""

from datetime import timedelta

import pytest
import redis
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from pushes import lanes
from pushes.console.overview import alerts
from pushes.history import vitals
from pushes.models import AppKey, Lease, RefusedJob
from pushes.names import SWEEPER_LEASE
from tests.make import make_app_key, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def overview(client: Client) -> str:
    cache.clear()
    return client.get(reverse("admin:index")).content.decode()


def swept(ago: timedelta) -> None:
    Lease.objects.create(name=SWEEPER_LEASE, holder="x", until=timezone.now() - ago)


def test_a_sweeper_that_has_stopped_is_an_alert_with_advice(viewer: Client) -> None:
    swept(timedelta(minutes=5))
    page = overview(viewer)
    assert "The sweeper has not run for 5 min" in page
    assert "Run ./push.sh status to see what has stopped" in page


def test_a_sweeper_at_work_is_none(viewer: Client) -> None:
    swept(timedelta(seconds=-8))
    assert "The sweeper has not run" not in overview(viewer)


def test_a_sweeper_that_never_ran_is_missed_once_something_waits(viewer: Client) -> None:
    assert "The sweeper has not run" not in overview(viewer)
    make_record(status="pending", created_at=timezone.now() - timedelta(minutes=3))
    assert "The sweeper has not run for 3 min" in overview(viewer)


def test_messages_that_nobody_takes_in_are_an_alert(viewer: Client, redis_client: redis.Redis) -> None:
    redis_client.rpush(lanes.RAW_LIST, b"first", b"second")
    cache.clear()
    now = timezone.now()
    viewed = vitals.redis_view()
    assert alerts.raw_waits_since(viewed, now) == now
    assert alerts.raw_waits_since(viewed, now + timedelta(minutes=3)) == now
    redis_client.lpop(lanes.RAW_LIST)
    later = now + timedelta(minutes=4)
    assert alerts.raw_waits_since(vitals.redis_view(), later) == later


def test_without_messages_nothing_waits() -> None:
    assert alerts.raw_waits_since(vitals.redis_view(), timezone.now()) is None


def test_a_paused_key_says_what_to_do_and_is_urgent(viewer: Client) -> None:
    make_app_key(paused_at=timezone.now(), paused_reason="bad secret")
    page = overview(viewer)
    assert 'class="is-urgent" data-alert="paused-' in page
    assert "verify the key, then resume it" in page
    assert ">Open the key</a>" in page


def test_urgent_alerts_come_first(viewer: Client) -> None:
    AppKey.objects.filter(pk=make_app_key().pk).update(fell_back_at=timezone.now())
    swept(timedelta(minutes=5))
    page = overview(viewer)
    assert page.index("The sweeper") < page.index("sending rolled back to the old one")


def test_an_alert_keeps_its_name_while_its_time_goes_on() -> None:
    early, late = (timezone.now() + timedelta(minutes=minutes) for minutes in (3, 9))
    waiting = vitals.Waiting(timezone.now(), None)
    names = [[alert.name for alert in alerts.late(None, waiting, now)] for now in (early, late)]
    assert names[0] == names[1] == ["due"]


def test_nothing_wrong_is_said(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.console.overview.page.alerts.raised", lambda *_facts: [])
    assert "All clear." in overview(viewer)


def test_jobs_of_somebody_else_are_an_alert_for_a_day(viewer: Client, administrator: Client) -> None:
    assert "not the platform&#x27;s" not in overview(viewer)
    refused = {"lane": "system", "count": 3, "detail": "the function 'os.system' is none of ours"}
    RefusedJob.objects.create(reason="function", last_at=timezone.now() - timedelta(hours=2), **refused)
    page = overview(viewer)
    assert "were refused (3 so far, the last 2 h ago: calls an unknown function)" in page
    assert "None of them ran" in page
    # The pages of the queues are for those who may see them.
    address = reverse("admin:django_rq_dashboard_changelist")
    assert [page.count(f'href="{address}"') for page in (overview(viewer), overview(administrator))] == [0, 2]
    RefusedJob.objects.update(last_at=timezone.now() - timedelta(hours=25))
    assert "were refused" not in overview(viewer)
