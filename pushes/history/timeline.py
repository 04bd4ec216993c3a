"""Why did this account get, or not get, this message? One readable answer from one look-up per table."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis import RedisError

from pushes import lanes
from pushes.history import dead_letter_search, stored_words
from pushes.models import AppKey, DeliveryResult, PushRecord, Resend
from pushes.names import CONFLICT, INTAKE_SOURCE, RESEND_SOURCE, PushType, Reason, RecordStatus, Status, reason_words
from pushes.people.directory import DirectoryError, directory
from pushes.storage import clocks
from pushes.workers import queues

MAX_RECORDS = 20
MAX_DELIVERIES = 100
#: When several devices were pushed to, the first of these that occurs is the answer.
_ORDER = (
    "accepted",
    "sending",
    "pending",
    "key_paused",
    "retrying",
    "held",
    "unknown",
    "failed",
    "expired",
    "cancelled",
    "skipped",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or that is the case. `code` is for programs, `text` for people."""

    at: datetime | None
    code: str
    text: str
    reason: str = ""
    may_have_arrived: bool = False

    def as_dict(self) -> dict[str, Any]:
        at = self.at.isoformat() if self.at else None
        found = {"at": at, "code": self.code, "text": self.text, "reason": self.reason or None}
        return found | ({"may_have_arrived": True} if self.may_have_arrived else {})


@dataclass(slots=True)
class Timeline:
    """`outcome` is the answer as a code, `summary` as a sentence, `next_step` what will (or should) follow."""

    account_id: str
    message: str
    outcome: str = ""
    summary: str = ""
    next_step: str = ""
    steps: list[Step] = field(default_factory=list)
    record_ids: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "message": self.message,
            "outcome": self.outcome,
            "summary": self.summary,
            "next_step": self.next_step,
            "record_ids": self.record_ids,
            "steps": [step.as_dict() for step in self.steps],
        }


def timeline(account_id: str, message: str) -> Timeline:
    """Everything known about `message` for `account_id`. `message` is the producer's or the chat's message
    id, a push as `#123`, or a dedupe key. Raises DatabaseError only."""
    account_id, message = account_id.strip(), message.strip()
    found = Timeline(account_id, message)
    records = _records(message)
    if not records:
        _never_received(found)
        return found
    # Several pushes can carry one message id (two sources, a re-send); this account's are meant.
    mine = [record for record in records if account_id in record.accounts] or records
    found.record_ids = [record.pk for record in mine]
    answers = [record_answer(found, record) for record in mine]
    code, next_step = min(answers, key=lambda answer: _rank(answer[0]))
    if conflicts := _conflicting(found, mine):
        found.steps += conflicts
        if code == "not_addressed":
            code, next_step = CONFLICT, _("Give the dead letter a msg_id of its own and replay it, or discard it.")
    found.outcome, found.next_step = code, next_step
    found.summary = next(step.text for step in reversed(found.steps) if step.code == code)
    found.steps += account_now(account_id)
    return found


def _rank(code: str) -> int:
    return _ORDER.index(code) if code in _ORDER else len(_ORDER)


def _records(message: str) -> list[PushRecord]:
    rows = PushRecord.objects.defer("text", "data").order_by("pk")
    if re.fullmatch(r"#[0-9]{1,18}", message):
        return list(rows.filter(pk=int(message[1:])))
    found = list(rows.filter(message_id=message)[:MAX_RECORDS]) if message else []
    if not found and re.fullmatch(r"[0-9a-f]{32}", message):
        found = list(rows.filter(dedupe_key=message))
    return found


# --- one record --------------------------------------------------------------------------------
def record_answer(found: Timeline, record: PushRecord) -> tuple[str, str]:
    """Adds the record's steps; its answer's code, and what follows."""
    found.steps.extend(_received(record))
    rows = _deliveries(record.pk, found.account_id)
    if rows:
        keys = AppKey.objects.in_bulk({row.app_key_id for row in rows if row.app_key_id})
        answers = [_delivery(row, keys.get(row.app_key_id or 0)) for row in rows]
        found.steps.extend(step for step, _next in answers)
        found.steps.extend(_sent_again(found, rows))
        step, next_step = min(answers, key=lambda answer: _rank(answer[0].code))
        return step.code, next_step
    step, next_step = _without_delivery(record, found.account_id)
    found.steps.append(step)
    return step.code, next_step


def _deliveries(record_id: int, account_id: str) -> list[DeliveryResult]:
    rows: QuerySet[DeliveryResult] = DeliveryResult.objects.filter(record_id=record_id, account_id=account_id)
    return list(rows.order_by("pk")[:MAX_DELIVERIES])


def _sent_again(found: Timeline, rows: list[DeliveryResult]) -> Iterator[Step]:
    """The second tries that operators have made of these deliveries; their pushes are part of the answer."""
    for one in Resend.objects.filter(delivery_id__in=[row.pk for row in rows]).order_by("pk"):
        text = _("Sent again by %(by)s as push #%(id)s.") % {"by": one.by, "id": one.record_id}
        if one.may_be_duplicate:
            text = f"{text} {_('It was accepted that it may arrive twice.')}"
        yield Step(one.created_at, "sent_again", text)
        if one.record_id not in found.record_ids:
            found.record_ids.append(one.record_id)


