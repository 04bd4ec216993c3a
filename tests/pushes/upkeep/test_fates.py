"""Dead tokens that were dropped from accepted lists are found afterwards."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.models import AppKey, DeliveryResult, Device, DeviceEvent
from pushes.names import Channel, PauseCode, ProviderKind, Reason, Status
from pushes.upkeep import fates
from pushes.upkeep.sweep import sweep
from tests.make import make_account, make_app_key, make_device
from tests.pushes.providers.jpush_server import APP_KEY, MASTER_SECRET, JPushServer, running_jpush
from tests.pushes.rows import make_delivery, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HOUR = timedelta(hours=1)
NUMBERS = iter(range(10**6))


@pytest.fixture
def jpush() -> Iterator[JPushServer]:
    with running_jpush() as server:
        yield server


@pytest.fixture
def key(jpush: JPushServer) -> AppKey:
    return make_app_key(provider=ProviderKind.JPUSH, access_id=APP_KEY, secret=MASTER_SECRET, endpoint_url=jpush.url)


def sent(key: AppKey, *starts: str, push_id: str = "", ago: timedelta = HOUR, **fields: Any) -> list[DeliveryResult]:
    """The rows of an accepted list, each to a device whose token begins so."""
    at, record = timezone.now() - ago, make_record()
    push_id = push_id or str(10**17 + next(NUMBERS))
    rows = []
    for start in starts:
        token = f"{start}{next(NUMBERS):015d}"
        device = make_device(make_account(), token=token, channel=Channel.JPUSH, seen_at=at - HOUR)
        given = {"status": Status.ACCEPTED, "provider_push_id": push_id, "sent_at": at, "created_at": at} | fields
        rows.append(make_delivery(record, device, app_key_id=key.pk, **given))
    return rows


def is_active(rows: list[DeliveryResult]) -> list[bool]:
    active = dict(Device.objects.values_list("token", "is_active"))
    return [active[row.token] for row in rows]


def test_a_token_that_was_dropped_from_a_list_is_deactivated(jpush: JPushServer, key: AppKey):
    rows = sent(key, "1", "dead", "2")
    assert fates.ask(timezone.now()) == 3
    assert is_active(rows) == [True, False, True]
    event = DeviceEvent.objects.get()
    assert (event.reason, "dropped it from a list" in event.detail) == (Reason.BAD_TOKEN, True)
    [question] = jpush.asked
    assert question == {"msg_id": int(rows[0].provider_push_id), "registration_ids": [row.token for row in rows]}


def test_every_list_is_asked_about_once(jpush: JPushServer, key: AppKey):
    sent(key, "1", "2")
    assert [fates.ask(timezone.now()) for _ in range(3)] == [2, 0, 0]
    sent(key, "3", "4", "5")
    assert fates.ask(timezone.now()) == 3
    assert len(jpush.asked) == 2


@pytest.mark.parametrize("planted", ["nonsense", "-1", "9" * 18, "9" * 40])
def test_without_its_memory_it_asks_again_and_nothing_else(
    jpush: JPushServer, key: AppKey, redis_client: Redis, planted: str
):
    rows = sent(key, "1", "dead", "2")
    fates.ask(timezone.now())
    redis_client.set(fates.POSITION_KEY.format(key_id=key.pk), planted)
    assert fates.ask(timezone.now()) == 3
    assert is_active(rows) == [True, False, True]
    assert DeviceEvent.objects.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"ago": timedelta(minutes=5)},
        {"ago": timedelta(hours=30)},
        {"status": Status.UNKNOWN},
        {"provider_push_id": ""},
        {"app_key_id": 0},
    ],
    ids=str,
)
def test_only_ripe_lists_of_the_last_day_are_asked_about(jpush: JPushServer, key: AppKey, fields: dict[str, Any]):
    given = {name: value for name, value in fields.items() if name != "app_key_id"}
    rows = sent(key, "1", "dead", **given)
    if "app_key_id" in fields:
        DeliveryResult.objects.update(app_key_id=key.pk + 1)
    assert fates.ask(timezone.now()) == 0
    assert (jpush.asked, is_active(rows)) == ([], [True, True])


def test_a_single_call_told_its_fate_already(jpush: JPushServer, key: AppKey):
    sent(key, "1")
    fates.ask(timezone.now())
    assert jpush.asked == []


def test_a_device_that_registered_since_is_alive(jpush: JPushServer, key: AppKey):
    rows = sent(key, "1", "dead", "2")
    Device.objects.filter(token=rows[1].token).update(seen_at=timezone.now())
    fates.ask(timezone.now())
    assert is_active(rows) == [True] * 3


def test_under_a_key_that_all_tokens_are_foreign_to_nobody_is_deactivated(jpush: JPushServer, key: AppKey):
    rows = sent(key, *["dead"] * 12)
    fates.ask(timezone.now())
    assert is_active(rows) == [True] * 12
    key.refresh_from_db()
    assert key.paused_code == PauseCode.TOKENS_DOUBTED


def test_a_round_asks_little_and_the_next_goes_on(jpush: JPushServer, key: AppKey):
    for _ in range(fates.MAX_CALLS + 2):
        sent(key, "1", "2")
    assert [fates.ask(timezone.now()) for _ in range(3)] == [2 * fates.MAX_CALLS, 4, 0]
    assert len({question["msg_id"] for question in jpush.asked}) == len(jpush.asked) == fates.MAX_CALLS + 2


def test_the_rate_of_the_key_is_kept(jpush: JPushServer, key: AppKey):
    AppKey.objects.update(rate_per_second=1)
    for _ in range(3):
        sent(key, "1", "2")
    assert fates.ask(timezone.now()) == 2


def test_while_the_vendor_is_away_the_question_waits(jpush: JPushServer, key: AppKey):
    rows = sent(key, "1", "dead", "2")
    AppKey.objects.update(endpoint_url="http://127.0.0.1:1")
    assert fates.ask(timezone.now()) == 0
    AppKey.objects.update(endpoint_url=jpush.url)
    assert fates.ask(timezone.now()) == 3
    assert is_active(rows) == [True, False, True]


def test_a_paused_or_disabled_key_is_not_asked_under(jpush: JPushServer, key: AppKey):
    sent(key, "1", "2")
    AppKey.objects.update(paused_at=timezone.now())
    assert fates.ask(timezone.now()) == 0
    AppKey.objects.update(paused_at=None, is_enabled=False)
    assert fates.ask(timezone.now()) == 0
    assert jpush.asked == []


def test_the_sweeper_asks(jpush: JPushServer, key: AppKey):
    rows = sent(key, "1", "dead", "2")
    sweep()
    assert is_active(rows) == [True, False, True]


def test_other_providers_cost_one_query(settings: Settings, django_assert_num_queries):
    make_app_key()
    with django_assert_num_queries(1):
        fates.ask(timezone.now())
