"""The answers to "what became of this message for this account?": their codes, their words, and what one row says."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import TextChoices
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.models import AppKey, DeliveryResult, PushRecord, Resend
from pushes.names import CONFLICT, Reason, RecordStatus, Status, reason_words
from pushes.text import notes


class Answer(TextChoices):
    """What became of a message for an account. When it went to several devices, or under several pushes, the first of
    these that occurs is the answer: so what may still arrive comes before what is over."""

    ACCEPTED = Status.ACCEPTED.value, Status.ACCEPTED.label
    SENDING = Status.SENDING.value, Status.SENDING.label
    PENDING = Status.PENDING.value, Status.PENDING.label
    KEY_PAUSED = "key_paused", gettext_lazy("its app key is paused")
    RETRYING = Status.RETRYING.value, Status.RETRYING.label
    HELD = Status.HELD.value, Status.HELD.label
    WAITING = "waiting", gettext_lazy("waiting for distribution")
    UNKNOWN = Status.UNKNOWN.value, Status.UNKNOWN.label
    FAILED = Status.FAILED.value, Status.FAILED.label
    EXPIRED = Status.EXPIRED.value, Status.EXPIRED.label
    CANCELLED = Status.CANCELLED.value, Status.CANCELLED.label
    SKIPPED = Status.SKIPPED.value, Status.SKIPPED.label
    NO_DELIVERY = "no_delivery", gettext_lazy("no delivery")
    CONFLICT = CONFLICT, gettext_lazy("another push has the same msg_id")
    NOT_ADDRESSED = "not_addressed", gettext_lazy("not addressed to this account")
    DEAD_LETTER = "dead_letter", gettext_lazy("dead letter")
    NEVER_RECEIVED = "never_received", gettext_lazy("never received")
    # Of a time instead of a message.
    SEVERAL = "several", gettext_lazy("several messages")
    NOTHING = "nothing", gettext_lazy("no message")

    @property
    def rank(self) -> int:
        return list(Answer).index(self)


class Event(TextChoices):
    """What else a timeline tells."""

    OCCURRED = "occurred"
    SECOND_TRY = "second_try"
    RECEIVED = "received"
    DISTRIBUTED = "distributed"
    WITHDRAWN = "withdrawn"
    SENT_AGAIN = "sent_again"
    RAW_LIST = "raw_list"
    ACCOUNT_NOW = "account_now"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or that is the case. `code` is for programs, `text` for people."""

    at: datetime | None
    code: Answer | Event
    text: str
    reason: str = ""
    may_have_arrived: bool = False

    def as_dict(self) -> dict[str, Any]:
        at = self.at.isoformat() if self.at else None
        found = {"at": at, "code": self.code.value, "text": self.text, "reason": self.reason or None}
        return found | ({"may_have_arrived": True} if self.may_have_arrived else {})


@dataclass(frozen=True, slots=True)
class Conclusion(Step):
    """A step that is an answer; `next_step` is what will, or should, follow."""

    code: Answer
    next_step: str = ""


@dataclass(slots=True)
class Timeline:
    """`outcome` is the answer as a code, `summary` as a sentence, `next_step` what will (or should) follow."""

    account_id: str
    message: str
    outcome: Answer = Answer.NOTHING
    summary: str = ""
    next_step: str = ""
    steps: list[Step] = field(default_factory=list)
    record_ids: list[int] = field(default_factory=list)

    def conclude(self, answer: Conclusion) -> None:
        self.outcome, self.summary, self.next_step = answer.code, answer.text, answer.next_step

    def as_dict(self) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "message": self.message,
            "outcome": self.outcome.value,
            "summary": self.summary,
            "next_step": self.next_step,
            "record_ids": self.record_ids,
            "steps": [step.as_dict() for step in self.steps],
        }


def decisive(answers: Sequence[Conclusion]) -> Conclusion:
    """The one that answers for all; of equal ones the newest."""
    return min(reversed(answers), key=lambda answer: answer.code.rank)


