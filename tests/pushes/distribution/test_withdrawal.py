"""A push is taken back: what has not left never leaves, whatever its senders are at just then."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from higo_push.running.processes import free_port
from pushes.distribution import withdrawal
from pushes.distribution.distribute import distribute
from pushes.distribution.withdrawal import OfBroadcastError, withdraw
from pushes.history import resend
from pushes.history.timeline import timeline
from pushes.ledger import claims
from pushes.models import AppKey, DeliveryResult, MinuteCount, PushRecord
from pushes.names import App, Kind, RecordStatus
from pushes.sending.job import deliver
from pushes.submit import submit
from pushes.values import Audience, PushMessage
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.needs import needs
from tests.pushes.rows import make_delivery, make_message, make_record
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def phones(sandbox: Sandbox, settings: Settings) -> Sandbox:
    """The sandbox as provider, and a reader with one phone."""
    settings.SANDBOX_URL = sandbox.url
    key = make_app_key(secret="a" * 32, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), "a" * 32)
    make_device(make_account("reader"))
    return sandbox


def counts(done: withdrawal.Withdrawal) -> tuple[int, int, int]:
    return done.withdrawn, done.already_sent, done.under_way


def state(row: DeliveryResult) -> tuple[str, str]:
    row.refresh_from_db()
    return row.status, row.reason


@pytest.mark.parametrize("status", ["pending", "held", "retrying"])
def test_what_waits_is_withdrawn(status: str):
    row = make_delivery(status=status)
    assert counts(withdraw(row.record_id, by="wang")) == (1, 0, 0)
    assert state(row) == ("cancelled", "withdrawn")
    assert (row.order_key, row.finished_at is None) == (None, False)
    assert MinuteCount.objects.get(event="cancelled").reason == "withdrawn"


@pytest.mark.parametrize("status", ["accepted", "unknown", "failed", "skipped", "expired"])
def test_what_is_over_stays_as_it_is(status: str):
    row = make_delivery(status=status)
    assert counts(withdraw(row.record_id, by="wang")) == (0, int(status in ("accepted", "unknown")), 0)
    assert row.status == status


def test_twice_is_once_and_answers_the_same():
    record = make_record()
    make_delivery(record)
    make_delivery(record, status="accepted")
    first = withdraw(record.pk, by="wang")
    again = withdraw(record.pk, by="li")
    assert counts(first) == counts(again) == (1, 1, 0)
    assert (again.record.withdrawn_by, again.record.withdrawn_at) == ("wang", first.record.withdrawn_at)


def test_an_unknown_push_is_none():
    with pytest.raises(PushRecord.DoesNotExist):
        withdraw(999, by="wang")


def test_a_broadcasts_push_is_the_broadcasts():
    record = make_record(broadcast=make_broadcast(), kind=Kind.BROADCAST)
    row = make_delivery(record)
    with pytest.raises(OfBroadcastError, match=f"broadcast #{record.broadcast_id}"):
        withdraw(record.pk, by="wang")
    assert state(row)[0] == "pending"


# --- before distribution ------------------------------------------------------------------------


def test_what_is_not_distributed_never_is(phones: Sandbox, run_jobs: Callable[..., int]):
    (record_id,) = submit([make_message("reader", "other")]).record_ids
    assert counts(withdraw(record_id, by="wang")) == counts(withdraw(record_id, by="wang")) == (2, 0, 0)
    run_jobs()
    assert distribute([record_id]) == 0
    assert (PushRecord.objects.get().status, DeliveryResult.objects.count()) == (RecordStatus.CANCELLED, 0)
    assert phones.received() == []


def test_of_a_large_push_the_parts_to_come_are_withdrawn(
    phones: Sandbox, monkeypatch: pytest.MonkeyPatch, run_jobs: Callable[..., int]
):
    monkeypatch.setattr("pushes.distribution.distribute.PART_ACCOUNTS", 2)
    (record_id,) = submit([make_message("reader", "b", "c", "d", "e")]).record_ids
    distribute([record_id])
    assert DeliveryResult.objects.count() == 2
    assert counts(withdraw(record_id, by="wang")) == (1 + 3, 0, 0)
    run_jobs()
    assert (DeliveryResult.objects.count(), phones.received()) == (2, [])


# --- against a sender at work -------------------------------------------------------------------


def test_what_is_claimed_and_not_begun_is_taken_from_its_worker():
    row = make_delivery()
    token, _ = claims.claim([row.pk], now=timezone.now(), lease_seconds=60)
    assert counts(withdraw(row.record_id, by="wang")) == (1, 0, 0)
    assert claims.begin([row.pk], token, now=timezone.now(), lease_seconds=60) == set()


def test_what_is_begun_is_under_way_and_not_tried_again(phones: Sandbox):
    device = make_device()
    record = make_record(push_type=5)
    row = make_delivery(record, device, app_key_id=key_id())
    token, _ = claims.claim([row.pk], now=timezone.now(), lease_seconds=60)
    claims.begin([row.pk], token, now=timezone.now(), lease_seconds=60)
    assert counts(withdraw(record.pk, by="wang")) == (0, 0, 1)
    assert state(row)[0] == "sending"
    claims.settle([row.pk], token, status="retrying", due_at=timezone.now() - timedelta(seconds=1))
    deliver([row.pk])
    assert state(row) == ("cancelled", "withdrawn")
    assert phones.received() == []
    assert counts(withdraw(record.pk, by="wang")) == (1, 0, 0)


def key_id() -> int:
    return AppKey.objects.values_list("pk", flat=True).get()


def test_what_has_been_sent_is_told(phones: Sandbox, run_jobs: Callable[..., int]):
    (record_id,) = submit([make_message("reader")]).record_ids
    run_jobs()
    assert counts(withdraw(record_id, by="wang")) == (0, 1, 0)
    assert len(phones.received()) == 1


def test_withdrawn_while_workers_claim_each_delivery_ends_one_way(phones: Sandbox):
    needs("mariadb")  # SQLite has one writer at a time
    record = make_record(push_type=5)
    key = key_id()
    rows = [make_delivery(record, make_device(), app_key_id=key) for _ in range(60)]
    ids = [row.pk for row in rows]

    def send() -> None:
        deliver(ids)
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    withdraw(record.pk, by="wang")
    sender.join()
    done = withdraw(record.pk, by="wang")
    assert done.under_way == 0
    assert done.withdrawn + done.already_sent == 60
    assert len(phones.received()) == done.already_sent


# --- bursts -------------------------------------------------------------------------------------


def say(text: str) -> int:
    message = PushMessage(
        kind=Kind.GROUP,
        app=App.HIGO,
        audience=Audience(("reader",)),
        text=f"小王: {text}",
        source="room",
        identity=text,
        push_type=1,
        conversation="group:7",
        sender_id="wang",
        sender_name="小王",
    )
    (record_id,) = submit([message]).record_ids
    distribute([record_id])
    return record_id


def states() -> list[tuple[str, str, int]]:
    return list(DeliveryResult.objects.order_by("id").values_list("status", "reason", "stands_for"))


def send_the_burst() -> None:
    DeliveryResult.objects.filter(status="held").update(due_at=timezone.now() - timedelta(seconds=1))
    deliver(list(DeliveryResult.objects.values_list("id", flat=True)))


def shown(phones: Sandbox) -> list[str]:
    return [entry["content"] for entry in phones.received()]


def test_a_message_that_was_merged_is_not_counted(phones: Sandbox):
    ids = [say(text) for text in ("first", "second", "third", "fourth")]
    assert counts(withdraw(ids[1], by="wang")) == (1, 0, 0)
    assert states()[1:] == [("cancelled", "withdrawn", 1), ("skipped", "coalesced", 2), ("held", "coalesced", 2)]
    send_the_burst()
    assert shown(phones) == ["小王: first", "小王等 2 条新消息：fourth"]


def test_the_last_of_a_burst_gives_way_to_the_one_before(phones: Sandbox):
    ids = [say(text) for text in ("first", "second", "third")]
    held = DeliveryResult.objects.get(status="held")
    assert counts(withdraw(ids[2], by="wang")) == (1, 0, 0)
    heir = DeliveryResult.objects.get(record_id=ids[1])
    assert (heir.status, heir.reason, heir.stands_for) == ("held", "coalesced", 1)
    assert (heir.due_at, heir.order_key) == (held.due_at, held.order_key)
    say("fourth")
    send_the_burst()
    assert shown(phones) == ["小王: first", "小王等 2 条新消息：fourth"]


def test_a_burst_in_a_workers_hands_is_taken_from_it_and_goes_out_with_its_new_count(phones: Sandbox):
    ids = [say(text) for text in ("first", "second", "third")]
    send_first = DeliveryResult.objects.filter(record_id=ids[0])
    deliver(list(send_first.values_list("id", flat=True)))
    held = DeliveryResult.objects.get(status="held")
    DeliveryResult.objects.filter(pk=held.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    token, _ = claims.claim([held.pk], now=timezone.now(), lease_seconds=60)
    withdraw(ids[1], by="wang")
    assert claims.begin([held.pk], token, now=timezone.now(), lease_seconds=60) == set()
    deliver([held.pk])
    assert shown(phones) == ["小王: first", "小王: third"]


def test_what_was_merged_into_a_push_that_has_left_is_past_withdrawing(phones: Sandbox):
    ids = [say(text) for text in ("first", "second", "third")]
    send_the_burst()
    withdraw(ids[1], by="wang")
    assert states()[1:] == [("skipped", "coalesced", 1), ("accepted", "", 2)]


# --- what is told of it -------------------------------------------------------------------------


def test_the_timeline_says_so():
    row = make_delivery(make_record(message_id="m1", accounts=["7"]), account_id="7")
    withdraw(row.record_id, by="wang")
    found = timeline("7", "m1")
    assert found.outcome == "cancelled"
    assert [(step.code, step.reason) for step in found.steps][:3] == [
        ("received", ""),
        ("withdrawn", "withdrawn"),
        ("cancelled", "withdrawn"),
    ]
    assert "wang" in next(step.text for step in found.steps if step.code == "withdrawn")


def test_the_timeline_says_so_of_what_was_not_distributed():
    (record_id,) = submit([make_message("7", message_id="m2")]).record_ids
    withdraw(record_id, by="wang")
    found = timeline("7", "m2")
    (step,) = (step for step in found.steps if step.code == "cancelled")
    assert (found.outcome, step.reason) == ("cancelled", "withdrawn")
    assert "withdrawn before it was sent" in step.text


def test_what_was_withdrawn_is_not_offered_again():
    row = make_delivery()
    record = PushRecord.objects.get()
    assert withdrawal.is_possible(record)
    withdraw(row.record_id, by="wang")
    record.refresh_from_db()
    assert not withdrawal.is_possible(record)
    done: Any = make_delivery(status="accepted")
    assert not withdrawal.is_possible(done.record)


def test_without_redis_it_is_withdrawn_all_the_same(redis_client: Redis, settings: Settings):
    row = make_delivery()
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert counts(withdraw(row.record_id, by="wang")) == (1, 0, 0)


def test_what_has_failed_of_a_withdrawn_push_is_not_sent_again():
    row = make_delivery(device=make_device(), status="failed")
    withdraw(row.record_id, by="wang")
    assert [one.obstacle for one in resend.plan([row]).refused] == [resend.Obstacle.CANCELLED]
