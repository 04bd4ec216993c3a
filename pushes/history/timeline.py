"""Explain why an account got, or did not get, a message: one readable answer from one look-up per table."""

import re
from collections.abc import Collection, Iterator

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis import RedisError

from pushes import lanes
from pushes.history import answers
from pushes.history.answers import Answer, Conclusion, Event, Step, Timeline
from pushes.inbound import orders, payload
from pushes.models import AppKey, DeadLetter, DeliveryResult, PushRecord, Resend
from pushes.names import CONFLICT, INTAKE_SOURCE, RESEND_SOURCE, DeadLetterStatus, PushType, Reason
from pushes.people.directory import DirectoryError, directory
from pushes.storage import clocks
from pushes.text import notes
from pushes.workers import queues

MAX_RECORDS = 20
MAX_DELIVERIES = 100
#: How many dead letters are searched for a message id, and how many conflicting ones are shown.
MAX_READ = 2_000
MAX_CONFLICTS = 20


def timeline(account_id: str, message: str) -> Timeline:
    """Return everything known about `message` for `account_id`. `message` is the producer's or the chat's message id, a
    push as `#123`, or a dedupe key. Raises only DatabaseError."""
    account_id, message = account_id.strip(), message.strip()
    found = Timeline(account_id, message)
    records = _records(message)
    if not records:
        _never_received(found)
        return found
    # Several pushes can have one message id (two sources, a resend); this account's are meant.
    mine = [record for record in records if account_id in record.accounts] or records
    found.record_ids = [record.pk for record in mine]
    answer = answers.decisive([record_answer(found, record) for record in mine])
    conflicts = _conflicting(found, mine)
    found.steps += conflicts
    found.conclude(conflicts[-1] if conflicts and answer.code == Answer.NOT_ADDRESSED else answer)
    found.steps += account_now(account_id)
    return found


def _records(message: str) -> list[PushRecord]:
    rows = PushRecord.objects.defer("text", "data").order_by("pk")
    if re.fullmatch(r"#[0-9]{1,18}", message):
        return list(rows.filter(pk=int(message[1:])))
    found = list(rows.filter(message_id=message)[:MAX_RECORDS]) if message else []
    if not found and re.fullmatch(r"[0-9a-f]{32}", message):
        found = list(rows.filter(dedupe_key=message))
    return found


# --- one record --------------------------------------------------------------------------------
def record_answer(found: Timeline, record: PushRecord) -> Conclusion:
    """Add the record's steps, and return its answer."""
    found.steps.extend(_received(record))
    rows = _deliveries(record.pk, found.account_id)
    if not rows:
        answer = answers.of_record(record, found.account_id)
        found.steps.append(answer)
        return answer
    keys = AppKey.objects.in_bulk({row.app_key_id for row in rows if row.app_key_id})
    tries = list(Resend.objects.filter(delivery_id__in=[row.pk for row in rows]).order_by("pk"))
    newest = {one.delivery_id: one for one in tries}
    told = [answers.of_delivery(row, keys.get(row.app_key_id or 0), newest.get(row.pk)) for row in rows]
    found.steps.extend(told)
    found.steps.extend(_sent_again(found, tries))
    return answers.decisive(told)


def _deliveries(record_id: int, account_id: str) -> list[DeliveryResult]:
    rows: QuerySet[DeliveryResult] = DeliveryResult.objects.filter(record_id=record_id, account_id=account_id)
    return list(rows.order_by("pk")[:MAX_DELIVERIES])


def _sent_again(found: Timeline, tries: list[Resend]) -> Iterator[Step]:
    """Return the operators' resends; their pushes are part of the answer."""
    for one in tries:
        text = _("Sent again by %(by)s as push #%(id)s.") % {"by": one.by, "id": one.record_id}
        if one.may_be_duplicate:
            text = f"{text} {_('It was accepted that it may arrive twice.')}"
        yield Step(one.created_at, Event.SENT_AGAIN, text)
        if one.record_id not in found.record_ids:
            found.record_ids.append(one.record_id)


def _received(record: PushRecord) -> Iterator[Step]:
    if record.source == RESEND_SOURCE:
        yield from _second_try(record)
    if (record.created_at - record.occurred_at).total_seconds() >= 1:
        yield Step(record.occurred_at, Event.OCCURRED, _("The message was created at its source."))
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
    yield Step(record.created_at, Event.RECEIVED, text % names)
    if record.distributed_at:
        yield Step(record.distributed_at, Event.DISTRIBUTED, _("Recipients, devices and app keys were determined."))
    if record.withdrawn_at:
        text = _("Withdrawn by %(by)s: unsent deliveries are not sent.") % {"by": record.withdrawn_by}
        yield Step(record.withdrawn_at, Event.WITHDRAWN, text, Reason.WITHDRAWN.value)


def _second_try(record: PushRecord) -> Iterator[Step]:
    one = Resend.objects.filter(record_id=record.pk).first()
    if one is None:
        return
    first = DeliveryResult.objects.filter(pk=one.delivery_id).values_list("record_id", flat=True).first()
    names = {"by": one.by, "delivery": one.delivery_id, "push": f"#{first}" if first else _("(removed)")}
    text = _("Sent again by %(by)s from delivery #%(delivery)s of push %(push)s.")
    yield Step(one.created_at, Event.SECOND_TRY, text % names)


