"""Test pushes from an account's page, and the whole token of a device."""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from pushes.broadcasts import trial_send
from pushes.console.operators import roles
from pushes.models import Account, DeliveryResult, Device, PushRecord, PushTypePolicy
from pushes.names import App, Platform, Reason, Status, WindowPolicy
from pushes.people.directory import DirectoryError, TableDirectory
from tests.make import make_account, make_app_key, make_delivery, make_device
from tests.pushes.console.conftest import SignIn, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
NONCE = "0123456789abcdef"
MAY_TEST, MAY_REVEAL = {roles.OPERATOR, roles.ADMINISTRATOR}, {roles.OPERATOR, roles.ADMINISTRATOR}


@pytest.fixture
def account() -> Account:
    PushTypePolicy.objects.update(window_policy=WindowPolicy.SEND)
    made = make_account("100001")
    make_app_key()
    make_device(made)
    return made


def names(client: Client, account: Account) -> list[str]:
    """The devices that the form offers."""
    page = client.get(url("account_test_page", account.pk)).content.decode()
    return re.findall(r'name="devices" value="(\w+)"', page)


def picked(page: str) -> list[str]:
    return re.findall(r'name="devices" value="(\w+)"[^>]* checked[ >]', page)


def send(client: Client, account: Account, **fields: Any) -> Any:
    devices = [] if "devices" in fields else names(client, account)
    filled = {"devices": devices, "title": "Test", "text": "Hello", "nonce": NONCE} | fields
    return client.post(url("account_test_page", account.pk), filled, follow=True)


def shown(client: Client, account: Account, **query: str) -> str:
    return client.get(url("account_tested_page", account.pk), {"test": NONCE, **query}).content.decode()


def test_a_test_push_is_a_real_push(operator: Client, account: Account) -> None:
    send(operator, account)
    record = PushRecord.objects.get()
    assert (record.accounts, record.app, record.kind, record.status) == (["100001"], "higo", "system", "distributed")
    assert (record.title, record.text, record.message_id) == ("Test", "Hello", f"test-{NONCE}")
    assert record.expires_at <= timezone.now() + trial_send.LIFETIME
    assert DeliveryResult.objects.get().status == Status.PENDING


def test_it_goes_to_the_devices_picked_and_to_no_other(operator: Client, account: Account) -> None:
    make_app_key(App.HIGIRL)
    other, seller = make_device(account), make_device(account, App.HIGIRL)
    make_device(account, is_active=False)
    page = operator.get(url("account_test_page", account.pk)).content.decode()
    offered = names(operator, account)
    assert len(offered) == 3
    assert not any(device.token in page for device in Device.objects.all())
    assert picked(page) == []
    send(operator, account, devices=offered[1:])
    assert set(DeliveryResult.objects.values_list("token", "app")) == {(other.token, "higo"), (seller.token, "higirl")}
    page = shown(operator, account, part="1")
    assert page.count("<tr>") == 3


def test_more_than_a_test_s_devices_are_refused(operator: Client, account: Account) -> None:
    for _ in range(20):
        make_device(account)
    assert "21 devices are too many: a test goes to at most 20." in send(operator, account).content.decode()
    assert not PushRecord.objects.exists()


def test_it_leads_to_its_own_result_and_into_the_history(operator: Client, account: Account) -> None:
    page = send(operator, account).content.decode()
    assert "A test was sent to 1 device." in page
    assert "every 1s" in page
    assert LogEntry.objects.get().change_message == "A test was sent to 1 device."


def test_a_double_click_sends_once(operator: Client, account: Account) -> None:
    send(operator, account)
    page = send(operator, account).content.decode()
    assert "already sent" in page
    assert PushRecord.objects.count() == 1
    assert LogEntry.objects.count() == 1


def test_looking_sends_nothing(operator: Client, account: Account) -> None:
    page = operator.get(url("account_test_page", account.pk)).content.decode()
    assert "Send a test push to 100001?" in page
    assert not PushRecord.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"devices": []},
        {"devices": ["0123456789abcdef"]},
        {"title": ""},
        {"text": " "},
        {"text": "\u200b\u3164"},
        {"title": "\u2066\u00ad"},
        {"text": "x" * 501},
        {"nonce": "../.."},
    ],
)
def test_what_cannot_be_sent_is_refused(operator: Client, account: Account, fields: dict[str, str]) -> None:
    assert send(operator, account, **fields).status_code == 422
    assert not PushRecord.objects.exists()


def test_the_page_says_what_will_decide(operator: Client, account: Account) -> None:
    Account.objects.update(login_status=0)
    for platform in (Platform.ANDROID, Platform.ANDROID, Platform.IOS):
        make_device(account, platform=platform)
    make_device(account, is_active=False)
    page = operator.get(url("account_test_page", account.pk)).content.decode()
    assert "logged out" in page
    assert len(names(operator, account)) == 4
    Device.objects.update(is_active=False)
    assert "no active device" in operator.get(url("account_test_page", account.pk)).content.decode()


class AwayDirectory(TableDirectory):
    def devices(self, account_ids: Any, app: str) -> Any:
        raise DirectoryError("away")


def test_a_directory_that_is_away_is_said(operator: Client, account: Account, settings: Any) -> None:
    settings.DIRECTORY = f"{__name__}.AwayDirectory"
    assert (
        "The account directory does not answer" in operator.get(url("account_test_page", account.pk)).content.decode()
    )


