"""The auditor: compare what producers submitted, what the rows say and what the provider received.

It judges the platform from outside, so it uses none of the stages' code, only their rows. `compare` is
pure; `load` and `receipts` fetch what it compares; `check_rows` asks the database alone, for operators
whose provider does not tell what it received. docs/guarantees.md says what each finding would mean.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from pushes.models import AppKey, DeliveryResult, PushRecord, live, policies
from pushes.names import CLAIMABLE, TERMINAL, Reason, RecordStatus, Status, UnknownPolicy
from pushes.storage import batches

EXAMPLES = 5
BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation, its count, and a few examples."""

    name: str
    meaning: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = f": {', '.join(self.examples)}" if self.examples else ""
        more = ", …" if self.count > len(self.examples) and self.examples else ""
        return f"{self.name} {self.count} ({self.meaning}){shown}{more}"


@dataclass(frozen=True, slots=True)
class RecordFact:
    """One accepted message. `order` increases with acceptance."""

    record_id: int
    message_id: str
    source: str
    status: str
    conversation: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFact:
    """One delivery row. `may_resend` is whether its push type's policy prefers a duplicate to a loss;
    `may_have_arrived`, whether the fate of one of its attempts was unknown."""

    delivery_id: int
    record_id: int
    token: str
    status: str
    may_resend: bool
    expires_at: datetime
    sent_at: datetime | None = None
    reason: str = ""
    may_have_arrived: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """One push that the provider accepted for a phone; `seq` increases in the order of acceptance. `at` is in Unix
    seconds."""

    seq: int
    record_id: int
    token: str
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The three sides. `submitted` are the message ids that producers know to be submitted. `most_cut_off` and
    `most_unanswered` bound the unknown rows: those whose sender died during the call, and those whose call got no
    answer. A call that was begun in time may reach the provider up to `call_seconds` later."""

    records: Sequence[RecordFact]
    deliveries: Sequence[DeliveryFact]
    submitted: frozenset[str] | None = None
    receipts: Sequence[Receipt] | None = None
    most_cut_off: int | None = None
    most_unanswered: int | None = None
    call_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """`faults` is empty when every promise was kept; `numbers` show what was judged."""

    faults: list[Finding]
    numbers: dict[str, int] = field(default_factory=dict)


# --- the pure comparison --------------------------------------------------------------------------


def compare(evidence: Evidence) -> Report:
    """Judge a run that is over: nothing may still be in progress."""
    findings = [*_record_findings(evidence), *_row_findings(evidence)]
    numbers = _numbers(evidence)
    if evidence.receipts is not None:
        findings += _receipt_findings(evidence, evidence.receipts)
        numbers |= _receipt_numbers(evidence, evidence.receipts)
    return Report([finding for finding in findings if finding.count], numbers)


def _finding(name: str, meaning: str, cases: Iterable[object]) -> Finding:
    found = [str(case) for case in cases]
    return Finding(name, meaning, len(found), tuple(found[:EXAMPLES]))


def _record_findings(evidence: Evidence) -> Iterator[Finding]:
    stored = Counter((record.source, record.message_id) for record in evidence.records if record.message_id)
    if evidence.submitted is not None:
        known = {record.message_id for record in evidence.records}
        yield _finding("lost", "handed over, but never stored", sorted(evidence.submitted - known))
    yield _finding("stored_twice", "one message, several records", [key for key, n in stored.items() if n > 1])
    yield _finding(
        "undistributed",
        "records still waiting for distribution",
        [record.record_id for record in evidence.records if record.status == RecordStatus.PENDING],
    )
    reached = {delivery.record_id for delivery in evidence.deliveries}
    yield _finding(
        "without_deliveries",
        "distributed, but not even a refusal was recorded",
        [
            record.record_id
            for record in evidence.records
            if record.status == RecordStatus.DISTRIBUTED and record.record_id not in reached
        ],
    )


def _row_findings(evidence: Evidence) -> Iterator[Finding]:
    rows = evidence.deliveries
    terminal = set(TERMINAL)
    yield _finding("unfinished", "rows in no terminal state", [r.delivery_id for r in rows if r.status not in terminal])
    targets = Counter((row.record_id, row.token) for row in rows if row.token)
    yield _finding("delivered_twice", "one target, several rows", [key for key, n in targets.items() if n > 1])
    late = [row.delivery_id for row in rows if row.sent_at and row.sent_at > row.expires_at]
    yield _finding("begun_late", "calls begun after the push had expired", late)
    for name, most in (("cut_off", evidence.most_cut_off), ("unanswered", evidence.most_unanswered)):
        unknown = [
            row.delivery_id for row in rows if row.status == Status.UNKNOWN and _is_cut_off(row) == (name == "cut_off")
        ]
        if most is not None and len(unknown) > most:
            yield _finding(f"too_many_{name}", f"more than {most} of unknown fate", unknown)


def _is_cut_off(row: DeliveryFact) -> bool:
    return row.reason == Reason.CUT_OFF


def _receipt_findings(evidence: Evidence, receipts: Sequence[Receipt]) -> Iterator[Finding]:
    rows = {(row.record_id, row.token): row for row in evidence.deliveries if row.token}
    times = Counter((receipt.record_id, receipt.token) for receipt in receipts)
    yield _finding(
        "sent_twice",
        "reached a phone more than once although the push type forbids it",
        [_target(key) for key, n in times.items() if n > 1 and key in rows and not rows[key].may_resend],
    )
    accepted = [key for key, row in rows.items() if row.status == Status.ACCEPTED]
    yield _finding(
        "accepted_not_received",
        "recorded as accepted, but the provider never took it",
        [_target(key) for key in accepted if key not in times],
    )
    yield _finding(
        "received_not_recorded",
        "the provider took it, but no row knows of it",
        [_target(key) for key in times if key not in rows],
    )
    # An unknown attempt may have arrived, and its row must say so.
    certain = [(key, rows[key].status) for key in times if key in rows and not rows[key].may_have_arrived]
    for name, meaning, states in (
        ("received_though_refused", "recorded as not to be sent", (Status.SKIPPED, Status.CANCELLED)),
        ("received_though_failed", "recorded as failed or expired for certain", (Status.FAILED, Status.EXPIRED)),
    ):
        yield _finding(
            name,
            f"{meaning}, but the provider took it",
            [_target(key) for key, state in certain if state in states],
        )
    most = evidence.call_seconds
    late = [key for key, at in _arrivals(receipts) if key in rows and at > rows[key].expires_at.timestamp() + most]
    yield _finding("received_late", "reached the provider after it had expired", map(_target, late))
    yield _finding("out_of_order", "overtook an earlier push of its conversation", _overtaken(evidence, receipts))


def _arrivals(receipts: Sequence[Receipt]) -> Iterator[tuple[tuple[int, str], float]]:
    for receipt in receipts:
        yield (receipt.record_id, receipt.token), receipt.at


def _target(key: tuple[int, str]) -> str:
    return f"record {key[0]} to …{key[1][-6:]}"


def _overtaken(evidence: Evidence, receipts: Sequence[Receipt]) -> list[str]:
    """Return first receipts that came after one of a later message, by conversation and device. What is in doubt keeps
    no order: nobody waits for a call that was given up, and what it had written may still arrive."""
    rows = (row for row in evidence.deliveries if row.may_have_arrived or row.status == Status.UNKNOWN)
    doubted = {(row.record_id, row.token) for row in rows}
    conversations = {record.record_id: record.conversation for record in evidence.records if record.conversation}
    latest: dict[tuple[str, str], int] = {}
    seen: set[tuple[int, str]] = set()
    found: list[str] = []
    for receipt in sorted(receipts, key=lambda receipt: receipt.seq):
        conversation = conversations.get(receipt.record_id)
        key = receipt.record_id, receipt.token
        if conversation is None or key in seen or key in doubted:
            continue
        seen.add(key)
        if latest.get((conversation, receipt.token), 0) > receipt.record_id:
            found.append(_target(key))
            continue
        latest[conversation, receipt.token] = receipt.record_id
    return found


def _numbers(evidence: Evidence) -> dict[str, int]:
    states = Counter(str(Status(row.status).value) for row in evidence.deliveries)
    numbers = {"records": len(evidence.records), "deliveries": len(evidence.deliveries)}
    if evidence.submitted is not None:
        numbers["submitted"] = len(evidence.submitted)
    cut_off = sum(row.status == Status.UNKNOWN and _is_cut_off(row) for row in evidence.deliveries)
    doubtful = sum(row.may_have_arrived and row.status != Status.UNKNOWN for row in evidence.deliveries)
    counted = {state: states[state] for state in sorted(states)}
    return numbers | counted | {"unknown_cut_off": cut_off, "may_have_arrived": doubtful}


def _receipt_numbers(evidence: Evidence, receipts: Sequence[Receipt]) -> dict[str, int]:
    times = Counter((receipt.record_id, receipt.token) for receipt in receipts)
    unknown = {(row.record_id, row.token) for row in evidence.deliveries if row.status == Status.UNKNOWN}
    return {
        "receipts": len(receipts),
        "resent": sum(n - 1 for n in times.values()),
        "unknown_received": len(unknown & times.keys()),
    }


# --- the loaders ----------------------------------------------------------------------------------


def load(since: datetime) -> tuple[list[RecordFact], list[DeliveryFact]]:
    """Load every record accepted since then, with its deliveries. For runs that fit into memory."""
    resend = {number for number, rule in policies().items() if rule.unknown_policy == UnknownPolicy.RESEND}
    records = PushRecord.objects.filter(created_at__gte=since).order_by("id")
    facts = [
        RecordFact(*values)
        for values in records.values_list("id", "message_id", "source", "status", "conversation").iterator()
    ]
    if not facts:
        return [], []
    rows = DeliveryResult.objects.filter(record_id__gte=facts[0].record_id, created_at__gte=since).order_by("id")
    columns = ("id", "record_id", "token", "status", "push_type", "expires_at", "sent_at", "reason", "may_have_arrived")
    return facts, [
        DeliveryFact(pk, record_id, token, status, push_type in resend, *rest)
        for pk, record_id, token, status, push_type, *rest in rows.values_list(*columns).iterator()
    ]


def receipts(entries: Iterable[Mapping[str, Any]], records: Sequence[RecordFact], since: datetime) -> list[Receipt]:
    """Return what the sandbox received, as receipts. Android's replace id is the record's id; iOS has none, so the
    message id that producers put into `data` identifies the record. Receipts of pushes that were accepted before
    `since` are left out: where a link was cut, the system goes on sending what a call had written, for longer than
    the call lasts."""
    by_message = {record.message_id: record.record_id for record in records if record.message_id}
    found = [(entry, entry["n_id"] or by_message.get(_message_id(entry), 0)) for entry in entries]
    own = {record.record_id for record in records}
    ids = _accepted_before(since, "id", {record_id for _, record_id in found} - own)
    names = {_message_id(entry) for entry, record_id in found if not record_id}
    messages = _accepted_before(since, "message_id", names)
    return [
        Receipt(entry["seq"], record_id, entry["token"], entry["time"])
        for entry, record_id in found
        if record_id not in ids and (record_id or _message_id(entry) not in messages)
    ]


def _accepted_before(since: datetime, column: str, values: set[Any]) -> set[Any]:
    """Return those of the values that a push accepted before then has in this column."""
    pushes = PushRecord.objects.filter(created_at__lt=since).order_by()
    parts = batches.chunks(sorted(filter(None, values)), BATCH)
    found = (pushes.filter(**{f"{column}__among": part}).values_list(column, flat=True) for part in parts)
    return set().union(*found)


def _message_id(entry: Mapping[str, Any]) -> str:
    custom = entry.get("custom")
    return str(custom.get("message_id", "")) if isinstance(custom, Mapping) else ""


# --- the rows alone, for operators ----------------------------------------------------------------


def check_rows(since: datetime, now: datetime, *, grace: timedelta) -> Report:
    """Check everything accepted since then by the database alone. `grace` is how long a step may be overdue before that
    is a fault: the sweeper's rounds and a backlog take some time."""
    records = PushRecord.objects.filter(created_at__gte=since)
    rows = DeliveryResult.objects.filter(created_at__gte=since)
    faults = [*_record_checks(records, now - grace), *_row_checks(rows, now - grace)]
    doubtful = Count("id", filter=Q(may_have_arrived=True))
    states = sorted(rows.order_by().values_list("status").annotate(n=Count("id"), doubtful=doubtful))
    numbers = {"records": records.count(), "deliveries": rows.count()} | {state: n for state, n, _ in states}
    # Besides the unknown rows, which say it by their status.
    if may_have_arrived := sum(doubtful for state, _, doubtful in states if state != Status.UNKNOWN):
        numbers["may_have_arrived"] = may_have_arrived
    return Report([fault for fault in faults if fault.count], numbers)


