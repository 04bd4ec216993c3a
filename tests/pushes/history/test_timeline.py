import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from higo_push.running import processes
from pushes import lanes, submit
from pushes.history.answers import Timeline
from pushes.history.timeline import timeline
from pushes.models import DeliveryResult, PushRecord
from pushes.names import App, Kind, Reason, Status
from pushes.text.notes import said
from pushes.values import Audience, PushMessage
from tests.make import make_account, make_app_key

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

TOKEN = "abcd" + "0" * 32 + "wxyz"


def make_record(message_id: str = "order-1", accounts: tuple[str, ...] = ("7",), source: str = "intake") -> PushRecord:
    message = PushMessage(
        kind=Kind.SYSTEM,
        app=App.HIGO,
        audience=Audience(accounts),
        text="a secret text",
        source=source,
        identity=f"{message_id} {accounts}",
        push_type=5,
        message_id=message_id,
    )
    return PushRecord.objects.get(pk=submit.submit([message]).record_ids[0])


def make_delivery(record: PushRecord, status: Status, reason: Reason | None = None, **fields: Any) -> DeliveryResult:
    now = timezone.now()
    PushRecord.objects.filter(pk=record.pk).update(status="distributed", distributed_at=now)
    values = {"account_id": "7", "token": TOKEN, "due_at": now, "expires_at": now, "created_at": now} | fields
    return DeliveryResult.objects.create(
        record=record, kind="system", push_type=5, app="higo", status=status, reason=reason or "", **values
    )


def answer(status: Status, reason: Reason | None = None, **fields: Any) -> Timeline:
    make_delivery(make_record(), status, reason, **fields)
    return timeline("7", "order-1")


def test_a_message_that_never_came():
    found = timeline("7", "order-1")
    assert (found.outcome, found.record_ids) == ("never_received", [])
    assert found.summary == "No push with this ID was ever received."


def test_a_message_that_may_still_be_in_the_raw_list(redis_client: Any):
    redis_client.rpush(lanes.RAW_LIST, "a", "b")
    assert "2 messages still wait in hg_message_queue" in timeline("7", "order-1").steps[-1].text


def test_a_message_that_became_a_dead_letter():
    submit.dead_letter(
        "intake", "p", b'a:1:{s:6:"msg_id";s:7:"order-1"', "truncated", said("the input ends at byte 31")
    )
    found = timeline("7", "order-1")
    assert found.outcome == "dead_letter"
    assert "truncated, the input ends at byte 31" in found.summary


def test_a_dead_letter_of_a_longer_id_is_not_meant():
    submit.dead_letter("intake", "p", b"order-12", "truncated", said(""))
    assert timeline("7", "order-1").outcome == "never_received"


def test_a_message_that_waits_for_distribution():
    record = make_record()
    found = timeline("7", "order-1")
    assert (found.outcome, found.record_ids) == ("waiting", [record.pk])
    assert "Received from intake as push #" in found.steps[0].text


def test_a_message_that_is_not_for_this_account():
    make_record(accounts=("8", "9"))
    assert timeline("7", "order-1").outcome == "not_addressed"


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_a_message_that_ended_before_distribution(status: str):
    make_record()
    PushRecord.objects.update(status=status, status_detail="because of a test")
    found = timeline("7", "order-1")
    assert found.outcome == status
    assert "because of a test" in found.summary


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != Reason.DUPLICATE])
def test_a_refusal_is_told_with_its_reason(reason: Reason):
    found = answer(Status.SKIPPED, reason, token="")
    assert found.outcome == "skipped"
    assert found.summary == f"not sent: {reason.label}."
    assert found.steps[-2].reason == reason


@pytest.mark.parametrize(
    ("status", "fields", "words"),
    [
        (Status.PENDING, {}, "waiting to be sent"),
        (Status.HELD, {"reason": Reason.OUTSIDE_WINDOW}, "held until 20"),
        (Status.SENDING, {"attempts": 1}, "being sent now (attempt 1)"),
        (Status.RETRYING, {"attempts": 2, "reason": Reason.PROVIDER_BUSY}, "attempt 2 failed"),
        (Status.ACCEPTED, {"provider_push_id": "9876", "provider_code": "0"}, "push ID 9876."),
        (
            Status.FAILED,
            {"attempts": 1, "reason": Reason.BAD_TOKEN, "provider_code": "40", "provider_text": "token invalid"},
            "the provider said: 40 token invalid",
        ),
        (Status.UNKNOWN, {"reason": Reason.NO_ANSWER}, "it is unknown whether it arrived"),
        (Status.EXPIRED, {"reason": Reason.TOO_LATE}, "expired before it could be sent"),
        (Status.CANCELLED, {"reason": Reason.CANCELLED}, "cancelled by an operator"),
    ],
)
def test_every_state_is_told(status: Status, fields: dict[str, Any], words: str):
    found = answer(status, **fields)
    assert (found.outcome, words in found.summary) == (status.value, True), found.summary
    assert found.next_step


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.FAILED, "the message may still have arrived."),
        (Status.EXPIRED, "the message may still have arrived."),
        (Status.ACCEPTED, "the message may have arrived twice."),
    ],
)
def test_an_earlier_attempt_of_unknown_fate_is_told(status: Status, words: str):
    found = answer(status, may_have_arrived=True)
    assert found.summary.endswith(words)
    [step] = [step for step in found.as_dict()["steps"] if step["code"] == status]
    assert step["may_have_arrived"]