def _received(record: PushRecord) -> Iterator[Step]:
    if record.source == RESEND_SOURCE:
        yield from _second_try(record)
    if (record.created_at - record.occurred_at).total_seconds() >= 1:
        yield Step(record.occurred_at, "occurred", _("The message was created at its source."))
    names = {
        "source": record.source,
        "id": record.pk,
        "kind": record.get_kind_display(),
        "type": _type_name(record.push_type),
        "app": record.app,
        "count": len(record.accounts),
    }
    text = ngettext(
        "Received from %(source)s as push #%(id)s: %(kind)s, %(type)s, %(app)s, %(count)s account.",
        "Received from %(source)s as push #%(id)s: %(kind)s, %(type)s, %(app)s, %(count)s accounts.",
        len(record.accounts),
    )
    yield Step(record.created_at, "received", text % names)
    if record.distributed_at:
        yield Step(record.distributed_at, "distributed", _("Recipients, devices and app keys were determined."))
    if record.withdrawn_at:
        text = _("Withdrawn by %(by)s: unsent deliveries are not sent.") % {"by": record.withdrawn_by}
        yield Step(record.withdrawn_at, "withdrawn", text, Reason.WITHDRAWN.value)


def _second_try(record: PushRecord) -> Iterator[Step]:
    one = Resend.objects.filter(record_id=record.pk).first()
    if one is None:
        return
    first = DeliveryResult.objects.filter(pk=one.delivery_id).values_list("record_id", flat=True).first()
    names = {"by": one.by, "delivery": one.delivery_id, "push": f"#{first}" if first else _("(removed)")}
    text = _("Sent again by %(by)s from delivery #%(delivery)s of push %(push)s.")
    yield Step(one.created_at, "second_try", text % names)


def _type_name(number: int) -> str:
    return f"{number} {PushType(number).label}" if number in PushType.values else str(number)


def _without_delivery(record: PushRecord, account_id: str) -> tuple[Step, str]:
    """Why there is no delivery for this account."""
    is_meant = account_id in record.accounts or record.broadcast_id is not None
    if not is_meant:
        text = _("Push #%(id)s is not addressed to %(account)s.")
        step = Step(None, "not_addressed", text % {"id": record.pk, "account": account_id})
        return step, _("Ask the producer who the push was meant for.")
    if record.status == RecordStatus.PENDING:
        text = _("Waiting for distribution; expires at %(time)s.") % {"time": _local(record.expires_at)}
        return Step(None, "waiting", text), _(
            "A distribute worker will take the push; if that fails, the sweeper requeues it."
        )
    if record.status == RecordStatus.DISTRIBUTED:
        text = _("The push was distributed without a delivery for %(account)s.") % {"account": account_id}
        return Step(None, "no_delivery", text), _("No further attempts. (Deliveries are removed after RETENTION_DAYS.)")
    detail = f" {stored_words.words(record.status_detail, 'push')}" if record.status_detail else ""
    if record.status == RecordStatus.EXPIRED:
        limit = _("The push had to be sent before %(time)s.") % {"time": _local(record.expires_at)}
        detail = f"{detail} {limit}"
    text = f"{_('The whole push ended before distribution:')} {record.get_status_display()}.{detail}"
    reason = record.status_detail if record.status_detail in Reason.values else ""
    return Step(None, str(record.status), text, reason), _("No further attempts.")


# --- one delivery ------------------------------------------------------------------------------
def _delivery(row: DeliveryResult, key: AppKey | None) -> tuple[Step, str]:
    step, next_step = _delivery_state(row, key)
    device = _("To device %(token)s: ") % {"token": row.masked_token} if row.token else ""
    return replace(step, text=device + step.text, reason=row.reason), next_step