def _type_name(number: int) -> str:
    return f"{number} {PushType(number).label}" if number in PushType.values else str(number)


# --- not received, and the account as it is -----------------------------------------------------
def _never_received(found: Timeline) -> None:
    letter = _newest_letter(found.message)
    answer = _became_letter(letter) if letter else _unknown()
    found.steps.append(answer)
    found.conclude(answer)
    found.steps.extend(_raw_list_now())


def _unknown() -> Conclusion:
    text = _("No push with this ID was ever received.")
    next_step = _("Ask the producer whether it was sent, and under which ID.")
    return Conclusion(None, Answer.NEVER_RECEIVED, text, next_step=next_step)


def _became_letter(letter: DeadLetter) -> Conclusion:
    text = _("Received, but could not be used: %(reason)s, %(detail)s (dead letter #%(id)s, %(state)s).") % {
        "reason": letter.reason,
        "detail": notes.words(letter.detail),
        "id": letter.pk,
        "state": letter.get_status_display(),
    }
    next_step = _("Correct and replay the dead letter, or discard it.")
    return Conclusion(letter.created_at, Answer.DEAD_LETTER, text, letter.reason, next_step=next_step)


def _conflicting(found: Timeline, records: list[PushRecord]) -> list[Conclusion]:
    """Return conflicting pushes for this account under the id of these records, which were not sent."""
    ids = {record.message_id for record in records if record.source == INTAKE_SOURCE} - {""}
    text = _("Another push with this ID was received and not sent: %(detail)s (dead letter #%(id)s, %(state)s).")
    return [
        Conclusion(
            letter.created_at,
            Answer.CONFLICT,
            text % {"detail": notes.words(letter.detail), "id": letter.pk, "state": letter.get_status_display()},
            letter.reason,
            next_step=_("Give the dead letter a msg_id of its own and replay it, or discard it."),
        )
        for letter in _conflicting_letters(found.account_id, ids)
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
        yield Step(None, Event.RAW_LIST, text % {"count": waiting, "list": lanes.RAW_LIST})


def account_now(account_id: str) -> list[Step]:
    """Return one step, or none during an outage of the directory: the timeline's own rows can still be read."""
    try:
        facts = directory().accounts([account_id]).get(account_id)
    except DirectoryError:
        return []
    if facts is None:
        return [Step(clocks.now(), Event.ACCOUNT_NOW, _("The account is currently unknown."))]
    text = _("The account now: %(login)s, %(pushes)s, %(online)s.") % {
        "login": _("logged in") if facts.is_logged_in else _("logged out"),
        "pushes": _("accepts pushes") if facts.accepts_pushes else _("do not disturb"),
        "online": _presence(account_id),
    }
    return [Step(clocks.now(), Event.ACCOUNT_NOW, text)]


def _presence(account_id: str) -> str:
    try:
        return _("online") if directory().online([account_id]) else _("offline")
    except RedisError:
        return _("presence unknown")


# --- dead letters by the id in their bytes, which have no index: so only the newest are read ------
def _newest_letter(message_id: str) -> DeadLetter | None:
    """Return the newest letter that contains the id, without its bytes."""
    found = next(_letters_naming(message_id, DeadLetter.objects.all()), None)
    return None if found is None else DeadLetter.objects.defer("raw").get(pk=found[0])


def _conflicting_letters(account_id: str, message_ids: Collection[str]) -> list[DeadLetter]:
    """Return conflicting pushes for the account under one of these used ids, oldest first and without their bytes."""
    letters = DeadLetter.objects.filter(reason=CONFLICT, status__in=DeadLetterStatus.values)
    named = (letter for message_id in message_ids for letter in _letters_naming(message_id, letters))
    numbers = [pk for pk, raw in named if _is_letter_for(account_id, raw)]
    return list(DeadLetter.objects.defer("raw").filter(pk__in=numbers[:MAX_CONFLICTS]).order_by("pk"))


def _letters_naming(message_id: str, letters: "QuerySet[DeadLetter]") -> Iterator[tuple[int, bytes]]:
    """Return number and bytes of each recent letter that contains the id, newest first."""
    if not message_id:
        return
    # As a whole word, so that order 12 is not found in order 123.
    wanted = re.compile(rb"(?<![0-9A-Za-z_-])" + re.escape(message_id.encode()) + rb"(?![0-9A-Za-z_-])")
    rows = letters.order_by("-pk").values_list("pk", "raw")[:MAX_READ]
    for pk, raw in rows.iterator(chunk_size=100):
        if wanted.search(bytes(raw)):
            yield pk, bytes(raw)


def _is_letter_for(account_id: str, raw: bytes) -> bool:
    try:
        message = orders.read(payload.parse(raw), source=INTAKE_SOURCE, identity="-")
    except (payload.PayloadError, orders.OrderError):
        return False
    return account_id in message.audience.accounts
