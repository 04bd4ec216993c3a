import pytest
from django.test import Client
from pytest_django import Settings

from pushes.console.operators import roles
from pushes.models import Broadcast, PushRecord
from pushes.names import BroadcastStatus
from tests.make import make_broadcast, make_device, make_operator
from tests.pushes.console.conftest import SignIn, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def large(settings: Settings) -> Broadcast:
    """A draft of somebody to two devices, where one is the most that goes without approval."""
    settings.BROADCAST_APPROVAL_ABOVE = 1
    make_device()
    make_device()
    return make_broadcast(created_by=make_operator(roles.OPERATOR))


def send(client: Client, broadcast: Broadcast) -> str:
    page = client.post(url("broadcast_send_page", broadcast.pk), follow=True).content.decode()
    broadcast.refresh_from_db()
    return page


def as_author(broadcast: Broadcast) -> Client:
    client = Client()
    assert broadcast.created_by is not None
    client.force_login(broadcast.created_by)
    return client


def test_a_large_broadcast_waits_for_approval(operator: Client, large: Broadcast) -> None:
    assert "The broadcast is waiting for approval." in send(operator, large)
    assert large.status == BroadcastStatus.WAITING
    assert not PushRecord.objects.exists()


def test_an_approver_sends_what_waits(operator: Client, sign_in: SignIn, large: Broadcast) -> None:
    send(operator, large)
    send(sign_in(roles.APPROVER), large)
    assert large.status == BroadcastStatus.SENDING
    assert large.approved_by is not None


def test_someone_without_the_role_approves_nothing(operator: Client, large: Broadcast) -> None:
    send(operator, large)
    assert "Waiting for approval by someone other than the author" in send(operator, large)
    assert large.status == BroadcastStatus.WAITING


def test_nobody_approves_their_own(large: Broadcast) -> None:
    assert large.created_by is not None
    large.created_by.is_superuser = True
    large.created_by.save()
    send(as_author(large), large)
    send(as_author(large), large)
    assert large.status == BroadcastStatus.WAITING


def test_what_waits_can_no_longer_be_edited(operator: Client, large: Broadcast) -> None:
    send(operator, large)
    assert operator.post(url("broadcast_change", large.pk), {"title": "Other"}).status_code == 403


def test_what_waits_can_be_cancelled(operator: Client, large: Broadcast) -> None:
    send(operator, large)
    operator.post(url("broadcast_cancel_page", large.pk))
    large.refresh_from_db()
    assert large.status == BroadcastStatus.CANCELLED


@pytest.mark.parametrize("most", [0, 2])
def test_a_small_broadcast_goes_at_once(operator: Client, large: Broadcast, settings: Settings, most: int) -> None:
    settings.BROADCAST_APPROVAL_ABOVE = most
    send(operator, large)
    assert large.status == BroadcastStatus.SENDING


def test_looking_at_the_question_asks_nobody(operator: Client, large: Broadcast) -> None:
    page = operator.get(url("broadcast_send_page", large.pk)).content.decode()
    large.refresh_from_db()
    assert "Request approval" in page
    assert large.status == BroadcastStatus.DRAFT


def test_whoever_changed_another_s_draft_and_asked_for_approval_does_not_give_it(
    administrator: Client, sign_in: SignIn, large: Broadcast
) -> None:
    send(administrator, large)
    assert large.status == BroadcastStatus.WAITING
    assert "someone other than the author and the requester" in send(administrator, large)
    assert not PushRecord.objects.exists()
    send(sign_in(roles.APPROVER), large)
    assert large.status == BroadcastStatus.SENDING
