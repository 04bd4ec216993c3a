import threading
from typing import Any

import pytest
from django.db import connection

from pushes.models import Account, Device, DeviceEvent
from pushes.names import App, Channel, DeviceEventKind, Environment, Platform, Reason
from pushes.people import devices
from pushes.text import notes
from pushes.text.notes import said
from tests.make import make_account, make_device, make_token

pytestmark = pytest.mark.django_db
IPHONE = "0a1b" * 16


def register(account_id: str = "7", token: str = "token-0001", **changes: Any):
    values = {"app": App.HIGO, "platform": Platform.ANDROID, "environment": Environment.PRODUCTION} | changes
    return devices.register(account_id, token=token, **values)


def history(device: Device) -> list[tuple[str, str]]:
    events = DeviceEvent.objects.filter(device=device).order_by("id").values_list("event", "detail")
    return [(event, notes.english(detail)) for event, detail in events]


def test_a_first_registration_makes_account_and_device():
    device, event = register()
    assert event == DeviceEventKind.REGISTERED
    assert (device.account_id, device.is_active) == ("7", True)
    assert Account.objects.get().login_status == 1
    assert history(device) == [("registered", "to 7")]


def test_an_existing_account_keeps_its_state():
    make_account("7", push_status=0)
    register()
    assert Account.objects.get().push_status == 0


def test_registering_again_only_renews_when_it_was_seen():
    first, _ = register()
    second, event = register()
    assert (event, second.pk) == (None, first.pk)
    assert second.seen_at > first.seen_at
    assert len(history(second)) == 1


def test_a_token_moves_to_the_account_that_registers_it():
    register("7")
    device, event = register("8")
    assert event == DeviceEventKind.MOVED
    assert Device.objects.get().account_id == "8"
    assert history(device)[-1] == ("moved", "from 7 to 8")


def test_the_same_token_in_the_other_app_is_another_device():
    first, _ = register(app=App.HIGO)
    second, _ = register(app=App.HIGIRL)
    assert first.pk != second.pk


def test_a_deactivated_device_comes_back_by_registering():
    device, _ = register()
    devices.deactivate([device.pk], Reason.BAD_TOKEN)
    device, event = register()
    assert event == DeviceEventKind.REACTIVATED
    assert (device.is_active, device.deactivated_reason, device.deactivated_at) == (True, "", None)


def test_platform_and_environment_follow_the_registration():
    register(token=IPHONE)
    device, _ = register(token=IPHONE, platform=Platform.IOS, environment=Environment.LOCAL)
    device.refresh_from_db()
    assert (device.platform, device.environment) == ("ios", "local")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"account_id": ""}, "account_id"),
        ({"account_id": "x" * 65}, "account_id"),
        ({"token": "short"}, "token"),
        ({"token": "x" * 513}, "token"),
        ({"token": "with a space"}, "token"),
        ({"token": "中文中文中文中文"}, "token"),
    ],
)
def test_what_cannot_be_registered_names_the_field(changes: dict[str, Any], field: str):
    with pytest.raises(devices.InvalidDeviceError) as caught:
        register(**changes)
    assert caught.value.field == field
    assert not Account.objects.exists()


def test_an_error_does_not_repeat_the_token():
    with pytest.raises(devices.InvalidDeviceError) as caught:
        register(token="secret token")
    assert "secret" not in str(caught.value)


def test_deactivating_leaves_reason_time_and_history():
    device, other = make_device(), make_device()
    assert devices.deactivate([device.pk], Reason.BAD_TOKEN, said("provider code 40")) == 1
    device.refresh_from_db()
    other.refresh_from_db()
    assert (device.is_active, device.deactivated_reason, other.is_active) == (False, "bad_token", True)
    assert device.deactivated_at
    assert history(device) == [("deactivated", "provider code 40")]


def test_deactivating_twice_counts_and_records_once():
    device = make_device()
    devices.deactivate([device.pk], Reason.BAD_TOKEN)
    assert devices.deactivate([device.pk], Reason.BAD_TOKEN) == 0
    assert len(history(device)) == 1


