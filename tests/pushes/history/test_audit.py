"""The auditor must find what it is there to find: every fault is planted once, in facts or in real rows."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone as clock

from pushes.history import audit
from pushes.history.audit import DeliveryFact, Evidence, Receipt, RecordFact
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, PushType, RecordStatus, Status

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def record(number: int = 1, **fields: Any) -> RecordFact:
    given: dict[str, Any] = {"record_id": number, "message_id": f"m{number}", "source": "intake"}
    return RecordFact(**given | {"status": "distributed"} | fields)


def row(number: int = 1, **fields: Any) -> DeliveryFact:
    given: dict[str, Any] = {
        "delivery_id": number,
        "record_id": number,
        "token": "a",
        "status": "accepted",
        "may_resend": False,
    }
    return DeliveryFact(**given | {"expires_at": NOON, "sent_at": NOON - timedelta(seconds=1)} | fields)


def faults(records: list[RecordFact], rows: list[DeliveryFact], **sides: Any) -> dict[str, int]:
    return {fault.name: fault.count for fault in audit.compare(Evidence(records, rows, **sides)).faults}


def test_a_run_that_kept_every_promise_has_no_faults() -> None:
    sides = {"submitted": frozenset({"m1"}), "receipts": [Receipt(1, 1, "a")], "most_cut_off": 0}
    assert faults([record()], [row()], **sides) == {}


def test_a_submitted_message_without_a_record_is_lost() -> None:
    assert faults([record()], [row()], submitted=frozenset({"m1", "m2"})) == {"lost": 1}


def test_two_records_of_one_message_are_a_fault() -> None:
    assert faults([record(1), record(2, message_id="m1")], [row(1), row(2)]) == {"stored_twice": 1}


def test_one_message_id_from_two_sources_is_two_messages() -> None:
    assert faults([record(1), record(2, message_id="m1", source="api")], [row(1), row(2)]) == {}


def test_a_record_that_was_never_distributed_is_a_fault() -> None:
    assert faults([record(status="pending")], []) == {"undistributed": 1}


def test_a_distributed_record_without_any_row_is_a_fault() -> None:
    assert faults([record()], []) == {"without_deliveries": 1}


@pytest.mark.parametrize("status", ["pending", "held", "sending", "retrying"])
def test_a_row_in_no_terminal_state_is_a_fault(status: str) -> None:
    assert faults([record()], [row(status=status)]) == {"unfinished": 1}


def test_two_rows_for_one_target_are_a_fault() -> None:
    assert faults([record()], [row(1), row(2, record_id=1)]) == {"delivered_twice": 1}


def test_a_call_begun_after_the_expiry_is_a_fault() -> None:
    assert faults([record()], [row(sent_at=NOON + timedelta(milliseconds=1))]) == {"begun_late": 1}


@pytest.mark.parametrize(("kind", "reason"), [("cut_off", "cut_off"), ("unanswered", "no_answer")])
def test_more_unknown_rows_than_the_harm_explains_are_a_fault(kind: str, reason: str) -> None:
    records, rows = [record(1), record(2)], [row(n, status="unknown", reason=reason) for n in (1, 2)]
    assert faults(records, rows, **{f"most_{kind}": 1}) == {f"too_many_{kind}": 2}
    assert faults(records, rows, **{f"most_{kind}": 2}) == {}


def test_unknown_rows_of_the_two_kinds_are_counted_apart() -> None:
    rows = [row(1, status="unknown", reason="cut_off"), row(2, status="unknown", reason="no_answer")]
    assert faults([record(1), record(2)], rows, most_cut_off=1, most_unanswered=1) == {}


def test_a_second_receipt_is_a_fault_where_the_type_forbids_it() -> None:
    twice = [Receipt(1, 1, "a"), Receipt(2, 1, "a")]
    assert faults([record()], [row()], receipts=twice) == {"sent_twice": 1}
    assert faults([record()], [row(may_resend=True)], receipts=twice) == {}


def test_an_accepted_row_that_the_provider_never_saw_is_a_fault() -> None:
    assert faults([record()], [row()], receipts=[]) == {"accepted_not_received": 1}


def test_a_receipt_that_no_row_knows_of_is_a_fault() -> None:
    assert faults([record()], [row()], receipts=[Receipt(1, 1, "a"), Receipt(2, 1, "b")]) == {
        "received_not_recorded": 1
    }


def test_a_receipt_of_a_skipped_row_is_a_fault() -> None:
    skipped = row(status="skipped")
    assert faults([record()], [skipped], receipts=[Receipt(1, 1, "a")]) == {"received_though_refused": 1}


@pytest.mark.parametrize("status", ["failed", "expired"])
def test_a_receipt_of_what_failed_for_certain_is_a_fault(status: str) -> None:
    receipts = [Receipt(1, 1, "a")]
    assert faults([record()], [row(status=status)], receipts=receipts) == {"received_though_failed": 1}


@pytest.mark.parametrize("status", ["failed", "expired", "skipped", "cancelled"])
def test_what_may_have_arrived_and_did_is_none(status: str) -> None:
    doubtful = row(status=status, may_have_arrived=True)
    assert faults([record()], [doubtful], receipts=[Receipt(1, 1, "a")]) == {}
    assert audit.compare(Evidence([record()], [doubtful])).numbers["may_have_arrived"] == 1


def test_a_message_that_overtook_its_conversation_is_a_fault() -> None:
    records = [record(1, conversation="c"), record(2, conversation="c")]
    overtaken = [Receipt(1, 2, "a"), Receipt(2, 1, "a")]
    assert faults(records, [row(1), row(2)], receipts=overtaken) == {"out_of_order": 1}


@pytest.mark.parametrize("doubt", [{"status": "unknown"}, {"may_have_arrived": True}])
def test_what_is_in_doubt_keeps_no_order(doubt: dict[str, Any]) -> None:
    """What its call had written may arrive after a later message's, when a cut link is back."""
    records = [record(number, conversation="c") for number in (1, 2, 3)]
    late = [Receipt(1, 2, "a"), Receipt(2, 1, "a"), Receipt(3, 3, "a")]
    assert faults(records, [row(1, **doubt), row(2), row(3)], receipts=late) == {}
    assert faults(records, [row(1), row(2), row(3, **doubt)], receipts=late) == {"out_of_order": 1}


