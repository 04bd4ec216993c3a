"""Second tries that operators ask for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pushes.distribution import distribute
from pushes.history import resend
from pushes.history.resend import Obstacle
from pushes.history.timeline import timeline
from pushes.models import Account, DeliveryResult, PushRecord, Resend
from pushes.names import App, Kind, Platform, Reason, RecordStatus, Status
from pushes.people import devices
from pushes.upkeep.sweep import sweep
from tests.make import make_account, make_app_key, make_delivery, make_device, make_record, make_secret
from tests.sandbox_process import Sandbox
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def failed(status: Status = Status.FAILED, **fields: Any) -> DeliveryResult:
    """A delivery to an active device of its account that is over without success."""
    device = make_device()
    fields = {"account_id": device.account_id, "token": device.token, "device_id": device.pk} | fields
    return make_delivery(make_record(accounts=[device.account_id]), status=status, **fields)


def obstacle(row: DeliveryResult) -> str | None:
    """Why the row would not be sent again."""
    found = resend.plan([row])
    assert len(found.sendable) + len(found.refused) == 1
    return found.refused[0].obstacle.value if found.refused else None


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.UNKNOWN])
def test_what_did_not_arrive_for_certain_can_be_sent_again(status: Status) -> None:
    assert obstacle(failed(status)) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.ACCEPTED, "accepted"),
        (Status.PENDING, "live"),
        (Status.HELD, "live"),
        (Status.SENDING, "live"),
        (Status.RETRYING, "live"),
        (Status.CANCELLED, "cancelled"),
        (Status.SKIPPED, "refused"),
    ],
)
def test_what_did_arrive_or_may_still_is_refused(status: Status, reason: str) -> None:
    assert obstacle(failed(status, reason=Reason.ONLINE)) == reason


@pytest.mark.parametrize("reason", resend.OURS_TO_MEND)
def test_what_was_skipped_for_want_of_something_of_ours_can_be_sent(reason: Reason) -> None:
    assert obstacle(failed(Status.SKIPPED, reason=reason)) is None


def test_a_deactivated_device_gets_nothing_again() -> None:
    row = failed()
    devices.deactivate([row.device_id or 0], Reason.BAD_TOKEN)
    assert obstacle(row) == "device_gone"


def test_a_phone_that_is_somebody_else_s_by_now_gets_nothing() -> None:
    assert obstacle(failed(account_id=make_account().pk)) == "device_gone"


def test_a_message_that_is_no_longer_kept_cannot_be_sent() -> None:
    row = failed()
    row.record.delete()
    assert obstacle(row) == "no_record"


def test_a_second_try_is_a_new_push_of_the_same_message() -> None:
    row = failed()
    PushRecord.objects.filter(pk=row.record_id).update(
        title="标题",
        data={"order": 7},
        presentation={"link": "higo://order/7"},
        kind=Kind.PRIVATE,
        conversation="private:1:2",
        sender_id="2",
        sender_name="小王",
    )
    sent = resend.resend([row.pk], by="wang")
    old, new = PushRecord.objects.get(pk=row.record_id), PushRecord.objects.get(pk=sent.record_ids[row.pk])
    same = [
        "kind",
        "push_type",
        "app",
        "title",
        "text",
        "data",
        "presentation",
        "message_id",
        "conversation",
        "sender_id",
        "sender_name",
        "occurred_at",
    ]
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (new.source, new.accounts, new.platform) == ("resend", [row.account_id], "android")
    assert new.expires_at > timezone.now()
    row.refresh_from_db()
    assert row.status == Status.FAILED


def test_asking_twice_sends_once() -> None:
    row = failed()
    resend.resend([row.pk], by="wang")
    again = resend.resend([row.pk], by="li")
    assert again.record_ids == {}
    assert [refusal.obstacle for refusal in again.refused] == [Obstacle.SENT_AGAIN]
    assert PushRecord.objects.filter(source="resend").count() == 1


@pytest.mark.parametrize(
    ("status", "fields"), [(Status.UNKNOWN, {}), (Status.FAILED, {"may_have_arrived": True})], ids=str
)
def test_what_may_have_arrived_is_sent_only_when_that_is_accepted(status: Status, fields: dict[str, Any]) -> None:
    row = failed(status, **fields)
    refused = resend.resend([row.pk], by="wang")
    assert [refusal.obstacle for refusal in refused.refused] == [Obstacle.UNKNOWN]
    assert not Resend.objects.exists()
    resend.resend([row.pk], by="wang", accepts_duplicates=True)
    assert Resend.objects.get().may_be_duplicate


def test_a_second_try_that_never_became_a_delivery_does_not_stand_in_the_way() -> None:
    row = failed()
    first = resend.resend([row.pk], by="wang").record_ids[row.pk]
    PushRecord.objects.filter(pk=first).update(status=RecordStatus.EXPIRED)
    second = resend.resend([row.pk], by="wang").record_ids[row.pk]
    assert second != first


def test_too_many_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 500"):
        resend.resend(range(1, 502), by="wang")


def test_a_second_try_goes_to_the_one_device_alone() -> None:
    row = failed()
    make_app_key()
    make_device(make_account_of(row))
    record_id = resend.resend([row.pk], by="wang").record_ids[row.pk]
    distribute.distribute([record_id])
    assert [made.token for made in DeliveryResult.objects.filter(record_id=record_id)] == [row.token]


def make_account_of(row: DeliveryResult) -> Any:
    return Account.objects.get(pk=row.account_id)


def test_a_second_try_is_judged_anew() -> None:
    row = failed()
    make_app_key()
    devices.deactivate([row.device_id or 0], None)
    PushRecord.objects.filter(pk=row.record_id).update(status=RecordStatus.DISTRIBUTED)
    new = make_record(source="resend", accounts=[row.account_id], status=RecordStatus.PENDING)
    Resend.objects.create(record=new, delivery_id=row.pk, token=row.token, by="wang")
    distribute.distribute([new.pk])
    made = DeliveryResult.objects.get(record_id=new.pk)
    assert (made.status, made.reason) == (Status.SKIPPED, Reason.NO_DEVICE)


def test_one_without_a_device_goes_to_every_device_that_there_is_now() -> None:
    device = make_device()
    make_device(device.account)
    make_app_key()
    row = make_delivery(
        make_record(accounts=[device.account_id]),
        account_id=device.account_id,
        token="",
        platform="",
        status=Status.SKIPPED,
        reason=Reason.NO_DEVICE,
    )
    record_id = resend.resend([row.pk], by="wang").record_ids[row.pk]
    distribute.distribute([record_id])
    assert DeliveryResult.objects.filter(record_id=record_id, status=Status.PENDING).count() == 2


def test_a_push_offers_what_of_it_failed() -> None:
    record = make_record()
    wanted = {make_delivery(record, status=status).pk for status in (Status.FAILED, Status.UNKNOWN, Status.EXPIRED)}
    wanted.add(make_delivery(record, status=Status.SKIPPED, reason=Reason.NO_APP_KEY).pk)
    make_delivery(record, status=Status.SKIPPED, reason=Reason.ONLINE)
    make_delivery(record)
    assert {row.pk for row in resend.failed_of(record.pk)} == wanted


def test_the_timeline_shows_both_ways() -> None:
    row = failed()
    new = resend.resend([row.pk], by="wang").record_ids[row.pk]
    before = timeline(row.account_id, f"#{row.record_id}")
    assert f"Sent again by wang as push #{new}." in [step.text for step in before.steps]
    assert new in before.record_ids
    assert (before.outcome, before.next_step) == ("failed", f"Already sent again: see push #{new}.")
    after = [step.text for step in timeline(row.account_id, f"#{new}").steps]
    assert f"Sent again by wang from delivery #{row.pk} of push #{row.record_id}." in after


def test_the_timeline_says_that_a_duplicate_was_accepted() -> None:
    row = failed(Status.UNKNOWN)
    resend.resend([row.pk], by="wang", accepts_duplicates=True)
    assert any("may arrive twice" in step.text for step in timeline(row.account_id, f"#{row.record_id}").steps)


def test_a_second_try_whose_first_is_gone_says_so() -> None:
    row = failed()
    new = resend.resend([row.pk], by="wang").record_ids[row.pk]
    row.delete()
    assert any("of push (removed)" in step.text for step in timeline(row.account_id, f"#{new}").steps)
    Resend.objects.all().delete()
    assert not any(step.code == "second_try" for step in timeline(row.account_id, f"#{new}").steps)


def test_a_second_try_goes_when_its_push_goes() -> None:
    row = failed()
    new = resend.resend([row.pk], by="wang").record_ids[row.pk]
    PushRecord.objects.filter(pk=new).update(created_at=timezone.now() - timedelta(days=400))
    sweep()
    assert not Resend.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_second_try_reaches_the_phone(sandbox: Sandbox, run_jobs: Callable[..., int]) -> None:
    secret = make_secret()
    key = make_app_key(App.HIGO, Platform.ANDROID, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), secret)
    row = failed(reason=Reason.TOO_MANY_ATTEMPTS)
    resend.resend([row.pk], by="wang")
    run_jobs()
    assert [push["token"] for push in sandbox.received()] == [row.token]


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_the_same_time_send_once() -> None:
    row = failed()
    together([lambda: resend.resend([row.pk], by="wang")] * 2)
    assert PushRecord.objects.filter(source="resend").count() == 1
    assert Resend.objects.count() == 1
