"""Explain what happened to one account around a moment, when the message is not known."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from pushes.history.answers import Answer, Conclusion, Step, Timeline
from pushes.history.timeline import account_now, record_answer
from pushes.models import DeliveryResult, PushRecord
from pushes.names import RecordStatus

SPAN = timedelta(minutes=30)
#: How many messages are explained one by one; of more, those nearest to the moment.
MAX_RECORDS = 20
MAX_DELIVERIES = 500
#: Pushes without deliveries have no index by account: this many of the span are read.
MAX_LOOKED_THROUGH = 2_000
#: How long after a message's acceptance its deliveries may be made.
CLOCK_SLACK = timedelta(seconds=120)
#: Rows are inserted in batches, so their ids follow time only roughly.
ID_SLACK = 20_000
UNDELIVERED = (RecordStatus.PENDING, RecordStatus.EXPIRED, RecordStatus.FAILED, RecordStatus.CANCELLED)


def around(account_id: str, at: datetime) -> Timeline:
    """Return everything known about `account_id` from half an hour before `at` until half an hour after.

    The outcome is that of the only message, or `several` or `nothing`. Raises only DatabaseError.
    """
    account_id = account_id.strip()
    found = Timeline(account_id, "")
    deliveries = _deliveries(account_id, at)
    records = _records(account_id, at, {row.record_id for row in deliveries})
    answers: list[Conclusion] = []
    told: list[tuple[datetime, Step]] = []
    for record in records:
        answers.append(record_answer(found, record))
        told += _placed(found.steps, record)
        found.steps = []
    found.record_ids = list(dict.fromkeys([*(record.pk for record in records), *found.record_ids]))
    found.steps = [step for _moment, step in sorted(told, key=lambda placed: placed[0])]
    answer = _summary(account_id, answers, at)
    found.conclude(answer)
    if not records:
        found.steps.append(answer)
    found.steps += account_now(account_id)
    return found


def _placed(steps: Iterable[Step], record: PushRecord) -> Iterator[tuple[datetime, Step]]:
    """Return each step with the name of its message, since several messages are shown together, and its place in time:
    a step without a time stays behind the step before it."""
    name, moment = f"#{record.pk} {record.message_id}".strip(), record.created_at
    for step in steps:
        moment = step.at or moment
        yield moment, replace(step, text=f"{name}: {step.text}")


def _summary(account_id: str, answers: list[Conclusion], at: datetime) -> Conclusion:
    span = {
        "account": account_id,
        "from": _local(at - SPAN),
        "until": _local(at + SPAN),
        "count": len(answers),
    }
    if not answers:
        text = _("No messages for %(account)s between %(from)s and %(until)s.")
        next_step = _("Try another time, or ask the producer whether and when a message was sent.")
        return Conclusion(None, Answer.NOTHING, text % span, next_step=next_step)
    codes = Counter(answer.code for answer in answers)
    words = ", ".join(f"{count} {code.label}" for code, count in codes.most_common())
    text = _("%(count)s messages for %(account)s between %(from)s and %(until)s: %(words)s.") % {**span, "words": words}
    if len(answers) == 1:
        return replace(answers[0], text=text)
    return Conclusion(None, Answer.SEVERAL, text, next_step=_("Search for one of the messages to see its next step."))


def _deliveries(account_id: str, at: datetime) -> list[DeliveryResult]:
    """Return the account's deliveries of the span, by ids, which follow time and are in the account's index."""
    first = _edge(at - SPAN - CLOCK_SLACK, "created_at")
    last = _edge(at + SPAN + CLOCK_SLACK, "-created_at")
    if first is None or last is None:
        return []
    rows = DeliveryResult.objects.filter(account_id=account_id, pk__gte=first - ID_SLACK, pk__lte=last + ID_SLACK)
    found = rows.order_by("-pk")[:MAX_DELIVERIES]
    return [row for row in found if at - SPAN <= row.created_at <= at + SPAN]


def _edge(moment: datetime, order: str) -> int | None:
    """Return the id of the first row at or after the moment, or of the last at or before it."""
    side = Q(created_at__lte=moment) if order.startswith("-") else Q(created_at__gte=moment)
    return DeliveryResult.objects.filter(side).order_by(order).values_list("pk", flat=True).first()


def _records(account_id: str, at: datetime, ids: set[int]) -> list[PushRecord]:
    """Return the pushes of the deliveries, and pushes for the account without deliveries; those nearest to `at`."""
    found = list(PushRecord.objects.defer("text", "data").filter(pk__in=ids))
    found += [record for record in _undelivered(at) if record.pk not in ids and account_id in record.accounts]
    found.sort(key=lambda record: abs(record.created_at - at))
    return sorted(found[:MAX_RECORDS], key=lambda record: record.pk)


def _undelivered(at: datetime) -> Iterator[PushRecord]:
    for status in UNDELIVERED:
        rows = PushRecord.objects.defer("text", "data").filter(
            status=status, created_at__gte=at - SPAN, created_at__lte=at + SPAN
        )
        yield from rows.order_by("-created_at")[:MAX_LOOKED_THROUGH]


def _local(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
