"""Which app key a device's push takes, and which of an installation's devices gets it."""

from typing import Any

import pytest
from pytest_django import Settings

from pushes.broadcasts.audiences import Member, one_per_installation
from pushes.broadcasts.expansion import expand
from pushes.broadcasts.lifecycle import launch
from pushes.distribution.distribute import distribute
from pushes.models import Account, AppKey, Broadcast, DeliveryResult, Device
from pushes.names import App, Channel, Platform, ProviderKind, PushType, Reason, Status
from pushes.people import devices, tags
from pushes.people.directory import TableDirectory
from pushes.submit import submit
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.rows import make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
XINGE, FCM, JPUSH = Channel.XINGE, Channel.FCM, Channel.JPUSH


@pytest.fixture
def keys() -> dict[Channel, AppKey]:
    kinds = {XINGE: ProviderKind.XINGE_V2, FCM: ProviderKind.FCM, JPUSH: ProviderKind.JPUSH}
    return {channel: make_app_key(provider=kind) for channel, kind in kinds.items()}


def phone(channel: Channel, installation_id: str = "", account_id: str = "7", **fields: Any) -> Device:
    account = Account.objects.filter(pk=account_id).first() or make_account(account_id)
    return make_device(account, channel=channel, installation_id=installation_id, **fields)


def push(*account_ids: str) -> list[DeliveryResult]:
    ids = submit([make_message(*account_ids, push_type=PushType.NEW_ORDER)]).record_ids
    distribute(ids)
    return list(DeliveryResult.objects.filter(record_id__in=ids).order_by("id"))


def pushed(*account_ids: str) -> set[str]:
    return {row.token for row in push(*account_ids)}


def test_a_push_takes_the_key_of_its_devices_channel(keys: dict[Channel, AppKey]):
    found = {channel: phone(channel) for channel in keys}
    assert {row.token: row.app_key_id for row in push("7")} == {
        device.token: keys[channel].pk for channel, device in found.items()
    }


@pytest.mark.parametrize("change", [{"is_enabled": False}, None])
def test_without_an_enabled_key_of_its_channel_it_is_skipped(
    keys: dict[Channel, AppKey], change: dict[str, Any] | None
):
    phone(FCM)
    if change is None:
        keys[FCM].delete()
    else:
        AppKey.objects.filter(pk=keys[FCM].pk).update(**change)
    assert [(row.status, row.reason) for row in push("7")] == [(Status.SKIPPED, Reason.NO_APP_KEY)]


def test_of_an_installation_one_token_gets_the_push(keys: dict[Channel, AppKey], settings: Settings):
    old, new, other = phone(XINGE, "i" * 7 + "1"), phone(FCM, "i" * 7 + "1"), phone(XINGE)
    assert pushed("7") == {new.token, other.token}
    settings.CHANNEL_PREFERENCE = ["xinge", "fcm"]
    assert pushed("7") == {old.token, other.token}


def test_when_that_token_has_died_the_next_push_takes_the_other(keys: dict[Channel, AppKey]):
    old, new = phone(XINGE, "installation"), phone(FCM, "installation")
    assert pushed("7") == {new.token}
    devices.deactivate([new.pk], Reason.BAD_TOKEN)
    assert pushed("7") == {old.token}


def test_a_channel_without_a_key_leaves_it_to_the_other(keys: dict[Channel, AppKey]):
    old, _new = phone(XINGE, "installation"), phone(FCM, "installation")
    AppKey.objects.filter(pk=keys[FCM].pk).update(is_enabled=False)
    assert pushed("7") == {old.token}


def test_what_names_no_installation_costs_no_query(keys: dict[Channel, AppKey], django_assert_num_queries: Any):
    members = [Member("7", device) for device in TableDirectory().devices([phone(XINGE).account_id], "higo")["7"]]
    with django_assert_num_queries(0):
        assert one_per_installation(Broadcast(app=App.HIGO), App.HIGO, members, {}) == members


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.broadcasts.audiences.EXPAND_DEVICES", 2)


def expanded(**fields: Any) -> set[str]:
    broadcast = launch(make_broadcast(**fields).pk)
    while not Broadcast.objects.get(pk=broadcast.pk).is_expanded:
        expand(broadcast.pk)
    return set(DeliveryResult.objects.filter(record__broadcast=broadcast).values_list("token", flat=True))


@pytest.mark.usefixtures("small_pages")
def test_a_broadcast_reaches_each_installation_once_whatever_page_its_tokens_are_on(keys: dict[Channel, AppKey]):
    old = [phone(XINGE, f"installation-{number}", f"a{number}") for number in range(5)]
    new = [phone(FCM, f"installation-{number}", f"a{number}") for number in range(4)]
    alone = phone(JPUSH, "", "a9")
    assert expanded() == {*(device.token for device in new), old[4].token, alone.token}


@pytest.mark.usefixtures("small_pages")
def test_a_broadcast_to_a_tag_chooses_among_the_tokens_that_have_it(keys: dict[Channel, AppKey]):
    both = phone(XINGE, "installation-1", "a1"), phone(FCM, "installation-1", "a1")
    old, _untagged = phone(XINGE, "installation-2", "a2"), phone(FCM, "installation-2", "a2")
    tags.replace({device.pk: ["vip"] for device in (*both, old)})
    assert expanded(audience_kind="tag", tag="vip") == {both[1].token, old.token}


def test_a_broadcast_to_a_list_reaches_each_installation_once(keys: dict[Channel, AppKey]):
    _old, new = phone(XINGE, "installation-1"), phone(FCM, "installation-1")
    assert expanded(audience_kind="accounts", accounts=["7"]) == {new.token}


def test_a_broadcast_to_harmony_phones(keys: dict[Channel, AppKey]):
    make_app_key(platform=Platform.HARMONY, provider=ProviderKind.HUAWEI_V3)
    phone(XINGE)
    harmony = phone(Channel.HUAWEI, platform=Platform.HARMONY)
    assert expanded(platform=Platform.HARMONY) == {harmony.token}