def test_many_are_deactivated_in_few_queries(django_assert_max_num_queries: Any):
    account = make_account()
    ids = [make_device(account).pk for _ in range(100)]
    with django_assert_max_num_queries(5):
        assert devices.deactivate(ids, Reason.BAD_TOKEN) == 100


def refuse(*tokens: str, account_id: str = "7") -> int:
    owners = dict.fromkeys(tokens, account_id)
    scope = (App.HIGO, Platform.IOS, Environment.LOCAL, Channel.XINGE)
    return devices.refuse(owners, scope, Reason.BAD_TOKEN, said("code 40"))


def test_a_refused_token_that_we_have_no_row_of_gets_one_with_its_history():
    token = make_token()
    assert refuse(token) == 1
    device = Device.objects.get(token=token)
    assert (device.account_id, device.app, device.platform, device.environment) == ("7", "higo", "ios", "local")
    assert (device.is_active, device.deactivated_reason) == (False, "bad_token")
    assert history(device) == [("deactivated", "code 40")]


def test_a_token_that_is_refused_again_is_counted_and_recorded_once():
    token = make_token()
    refuse(token)
    assert refuse(token) == 0
    assert len(history(Device.objects.get())) == 1


def test_a_refused_token_that_we_know_is_deactivated_and_stays_whose_it_is():
    device = make_device()
    assert refuse(device.token) == 1
    device.refresh_from_db()
    assert (device.is_active, device.account_id != "7") == (False, True)


def test_refusing_a_token_leaves_the_other_apps_alone():
    device = make_device(app=App.HIGIRL)
    refuse(device.token)
    device.refresh_from_db()
    assert device.is_active


def test_many_are_refused_in_few_queries(django_assert_max_num_queries: Any):
    with django_assert_max_num_queries(12):
        assert refuse(*[make_token() for _ in range(100)]) == 100


def test_nothing_refused_asks_nothing(django_assert_num_queries: Any):
    with django_assert_num_queries(0):
        assert refuse() == 0


def test_reactivating_undoes_it_and_says_who():
    device = make_device()
    devices.deactivate([device.pk], Reason.BAD_TOKEN)
    assert devices.reactivate(device, by="anna")
    assert device.is_active
    assert history(device)[-1] == ("reactivated", "by anna")


def test_reactivating_an_active_device_changes_nothing():
    device = make_device()
    assert not devices.reactivate(device, by="anna")
    assert history(device) == []


@pytest.mark.django_db(transaction=True)
def test_simultaneous_registrations_end_as_one_device():
    token, errors = make_token(), []

    def work(account_id: str) -> None:
        try:
            register(account_id, token)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("7", "8", "7", "8")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Device.objects.count() == 1


# --- one spelling -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written", [IPHONE.upper(), IPHONE.replace("a", "A"), f"<{IPHONE[:8]} {IPHONE[8:]}>", f" {IPHONE}\n"]
)
def test_an_iphone_is_one_device_however_its_token_is_written(written: str):
    register("7", IPHONE, platform=Platform.IOS)
    device, event = register("8", written, platform=Platform.IOS)
    assert (event, device.token, device.account_id) == (DeviceEventKind.MOVED, IPHONE, "8")
    assert Device.objects.count() == 1


def test_the_letter_case_of_an_android_token_counts():
    assert register(token=IPHONE)[0].pk != register(token=IPHONE.upper())[0].pk


def test_without_a_platform_only_an_iphone_is_meant_in_another_letter_case():
    iphone, _ = register(token=IPHONE, platform=Platform.IOS, app=App.HIGIRL)
    android, _ = register(token=IPHONE)
    assert set(Device.objects.filter(devices.meant_by(IPHONE.upper()))) == {iphone}
    assert set(Device.objects.filter(devices.meant_by(IPHONE))) == {iphone, android}


def test_a_refused_token_is_remembered_in_the_one_spelling():
    scope = (App.HIGO, Platform.IOS, Environment.PRODUCTION, Channel.APNS)
    devices.refuse({IPHONE.upper(): "7"}, scope, Reason.BAD_TOKEN)
    assert Device.objects.get().token == IPHONE