def test_order_is_judged_by_conversation_and_device() -> None:
    records = [record(1, conversation="c"), record(2, conversation="d")]
    assert faults(records, [row(1), row(2)], receipts=[Receipt(1, 2, "a"), Receipt(2, 1, "a")]) == {}
    records = [record(1, conversation="c"), record(2, conversation="c")]
    rows = [row(1), row(2, token="b")]
    assert faults(records, rows, receipts=[Receipt(1, 2, "b"), Receipt(2, 1, "a")]) == {}


def test_a_receipt_long_after_the_expiry_is_a_fault() -> None:
    late = [Receipt(1, 1, "a", NOON.timestamp() + 10.5)]
    assert faults([record()], [row()], receipts=late, call_seconds=10) == {"received_late": 1}
    assert faults([record()], [row()], receipts=late, call_seconds=11) == {}


@pytest.mark.django_db
def test_receipts_name_their_record_by_replace_id_or_by_message_id() -> None:
    entries = [
        {"seq": 1, "time": 5.5, "n_id": 7, "token": "a", "custom": {}},
        {"seq": 2, "time": 6.0, "n_id": 0, "token": "b", "custom": {"message_id": "m8"}},
        {"seq": 3, "time": 7.0, "n_id": 0, "token": "c", "custom": None},
    ]
    found = audit.receipts(entries, [record(7), record(8)], NOON)
    assert found == [Receipt(1, 7, "a", 5.5), Receipt(2, 8, "b", 6.0), Receipt(3, 0, "c", 7.0)]


# --- real rows ------------------------------------------------------------------------------------


def stored_record(**fields: Any) -> PushRecord:
    now = clock.now()
    given: dict[str, Any] = {"kind": Kind.SYSTEM, "push_type": PushType.NEW_ORDER, "app": "higo", "source": "intake"}
    given |= {"dedupe_key": f"{PushRecord.objects.count():032d}", "status": RecordStatus.DISTRIBUTED, "text": "x"}
    given |= {"occurred_at": now, "created_at": now, "expires_at": now + timedelta(hours=1)}
    return PushRecord.objects.create(**given | fields)


def stored_row(owner: PushRecord, **fields: Any) -> DeliveryResult:
    given: dict[str, Any] = {"kind": owner.kind, "push_type": owner.push_type, "app": owner.app, "account_id": "u"}
    given |= {"due_at": owner.created_at, "expires_at": owner.expires_at, "created_at": owner.created_at}
    given |= {"status": Status.ACCEPTED, "finished_at": owner.created_at, "token": "a"}
    return DeliveryResult.objects.create(record=owner, **given | fields)


