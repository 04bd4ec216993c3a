from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from pushes.names import App, Channel, Environment, Platform, ProviderKind
from pushes.people import coverage
from pushes.people.coverage import Coverage, Reach
from tests.make import make_account, make_app_key, make_device

pytestmark = pytest.mark.django_db
ANDROID = (App.HIGO, Platform.ANDROID, Environment.PRODUCTION)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch, redis_client: Redis) -> None:
    monkeypatch.setattr(coverage, "SPAN", 2)


def phones(account_id: str, *channels: Channel, **fields: Any) -> None:
    account = make_account(account_id)
    for channel in channels:
        make_device(account, channel=channel, **fields)


def counted() -> list[Coverage]:
    count = coverage.count_on(60)
    assert count.finished_at
    return coverage.coverages(count)


def test_accounts_are_counted_by_channel_and_by_dependence():
    make_app_key(provider=ProviderKind.FCM)
    make_app_key(provider=ProviderKind.XINGE_V2, is_enabled=False)
    phones("1", Channel.XINGE, Channel.XINGE)
    phones("2", Channel.XINGE, Channel.FCM)
    phones("3", Channel.FCM)
    phones("4", Channel.JPUSH)
    phones("5", Channel.XINGE, is_active=False)
    phones("6")
    assert counted() == [
        Coverage(
            ANDROID,
            accounts=4,
            unreachable=2,
            channels=(
                Reach(Channel.XINGE, 2, 1, "disabled"),
                Reach(Channel.FCM, 2, 1, "enabled"),
                Reach(Channel.JPUSH, 1, 1, ""),
            ),
        )
    ]


def test_apps_platforms_and_environments_are_counted_apart():
    account = make_account("1")
    make_device(account)
    make_device(account, App.HIGIRL)
    make_device(account, platform=Platform.IOS)
    make_device(account, environment=Environment.LOCAL)
    found = counted()
    assert len({one.scope for one in found}) == 4
    assert {(one.accounts, one.unreachable) for one in found} == {(1, 1)}


def test_a_key_without_a_device_is_shown_and_nothing_else():
    assert counted() == []
    make_app_key(platform=Platform.HARMONY, provider=ProviderKind.HUAWEI_V3)
    [one] = counted()
    assert (one.accounts, one.channels) == (0, (Reach(Channel.HUAWEI, 0, 0, "enabled"),))


def test_a_count_goes_on_where_it_stopped():
    for number in range(7):
        phones(f"a{number}", Channel.XINGE)
    seen = [coverage.count_on(1e-9).seen for _ in range(4)]
    assert seen == [2, 4, 6, 7]
    assert coverage.count_on(0).finished_at
    [one] = counted()
    assert one.accounts == 7


def test_a_finished_count_stays_until_it_is_begun_anew():
    phones("1", Channel.XINGE)
    counted()
    phones("2", Channel.XINGE)
    assert counted()[0].accounts == 1
    coverage.begin_anew()
    assert counted()[0].accounts == 2


@pytest.mark.parametrize("stored", [b"", b"no json", b"[]", b'{"begun_at": "x"}', b'{"begun_at": 5}', b"[" * 100_000])
def test_what_another_version_stored_is_counted_anew(redis_client: Redis, stored: bytes):
    redis_client.set(coverage.STATE, stored)
    phones("1", Channel.XINGE)
    assert counted()[0].accounts == 1


def test_a_value_of_another_kind_is_counted_anew(redis_client: Redis):
    redis_client.hset(coverage.STATE, "planted", "1")
    assert coverage.count_on().finished_at is not None


def test_a_count_survives_being_stored(redis_client: Redis):
    phones("1", Channel.XINGE, Channel.FCM)
    phones("2", Channel.JPUSH)
    before = coverage.count_on(60)
    after = coverage.count_on(60)
    assert (before.groups, before.seen, before.finished_at) == (after.groups, after.seen, after.finished_at)
    assert before.begun_at <= timezone.now()