def _record_checks(records: "QuerySet[PushRecord]", overdue: datetime) -> Iterator[Finding]:
    waiting = records.filter(status=RecordStatus.PENDING, created_at__lt=overdue)
    yield _rows_finding("undistributed", "records that wait for distribution for too long", waiting)
    own = DeliveryResult.objects.filter(record_id=OuterRef("pk"))
    empty = records.filter(status=RecordStatus.DISTRIBUTED, broadcast__isnull=True).exclude(Exists(own))
    yield _rows_finding("without_deliveries", "distributed, but not even a refusal was recorded", empty)
    named = records.exclude(message_id="").order_by().values("source", "message_id")
    twice = named.annotate(n=Count("id")).filter(n__gt=1)
    examples = tuple(f"{row['source']} {row['message_id']}" for row in twice[:EXAMPLES])
    yield Finding("stored_twice", "one message, several records", twice.count(), examples)


def _row_checks(rows: "QuerySet[DeliveryResult]", overdue: datetime) -> Iterator[Finding]:
    under_way = rows.filter(live())
    yield _rows_finding("overdue", "not over, although past their expiry", under_way.filter(expires_at__lt=overdue))
    lost = rows.filter(status=Status.SENDING, lease_until__lt=overdue)
    yield _rows_finding("leases_overdue", "claimed by a sender that is gone", lost)
    paused = AppKey.objects.filter(paused_at__isnull=False).values("id")
    ready = rows.filter(status__in=CLAIMABLE, due_at__lt=overdue, expires_at__gte=overdue)
    stalled = ready.exclude(app_key_id__in=paused).exclude(record__broadcast__status__in=("paused", "cancelled"))
    yield _rows_finding("stalled", "due for too long, although their key is not paused", stalled)
    yield _rows_finding(
        "begun_late", "calls begun after the push had expired", rows.filter(sent_at__gt=F("expires_at"))
    )
    no_end = rows.filter(Q(finished_at__isnull=True) | Q(order_key__isnull=False), status__in=TERMINAL)
    yield _rows_finding("half_finished", "terminal, but not finished in every column", no_end)


def _rows_finding(name: str, meaning: str, rows: "QuerySet[Any]") -> Finding:
    examples = tuple(f"#{pk}" for pk in rows.order_by("id").values_list("id", flat=True)[:EXAMPLES])
    return Finding(name, meaning, rows.count() if examples else 0, examples)