# --- a push without a delivery -----------------------------------------------------------------
def of_record(record: PushRecord, account_id: str) -> Conclusion:
    """Why the push has no delivery for this account."""
    is_meant = account_id in record.accounts or record.broadcast_id is not None
    if not is_meant:
        text = _("Push #%(id)s is not addressed to %(account)s.")
        text = text % {"id": record.pk, "account": account_id}
        return Conclusion(None, Answer.NOT_ADDRESSED, text, next_step=_("Ask the producer who the push was meant for."))
    if record.status == RecordStatus.PENDING:
        text = _("Waiting for distribution; expires at %(time)s.") % {"time": _local(record.expires_at)}
        next_step = _("A distribute worker will take the push; if that fails, the sweeper requeues it.")
        return Conclusion(None, Answer.WAITING, text, next_step=next_step)
    if record.status == RecordStatus.DISTRIBUTED:
        text = _("The push was distributed without a delivery for %(account)s.") % {"account": account_id}
        next_step = _("No further attempts. (Deliveries are removed after RETENTION_DAYS.)")
        return Conclusion(None, Answer.NO_DELIVERY, text, next_step=next_step)
    return _ended(record)


def why_ended(record: PushRecord) -> str:
    """Why the push ended before it was distributed: a reason, or a note."""
    return notes.words(reason_words(record.status, record.status_detail))


def _ended(record: PushRecord) -> Conclusion:
    """Of a push that ended before it was distributed."""
    detail = f" {why_ended(record)}" if record.status_detail else ""
    if record.status == RecordStatus.EXPIRED:
        limit = _("The push had to be sent before %(time)s.") % {"time": _local(record.expires_at)}
        detail = f"{detail} {limit}"
    text = f"{_('The whole push ended before distribution:')} {record.get_status_display()}.{detail}"
    reason = record.status_detail if record.status_detail in Reason.values else ""
    return Conclusion(None, Answer(record.status), text, reason, next_step=_("No further attempts."))


# --- one delivery ------------------------------------------------------------------------------
def of_delivery(row: DeliveryResult, key: AppKey | None, second_try: Resend | None) -> Conclusion:
    """What became of the delivery under this app key; what follows may be its second try."""
    waits = row.status in (Status.PENDING, Status.RETRYING)
    answer = _waits_for(key) if waits and key is not None and key.is_paused else _state(row)
    device = _("To device %(token)s: ") % {"token": row.masked_token} if row.token else ""
    next_step = answer.next_step
    if second_try is not None:
        next_step = _("Already sent again: see push #%(id)s.") % {"id": second_try.record_id}
    return replace(
        answer,
        text=device + " ".join(filter(None, (answer.text, doubt(row)))),
        reason=row.reason,
        may_have_arrived=row.may_have_arrived,
        next_step=next_step,
    )


def _state(row: DeliveryResult) -> Conclusion:
    facts = {
        "because": _because(row),
        "due": _local(row.due_at),
        "attempts": row.attempts,
        "said": _said(row),
        "push_id": _(", push ID %(id)s") % {"id": row.provider_push_id} if row.provider_push_id else "",
    }
    at, text, next_step = _sentences(row)
    return Conclusion(at, Answer(row.status), text % facts, next_step=next_step % facts)


def _waits_for(key: AppKey) -> Conclusion:
    text = _("waiting: the app key %(key)s has been paused since %(time)s: %(reason)s.") % {
        "key": key,
        "time": _local(key.paused_at),
        "reason": notes.words(key.paused_reason) or "–",
    }
    next_step = _("Fix and resume the app key; the push then goes out automatically.")
    return Conclusion(key.paused_at, Answer.KEY_PAUSED, text, next_step=next_step)


def _sentences(row: DeliveryResult) -> tuple[datetime | None, str, str]:
    """Since when the delivery is in its state, the state in words, and what follows."""
    final = _("No further attempts.")
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
    return texts[row.status]


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
    words = said(row.http_status, row.provider_code, row.provider_text)
    return _("; the provider said: %(words)s") % {"words": words} if words else ""


def code(stored: str | None) -> int | str | None:
    """Return a provider's code as the API and exports give it: a number where it is one, as all were before APNs and
    FCM; None without a code."""
    if stored is None:
        return None
    is_number = stored.isascii() and stored.removeprefix("-").isdecimal()
    return int(stored) if is_number and len(stored) < 10 else stored or None


def said(http_status: int | None, code: str | None, text: str) -> str:
    """Return a provider's refusal in its own words: status, code and text; "" for a plain success."""
    is_plain = http_status is None or 200 <= http_status < 300 or text.startswith(f"HTTP {http_status}")
    return " ".join(filter(None, ("" if is_plain else f"HTTP {http_status}", "" if code == "0" else code, text)))


def _local(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else "–"