def test_an_unknown_fate_needs_no_second_word():
    assert "earlier attempt" not in answer(Status.UNKNOWN, may_have_arrived=True).summary


def test_without_a_doubt_none_is_told():
    assert "may_have_arrived" not in str(answer(Status.FAILED).as_dict())


def test_a_retry_says_when():
    due = timezone.now() + timedelta(hours=1)
    assert f"{timezone.localtime(due):%H:%M:%S}" in answer(Status.RETRYING, due_at=due).next_step


def test_a_paused_app_key_is_named():
    key = make_app_key(paused_at=timezone.now(), paused_reason="wrong secret")
    found = answer(Status.PENDING, app_key_id=key.pk)
    assert found.outcome == "key_paused"
    assert "wrong secret" in found.summary


def test_of_several_devices_the_best_fate_is_the_answer():
    record = make_record()
    make_delivery(record, Status.FAILED, token=TOKEN[::-1])
    make_delivery(record, Status.ACCEPTED)
    found = timeline("7", "order-1")
    assert found.outcome == "accepted"
    assert len([step for step in found.steps if "To device" in step.text]) == 2


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNKNOWN, Status.EXPIRED, Status.SKIPPED])
def test_a_failure_is_not_the_last_word_while_a_second_push_waits(status: Status):
    make_delivery(make_record(), status)
    make_record(source="resend")
    found = timeline("7", "order-1")
    assert found.outcome == "waiting"
    assert found.next_step.startswith("A distribute worker will take the push")


def test_of_two_pushes_that_failed_the_newer_one_is_told():
    for attempts, source in ((1, "intake"), (2, "api")):
        make_delivery(make_record(source=source), Status.FAILED, attempts=attempts)
    assert "failed at attempt 2" in timeline("7", "order-1").summary


@pytest.mark.parametrize("status", [Status.PENDING, Status.RETRYING])
def test_a_paused_key_hides_no_doubt(status: Status):
    key = make_app_key(paused_at=timezone.now(), paused_reason="wrong secret")
    found = answer(status, app_key_id=key.pk, may_have_arrived=True)
    assert found.summary.endswith("the message may still have arrived.")
    assert [step.may_have_arrived for step in found.steps if step.code == "key_paused"] == [True]


def test_another_accounts_deliveries_are_not_told():
    record = make_record(accounts=("7", "8"))
    make_delivery(record, Status.ACCEPTED, account_id="8")
    assert timeline("7", "order-1").outcome == "no_delivery"


def test_a_push_can_be_named_by_its_number_or_its_key():
    record = make_record(message_id="")
    assert timeline("7", f"#{record.pk}").record_ids == [record.pk]
    assert timeline("7", record.dedupe_key).record_ids == [record.pk]


@pytest.mark.parametrize("message", ["#999999", "#", "", "  ", "#" + "9" * 30, "' OR 1=1"])
def test_what_names_nothing_was_never_received(message: str):
    make_record(message_id="")
    assert timeline("7", message).outcome == "never_received"


def test_of_two_pushes_with_one_id_the_accounts_own_is_told():
    make_record(accounts=("8",), source="api")
    mine = make_record(accounts=("7",))
    assert timeline("7", "order-1").record_ids == [mine.pk]


def test_the_account_as_it_is_now_comes_last(redis_client: Any):
    make_account("7", push_status=0)
    redis_client.set("higo:online:7", "1")
    assert answer(Status.ACCEPTED).steps[-1].text == "The account now: logged in, do not disturb, online."


def test_an_unknown_account_is_told():
    assert answer(Status.SKIPPED, Reason.NO_ACCOUNT).steps[-1].text == "The account is currently unknown."


def test_without_redis_only_presence_is_missing(settings: Settings):
    make_account("7")
    make_record()
    settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
    assert "presence unknown" in timeline("7", "order-1").steps[-1].text


def test_neither_text_nor_token_is_told():
    told = json.dumps(answer(Status.ACCEPTED).as_dict())
    assert "a secret text" not in told
    assert TOKEN not in told


def test_it_takes_one_look_up_per_table(django_assert_max_num_queries: Any):
    make_delivery(make_record(), Status.ACCEPTED, app_key_id=make_app_key().pk)
    with django_assert_max_num_queries(6):
        timeline("7", "order-1")


def test_the_command_prints_a_readable_answer(capsys: pytest.CaptureFixture[str]):
    make_delivery(make_record(), Status.SKIPPED, Reason.NO_DEVICE, token="")
    call_command("whynot", "7", "order-1")
    printed = capsys.readouterr().out
    assert printed.startswith("order-1 for 7: skipped\n")
    assert "not sent: the account has no active device in this app." in printed
    assert "Next: No further attempts." in printed


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]):
    make_record()
    call_command("whynot", "7", "order-1", "--json")
    assert json.loads(capsys.readouterr().out)["outcome"] == "waiting"
