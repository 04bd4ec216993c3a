"""Leases are by the database's clock, and a clock that differs is told of."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from pushes.ledger import claims
from pushes.models import DeliveryResult
from pushes.names import PushType, Status
from pushes.storage import clocks
from pushes.upkeep.sweep import sweep
from tests.needs import needs
from tests.pushes.rows import leave_redis, make_delivery, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HOUR = timedelta(hours=1)


def is_mariadb() -> bool:
    return connection.vendor == "mysql"


@pytest.fixture
def clock_off_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put this machine's clock forward, or back."""
    real = time.time

    def put(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return put


def test_clocks_that_agree_are_no_problem():
    assert set(clocks.seconds_ahead()) == ({"database", "redis"} if is_mariadb() else {"redis"})
    assert all(abs(seconds) < 1 for seconds in clocks.seconds_ahead().values())
    assert clocks.problems() == {}


@pytest.mark.parametrize("seconds", [3.5, -3.5])
def test_a_clock_that_differs_is_told_with_its_difference(
    clock_off_by: Callable[[float], None], seconds: float, caplog: pytest.LogCaptureFixture
):
    clock_off_by(seconds)
    found = clocks.seconds_ahead()
    assert all(abs(ahead - seconds) < 0.5 for ahead in found.values())
    clocks.warn()
    assert len(caplog.messages) == len(found)
    assert "that of the Redis server: set both by NTP." in caplog.messages[-1]


def test_the_time_that_asking_takes_is_no_difference(monkeypatch: pytest.MonkeyPatch):
    ask = clocks._redis_clock

    def slowly() -> float:
        time.sleep(0.3)
        answer = ask()
        time.sleep(0.3)
        return answer

    monkeypatch.setattr(clocks, "_redis_clock", slowly)
    assert abs(clocks.seconds_ahead()["redis"]) < 0.1


def test_a_server_that_is_away_has_no_clock(settings: Settings):
    leave_redis(settings)
    assert "redis" not in clocks.seconds_ahead()
    assert clocks.problems() == {}


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_a_sender_whose_clock_is_wrong_keeps_its_lease(is_begun: bool, seconds: int):
    """A sweeper with another clock would give away what is just being sent, and have it sent twice."""
    needs("mariadb")
    row = make_delivery(make_record(push_type=PushType.NEW_ORDER), expires_at=timezone.now() + 3 * HOUR)
    there = timezone.now() + timedelta(seconds=seconds)
    token, _ = claims.claim([row.pk], now=there, lease_seconds=60)
    if is_begun:
        claims.begin([row.pk], token, now=there, lease_seconds=60)
    sweep()
    assert DeliveryResult.objects.get().status == Status.SENDING


def test_a_lease_that_has_run_out_is_seen_so_by_every_clock(monkeypatch: pytest.MonkeyPatch):
    row = make_delivery(make_record(push_type=PushType.CHAT))
    there: Any = timezone.now() - (HOUR if is_mariadb() else timedelta())
    claims.claim([row.pk], now=there, lease_seconds=-1)
    sweep(now=there)
    assert DeliveryResult.objects.get().status == Status.PENDING
