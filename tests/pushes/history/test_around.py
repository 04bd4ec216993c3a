"""What happened to an account around a moment."""

import json
from datetime import datetime, timedelta
from datetime import timezone as tz

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from pushes.history.around import UNDELIVERED, around
from pushes.names import Reason, RecordStatus, Status
from tests.make import make_account, make_delivery, make_record
from tests.pushes.console.conftest import SignIn, sign_in, url, viewer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
__all__ = ["SignIn", "sign_in", "viewer"]
NOW = datetime(2026, 5, 1, 8, tzinfo=tz.utc)


def message(minutes: float, name: str, status: Status = Status.ACCEPTED, reason: str = "", account: str = "7") -> None:
    """A push that was accepted and decided on so many minutes from NOW."""
    moment = NOW + timedelta(minutes=minutes)
    record = make_record(message_id=name, accounts=[account], created_at=moment, occurred_at=moment)
    make_delivery(record, account_id=account, status=status, reason=reason, finished_at=moment)


def texts(at: datetime = NOW) -> str:
    return "\n".join(step.text for step in around("7", at).steps)


def test_the_messages_of_the_time_are_told_in_order() -> None:
    message(10, "later", Status.SKIPPED, Reason.ONLINE)
    message(-10, "earlier")
    message(-40, "long-before")
    message(40, "long-after")
    message(0, "somebody-else-s", account="8")
    found = around("7", NOW)
    assert found.outcome == "several"
    assert "2 messages for 7" in found.summary
    assert "1 accepted by the provider, 1 skipped" in found.summary or "1 skipped, 1 accepted" in found.summary
    told = texts()
    assert told.index("earlier") < told.index("later")
    assert "online: shown in the app instead" in told
    assert not any(name in told for name in ("long-before", "long-after", "somebody-else-s"))


def test_what_has_no_time_of_its_own_stays_with_its_message() -> None:
    message(5, "later")
    make_record(message_id="waits", accounts=["7"], status=RecordStatus.PENDING, created_at=NOW, occurred_at=NOW)
    told = texts()
    assert told.index("waits: Received") < told.index("waits: Waiting for distribution") < told.index("later: Received")


def test_the_only_message_of_the_time_is_the_answer() -> None:
    message(0, "order-7", Status.SKIPPED, Reason.DO_NOT_DISTURB)
    found = around(" 7 ", NOW)
    assert (found.outcome, len(found.record_ids)) == ("skipped", 1)
    assert found.next_step == "No further attempts."


def test_a_doubt_stays_with_its_step() -> None:
    record = make_record(accounts=["7"], created_at=NOW, occurred_at=NOW)
    make_delivery(record, account_id="7", status=Status.FAILED, finished_at=NOW, may_have_arrived=True)
    assert [step["code"] for step in around("7", NOW).as_dict()["steps"] if step.get("may_have_arrived")] == ["failed"]


def test_the_answers_of_several_messages_are_told_in_words() -> None:
    make_record(message_id="waits", accounts=["7"], status=RecordStatus.PENDING, created_at=NOW, occurred_at=NOW)
    message(0, "order-7")
    assert "1 waiting for distribution" in around("7", NOW).summary


def test_a_time_without_messages_says_so_and_what_to_do() -> None:
    make_account("7")
    found = around("7", NOW)
    assert found.outcome == "nothing"
    assert found.summary.startswith("No messages for 7 between")
    assert "ask the producer" in found.next_step
    assert [step.code for step in found.steps] == ["nothing", "account_now"]


@pytest.mark.parametrize("status", UNDELIVERED)
def test_a_push_that_made_no_delivery_is_told_too(status: RecordStatus) -> None:
    make_record(message_id="order-7", accounts=["7"], status=status, created_at=NOW, occurred_at=NOW)
    make_record(message_id="other", accounts=["8"], status=status, created_at=NOW, occurred_at=NOW)
    assert "order-7" in texts()
    assert "other" not in texts()


def test_of_very_many_the_nearest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.history.around.MAX_RECORDS", 1)
    message(-20, "far")
    message(1, "near")
    assert "near" in texts()
    assert "far" not in texts()


def test_the_page_answers_for_an_account_and_a_time(viewer: Client) -> None:
    message(0, "order-7", Status.SKIPPED, Reason.ONLINE)
    at = f"{timezone.localtime(NOW):%Y-%m-%d %H:%M}"
    page = viewer.get(url("deliveryresult_why_page"), {"account": "7", "message": "", "at": at}).content.decode()
    assert "online: shown in the app instead" in page
    found = viewer.get(url("deliveryresult_why_page"), {"account": "7", "at": at, "format": "json"}).json()
    assert (found["outcome"], found["account_id"]) == ("skipped", "7")


def test_a_time_that_is_none_is_named(viewer: Client) -> None:
    page = viewer.get(url("deliveryresult_why_page"), {"account": "7", "at": "yesterday"}).content.decode()
    assert "“yesterday” is not a valid time" in page


def test_the_command_answers_for_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    message(0, "order-7")
    call_command("whynot", "7", at=NOW.isoformat())
    assert capsys.readouterr().out.startswith("7: accepted\n")
    call_command("whynot", "7", at=f"{timezone.localtime(NOW):%Y-%m-%dT%H:%M}", as_json=True)
    assert json.loads(capsys.readouterr().out)["outcome"] == "accepted"


@pytest.mark.parametrize(
    ("message_id", "at", "said"),
    [
        (None, None, "either a MESSAGE"),
        ("order-7", "2026-05-01T08:00", "either a MESSAGE"),
        (None, "noon", "'noon': not a valid time"),
        (None, "2026-13-01T08:00", "not a valid time"),
    ],
)
def test_the_command_refuses_half_a_question(message_id: str | None, at: str | None, said: str) -> None:
    words = ["7", message_id] if message_id else ["7"]
    with pytest.raises(CommandError, match=said):
        call_command("whynot", *words, at=at)