def test_a_closed_window_is_said_before(operator: Client, account: Account) -> None:
    now = timezone.now().astimezone(ZoneInfo("Asia/Shanghai"))
    closed = f"{_clock(now, 2)}-{_clock(now, 3)}"
    PushTypePolicy.objects.update(window_policy=WindowPolicy.HOLD, window=closed)
    page = operator.get(url("account_test_page", account.pk)).content.decode()
    assert f"({closed}) is closed now" in page


def _clock(now: datetime, hours: int) -> str:
    return f"{now + timedelta(hours=hours):%H:%M}"


def test_the_result_shows_every_device_and_the_provider_s_answer(operator: Client, account: Account) -> None:
    send(operator, account)
    record = PushRecord.objects.get()
    row = make_delivery(record, account_id=account.pk, provider_code=0, provider_text="fine")
    make_delivery(record, account_id=account.pk, status=Status.FAILED, reason=Reason.BAD_TOKEN)
    page = shown(operator, account)
    assert url("deliveryresult_change", row.pk) in page
    assert "0 fine" in page
    assert "does not know this device token" in page
    assert row.token not in page
    assert f"message=test-{NONCE}" in page


@pytest.mark.parametrize(
    ("status", "refreshes"),
    [(Status.PENDING, True), (Status.SENDING, True), (Status.ACCEPTED, False), (Status.SKIPPED, False)],
)
def test_the_page_refreshes_itself_until_it_is_over(
    operator: Client, account: Account, status: str, refreshes: bool
) -> None:
    send(operator, account)
    DeliveryResult.objects.update(status=status)
    part = shown(operator, account, part="1")
    assert part.lstrip().startswith('<div id="test-result"')
    assert ("hx-get" in part) is refreshes


def test_nobody_waits_for_a_push_that_has_expired(operator: Client, account: Account) -> None:
    send(operator, account)
    PushRecord.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "hx-get" not in shown(operator, account, part="1")


@pytest.mark.parametrize("test", ["", "fedcba9876543210"])
def test_an_unknown_test_has_no_result(operator: Client, account: Account, test: str) -> None:
    answer = operator.get(url("account_tested_page", account.pk), {"test": test})
    assert answer.status_code == 404


def test_another_account_s_test_is_not_shown(operator: Client, account: Account) -> None:
    send(operator, account)
    answer = operator.get(url("account_tested_page", make_account().pk), {"test": NONCE})
    assert answer.status_code == 404


def test_a_device_leads_to_its_account_s_form(operator: Client, account: Account) -> None:
    device = make_device(account, platform=Platform.IOS)
    page = operator.get(url("device_test_page", device.pk), follow=True).content.decode()
    assert "Send a test push to 100001?" in page
    assert len(picked(page)) == 1
    send(operator, account, devices=picked(page))
    assert DeliveryResult.objects.get().token == device.token


def test_an_inactive_device_offers_no_test(operator: Client, account: Account) -> None:
    device = make_device(account, is_active=False)
    assert url("device_test_page", device.pk) not in operator.get(url("device_change", device.pk)).content.decode()


@pytest.mark.parametrize("role", roles.ROLES)
def test_who_may_send_a_test(sign_in: SignIn, account: Account, role: str) -> None:
    client = sign_in(role)
    answers = [client.get(url("account_test_page", account.pk)), send(client, account)]
    offered = url("account_test_page", account.pk) in client.get(url("account_change", account.pk)).content.decode()
    assert {answer.status_code for answer in answers} == ({200} if role in MAY_TEST else {403})
    assert offered is (role in MAY_TEST)
    assert PushRecord.objects.exists() is (role in MAY_TEST)


# --- whole tokens -----------------------------------------------------------------------------


@pytest.fixture
def device(account: Account) -> Device:
    return make_device(account)


def test_a_token_is_shown_after_a_question_and_written_down(operator: Client, device: Device) -> None:
    question = operator.get(url("device_reveal_page", device.pk)).content.decode()
    assert device.token not in question
    assert not LogEntry.objects.exists()
    answer = operator.post(url("device_reveal_page", device.pk))
    assert device.token in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(device.pk), "Viewed the full token.")
    assert device.token not in f"{entry.object_repr}{entry.change_message}"


def test_the_history_names_who_looked_and_not_the_token(operator: Client, device: Device) -> None:
    operator.post(url("device_reveal_page", device.pk))
    page = operator.get(url("device_history", device.pk)).content.decode()
    assert "Viewed the full token." in page
    assert device.token not in page


@pytest.mark.parametrize("role", roles.ROLES)
def test_who_may_see_whole_tokens(sign_in: SignIn, device: Device, role: str) -> None:
    client = sign_in(role)
    answers = [method(url("device_reveal_page", device.pk)) for method in (client.get, client.post)]
    offered = url("device_reveal_page", device.pk) in client.get(url("device_change", device.pk)).content.decode()
    assert {answer.status_code for answer in answers} == ({200} if role in MAY_REVEAL else {403})
    assert offered is (role in MAY_REVEAL)
    assert LogEntry.objects.exists() is (role in MAY_REVEAL)


def test_no_role_but_the_administrators_has_both_halves_of_a_push() -> None:
    for role, permissions in roles.ROLES.items():
        if role != roles.ADMINISTRATOR:
            assert not {"pushes.reveal_device", "pushes.change_appkey"} <= set(permissions)