@pytest.mark.django_db
def test_receipts_of_what_was_accepted_before_are_not_compared() -> None:
    """As calls of unknown fate that the system goes on sending when a cut link is back."""
    since = clock.now()
    before = stored_record(message_id="before", created_at=since - timedelta(seconds=1))
    own = stored_record(message_id="own", created_at=since)
    entries = [
        {"seq": seq, "time": 0.0, "n_id": n_id, "token": "a", "custom": {"message_id": name}}
        for seq, (n_id, name) in enumerate(
            [(before.pk, ""), (0, "before"), (own.pk, ""), (0, "own"), (own.pk + 1, "before"), (0, "never"), (0, "")]
        )
    ]
    found = audit.receipts(entries, audit.load(since)[0], since)
    assert [(receipt.seq, receipt.record_id) for receipt in found] == [
        (2, own.pk),
        (3, own.pk),
        (4, own.pk + 1),
        (5, 0),
        (6, 0),
    ]


def checked() -> dict[str, int]:
    now = clock.now()
    report = audit.check_rows(now - timedelta(hours=2), now, grace=timedelta(minutes=5))
    return {fault.name: fault.count for fault in report.faults}


LONG_AGO = timedelta(minutes=30)


@pytest.mark.django_db
def test_rows_under_way_are_left_in_peace() -> None:
    stored_row(stored_record(), status=Status.PENDING, finished_at=None)
    stored_record(status=RecordStatus.PENDING)
    assert checked() == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        ("overdue", {"status": Status.RETRYING, "expires_at": LONG_AGO, "due_at": LONG_AGO}),
        ("leases_overdue", {"status": Status.SENDING, "lease_until": LONG_AGO}),
        ("stalled", {"status": Status.PENDING, "due_at": LONG_AGO}),
        ("half_finished", {"order_key": 7}),
        ("begun_late", {"expires_at": LONG_AGO, "sent_at": LONG_AGO / 2}),
    ],
)
def test_every_fault_of_a_row_is_found(fault: str, fields: dict[str, Any]) -> None:
    now = clock.now()
    values = {name: now - value if isinstance(value, timedelta) else value for name, value in fields.items()}
    if values.get("status"):
        values["finished_at"] = None
    stored_row(stored_record(), **values)
    assert checked() == {fault: 1}


@pytest.mark.django_db
def test_every_fault_of_a_record_is_found() -> None:
    stored_record(status=RecordStatus.PENDING, created_at=clock.now() - LONG_AGO)
    stored_record(message_id="m1")
    stored_row(stored_record(message_id="m1"))
    assert checked() == {"undistributed": 1, "without_deliveries": 1, "stored_twice": 1}


@pytest.mark.django_db
def test_the_command_prints_the_numbers_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    stored_row(stored_record())
    call_command("audit")
    assert capsys.readouterr().out == "records 1, deliveries 1, accepted 1\nevery promise kept\n"


@pytest.mark.django_db
def test_the_numbers_tell_of_what_may_have_arrived_beside_what_is_unknown() -> None:
    for status in (Status.FAILED, Status.UNKNOWN, Status.EXPIRED):
        stored_row(stored_record(), status=status, may_have_arrived=True)
    now = clock.now()
    report = audit.check_rows(now - timedelta(hours=2), now, grace=timedelta(minutes=5))
    assert report.numbers["may_have_arrived"] == 2
    assert {fact.may_have_arrived for fact in audit.load(now - timedelta(hours=2))[1]} == {True}


@pytest.mark.django_db
def test_the_command_fails_when_a_promise_was_broken(capsys: pytest.CaptureFixture[str]) -> None:
    stored_record()
    with pytest.raises(SystemExit, match="1"):
        call_command("audit", "--finished", "--json")
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert (fault["name"], fault["count"]) == ("without_deliveries", 1)


@pytest.mark.django_db
def test_the_command_reads_what_was_submitted(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stored_row(stored_record(message_id="m1"))
    (tmp_path / "ids").write_text("m1\nm2\n")
    with pytest.raises(SystemExit, match="1"):
        call_command("audit", "--finished", "--submitted", str(tmp_path / "ids"))
    assert "FAULT lost 1 (handed over, but never stored): m2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--since", "yesterday"], "--since 'yesterday'"),
        (["--grace", "5"], "--grace '5'"),
        (["--since", "99999999999d"], "--since '99999999999d'"),
        (["--finished", "--submitted", "/bin/sh"], "is not UTF-8 text"),
        (["--sandbox", "http://127.0.0.1:1"], "add --finished"),
        (["--finished", "--submitted", "/nowhere/ids"], "/nowhere/ids"),
        (["--finished", "--sandbox", "http://127.0.0.1:1"], "http://127.0.0.1:1"),
    ],
)
@pytest.mark.django_db
def test_the_command_refuses_what_it_cannot_use(words: list[str], message: str) -> None:
    with pytest.raises(CommandError) as raised:
        call_command("audit", *words)
    assert message in str(raised.value)