def _delivery_state(row: DeliveryResult, key: AppKey | None) -> tuple[Step, str]:
    facts = {
        "because": _because(row),
        "due": _local(row.due_at),
        "attempts": row.attempts,
        "said": _said(row),
        "push_id": _(", push ID %(id)s") % {"id": row.provider_push_id} if row.provider_push_id else "",
    }
    final = _("No further attempts.")
    if row.status in (Status.PENDING, Status.RETRYING) and key is not None and key.is_paused:
        text = _("waiting: the app key %(key)s has been paused since %(time)s: %(reason)s.") % {
            "key": key,
            "time": _local(key.paused_at),
            "reason": stored_words.words(key.pause_words, "key") or "–",
        }
        return Step(key.paused_at, "key_paused", text), _(
            "Fix and resume the app key; the push then goes out automatically."
        )
    texts: dict[str, tuple[datetime | None, str, str]] = {
        Status.PENDING: (
            row.created_at,
            _("waiting to be sent, due %(due)s%(because)s."),
            _("A send worker will send it."),
        ),
        Status.HELD: (
            row.created_at,
            _("held until %(due)s%(because)s."),
            _("The push is sent then, unless it has expired."),
        ),
        Status.RETRYING: (
            row.sent_at,
            _("attempt %(attempts)s failed%(because)s%(said)s."),
            _("Next try at %(due)s."),
        ),
        Status.SENDING: (
            row.sent_at,
            _("being sent now (attempt %(attempts)s)."),
            _("If the worker died, the sweeper takes over when the lease expires."),
        ),
        Status.ACCEPTED: (
            row.finished_at,
            _("accepted by the provider%(push_id)s%(said)s."),
            _("The provider delivers it when the phone is reachable and its user allows notifications."),
        ),
        Status.FAILED: (row.finished_at, _("failed at attempt %(attempts)s%(because)s%(said)s."), final),
        Status.UNKNOWN: (
            row.finished_at,
            _("sent, but it is unknown whether it arrived%(because)s%(said)s."),
            _("No further attempts: another one could show the message twice."),
        ),
        Status.SKIPPED: (row.finished_at or row.created_at, _("not sent%(because)s."), final),
        Status.EXPIRED: (row.finished_at, _("expired before it could be sent%(because)s."), final),
        Status.CANCELLED: (row.finished_at, _("cancelled%(because)s."), final),
    }
    at, text, next_step = texts[row.status]
    words = " ".join(filter(None, (text % facts, doubt(row))))
    return Step(at, str(row.status), words, may_have_arrived=row.may_have_arrived), next_step % facts


def doubt(row: DeliveryResult) -> str:
    """What the row's status does not tell: that an attempt before the last had an unknown fate. "" when none had."""
    if not row.may_have_arrived or row.status == Status.UNKNOWN:
        return ""
    if row.status == Status.ACCEPTED:
        return _("The outcome of an earlier attempt is unknown: the message may have arrived twice.")
    return _("The outcome of an earlier attempt is unknown: the message may still have arrived.")


def _because(row: DeliveryResult) -> str:
    return f": {reason_words(row.status, row.reason)}" if row.reason in Reason.values else ""


def _said(row: DeliveryResult) -> str:
    """The provider's own words."""
    if row.provider_code is None and not row.provider_text:
        return ""
    is_said = row.provider_code is None or row.provider_text.startswith(f"HTTP {row.provider_code}")
    code = "" if is_said else f"{row.provider_code} "
    return _("; the provider said: %(words)s") % {"words": f"{code}{row.provider_text}".strip()}


# --- not received, and the account as it is -----------------------------------------------------
def _never_received(found: Timeline) -> None:
    letter = dead_letter_search.newest(found.message)
    if letter:
        text = _("Received, but could not be used: %(reason)s, %(detail)s (dead letter #%(id)s, %(state)s).") % {
            "reason": letter.reason,
            "detail": stored_words.words(letter.detail, "letter"),
            "id": letter.pk,
            "state": letter.get_status_display(),
        }
        found.outcome, found.next_step = "dead_letter", _("Correct and replay the dead letter, or discard it.")
        found.steps.append(Step(letter.created_at, "dead_letter", text, letter.reason))
    else:
        found.outcome = "never_received"
        found.next_step = _("Ask the producer whether it was sent, and under which ID.")
        found.steps.append(Step(None, "never_received", _("No push with this ID was ever received.")))
    found.summary = found.steps[-1].text
    found.steps.extend(_raw_list_now())


def _conflicting(found: Timeline, records: list[PushRecord]) -> list[Step]:
    """Other pushes for this account that came under the id of these records and were not sent."""
    ids = {record.message_id for record in records if record.source == INTAKE_SOURCE} - {""}
    text = _("Another push with this ID was received and not sent: %(detail)s (dead letter #%(id)s, %(state)s).")
    return [
        Step(
            letter.created_at,
            CONFLICT,
            text % {"detail": letter.detail, "id": letter.pk, "state": letter.get_status_display()},
            letter.reason,
        )
        for letter in dead_letter_search.conflicts(found.account_id, ids)
    ]


def _raw_list_now() -> Iterator[Step]:
    try:
        waiting, taken = queues.raw_messages(), queues.raw_batches()
    except RedisError:
        return
    if waiting or taken:
        text = _(
            "%(count)s messages still wait in %(list)s and it may be among them. Check that the intake is running."
        )
        yield Step(None, "raw_list", text % {"count": waiting, "list": lanes.RAW_LIST})


def account_now(account_id: str) -> list[Step]:
    """One step, or none while the directory is away: the timeline's own rows can be read all the same."""
    try:
        facts = directory().accounts([account_id]).get(account_id)
    except DirectoryError:
        return []
    if facts is None:
        return [Step(clocks.now(), "account_now", _("The account is currently unknown."))]
    text = _("The account now: %(login)s, %(pushes)s, %(online)s.") % {
        "login": _("logged in") if facts.is_logged_in else _("logged out"),
        "pushes": _("accepts pushes") if facts.accepts_pushes else _("do not disturb"),
        "online": _presence(account_id),
    }
    return [Step(clocks.now(), "account_now", text)]


def _presence(account_id: str) -> str:
    try:
        return _("online") if directory().online([account_id]) else _("offline")
    except RedisError:
        return _("presence unknown")


def _local(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else "–"
