"""The test send on the review page."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from pytest_django import Settings

from pushes.console.operators import roles
from pushes.models import Broadcast, DeliveryResult, PushRecord
from pushes.names import BroadcastStatus
from pushes.people.directory import DirectoryError, TableDirectory
from tests import djangos_words
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.console.conftest import SignIn, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def broadcast() -> Broadcast:
    make_app_key()
    return make_broadcast(title="大促")


def send(client: Client, broadcast: Broadcast, names: str, nonce: str = "n1") -> str:
    answer = client.post(url("broadcast_test_page", broadcast.pk), {"names": names, "nonce": nonce}, follow=True)
    return answer.content.decode()


def test_the_review_offers_a_test_with_a_nonce_of_its_own(operator: Client, broadcast: Broadcast) -> None:
    pages = [operator.get(url("broadcast_send_page", broadcast.pk)).content.decode() for _ in range(2)]
    nonces = {re.search(r'name="nonce" value="(\w+)"', page)[1] for page in pages}  # type: ignore[index]
    assert len(nonces) == 2
    assert not PushRecord.objects.exists()


def test_a_test_goes_to_the_devices_named_and_shows_on_the_review(operator: Client, broadcast: Broadcast) -> None:
    account = make_account("100007")
    devices = {make_device(account).token, make_device(account).token}
    other = make_device()
    page = send(operator, broadcast, f"100007, {other.token}")
    assert "A test was sent to 3 devices." in page
    assert "Send to 3 devices now" in page
    assert "Tests of this broadcast" in page
    assert set(DeliveryResult.objects.values_list("token", flat=True)) == devices | {other.token}
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.DRAFT


def test_whole_tokens_are_on_no_page_and_in_no_history(operator: Client, broadcast: Broadcast) -> None:
    device = make_device()
    assert device.token not in send(operator, broadcast, device.token)
    assert LogEntry.objects.get().change_message == "A test was sent to 1 device."


def test_a_double_click_sends_one_test(operator: Client, broadcast: Broadcast) -> None:
    make_device(make_account("7"))
    send(operator, broadcast, "7")
    assert "Nothing is sent twice" in send(operator, broadcast, "7")
    assert PushRecord.objects.count() == 1


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("nobody", "No active device in higo for: nobody. Nothing was sent."),
        ("7 nobody 8", "for: nobody, 8."),
        ("f" * 40, "for: ffff…ffff."),
        (",", "for: –."),
        (" ".join(f"n{n}" for n in range(21)), "21 entries are too many: a test goes to at most 20."),
        ("", djangos_words.REQUIRED),
    ],
)
def test_names_that_cannot_be_used_are_named_and_nobody_gets_it(
    operator: Client, broadcast: Broadcast, names: str, complaint: str
) -> None:
    make_device(make_account("7"))
    assert complaint in send(operator, broadcast, names)
    assert not PushRecord.objects.exists()


def test_an_account_with_a_drawer_full_of_phones_is_no_test(operator: Client, broadcast: Broadcast) -> None:
    account = make_account("7")
    for _ in range(21):
        make_device(account)
    assert "21 devices are too many: a test goes to at most 20." in send(operator, broadcast, "7")
    assert not PushRecord.objects.exists()


class AwayDirectory(TableDirectory):
    def devices(self, *_args: object) -> dict[str, list[object]]:  # type: ignore[override]
        raise DirectoryError("DIRECTORY_DEVICES_SQL: gone away")


def test_a_directory_that_is_away_is_said(operator: Client, broadcast: Broadcast, settings: Settings) -> None:
    settings.DIRECTORY = f"{__name__}.AwayDirectory"
    assert "DIRECTORY_DEVICES_SQL: gone away" in send(operator, broadcast, "7")


def test_a_message_that_cannot_be_sent_is_said(operator: Client, broadcast: Broadcast) -> None:
    make_device(make_account("7"))
    Broadcast.objects.update(push_type=999)
    assert "is not a known push type" in send(operator, broadcast, "7")


@pytest.mark.parametrize("status", set(BroadcastStatus) - {"draft", "waiting", "scheduled"})
def test_what_was_launched_is_tested_no_more(operator: Client, broadcast: Broadcast, status: str) -> None:
    make_device(make_account("7"))
    Broadcast.objects.update(status=status)
    assert "already launched" in send(operator, broadcast, "7")
    assert not PushRecord.objects.exists()


def test_a_scheduled_one_is_tested_on_the_page_itself(operator: Client, broadcast: Broadcast) -> None:
    make_device(make_account("7"))
    Broadcast.objects.update(status=BroadcastStatus.SCHEDULED)
    page = send(operator, broadcast, "7")
    assert "Tests of this broadcast" in page
    assert "devices now" not in page


@pytest.mark.parametrize("role", [roles.VIEWER, roles.APPROVER])
def test_without_the_permission_there_is_no_test(sign_in: SignIn, broadcast: Broadcast, role: str) -> None:
    client = sign_in(role)
    assert client.post(url("broadcast_test_page", broadcast.pk), {"names": "7", "nonce": "n"}).status_code == 403
    if role == roles.APPROVER:
        assert "Send a test first" not in client.get(url("broadcast_send_page", broadcast.pk)).content.decode()


def test_the_results_alone_are_for_the_page_itself(operator: Client, broadcast: Broadcast) -> None:
    make_device(make_account("7"))
    send(operator, broadcast, "7")
    page = operator.get(url("broadcast_test_page", broadcast.pk), {"part": ""}).content.decode()
    assert "<html" not in page
    assert "every 2s" in page
    DeliveryResult.objects.update(status="accepted")
    assert "every 2s" not in operator.get(url("broadcast_test_page", broadcast.pk), {"part": ""}).content.decode()
