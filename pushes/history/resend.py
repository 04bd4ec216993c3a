"""Resend failed deliveries at an operator's request, each to the one device that it failed for.

A finished delivery stays finished. Its resend is a new push, submitted like any other, with the delivery's number as
its identity: requested twice, it is made once. It is judged again when it is distributed, so an account that has turned
pushes off meanwhile gets nothing, and the new push says so.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from pushes.distribution import message_sources
from pushes.models import DeliveryResult, PushRecord, Resend
from pushes.names import RESEND_SOURCE, App, Kind, Platform, Reason, RecordStatus, Status
from pushes.people.directory import directory
from pushes.submit import submit_all
from pushes.text import presentation
from pushes.values import Audience, PushMessage, SourceMessage

MAX_AT_ONCE = 500
#: Deliveries that were skipped because something was missing on our side, which may exist by now. All other reasons
#: for `skipped` are the recipient's wish, or the message's own.
OURS_TO_MEND = (Reason.NO_APP_KEY, Reason.NO_DEVICE, Reason.OUTSIDE_WINDOW, Reason.TYPE_DISABLED)
#: A resend that ended in one of these states made no delivery, and so does not prevent another one.
FRUITLESS = (RecordStatus.EXPIRED, RecordStatus.FAILED, RecordStatus.CANCELLED)


class Obstacle(TextChoices):
    """Why a delivery is not resent."""

    ACCEPTED = "accepted", _("already accepted by the provider")
    LIVE = "live", _("still in progress")
    REFUSED = "refused", _("skipped on purpose; the delivery shows the reason")
    CANCELLED = "cancelled", _("cancelled or withdrawn")
    SENT_AGAIN = "sent_again", _("already sent again: continue from the delivery of that push")
    NO_RECORD = "no_record", _("the message is no longer kept")
    DEVICE_GONE = "device_gone", _("the device is deactivated or belongs to another account")
    UNKNOWN = "unknown", _("may have arrived: accept duplicates to send it")


@dataclass(frozen=True, slots=True)
class Refusal:
    delivery: DeliveryResult
    obstacle: Obstacle


@dataclass(slots=True)
class Plan:
    """What a resend would do. `uncertain` are those of `sendable` that may have arrived the first time."""

    sendable: list[DeliveryResult] = field(default_factory=list)
    uncertain: list[DeliveryResult] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sent:
    """`record_ids` by delivery id; `refused` as in the plan, and everything uncertain that was not acknowledged."""

    record_ids: dict[int, int]
    refused: list[Refusal]


def plan(deliveries: Iterable[DeliveryResult]) -> Plan:
    """Return which of `deliveries` can be resent, and why the others cannot. Changes nothing.

    Raises directory.DirectoryError when the directory is unavailable.
    """
    rows = list(deliveries)
    records = PushRecord.objects.in_bulk([row.record_id for row in rows])
    earlier = _sent_again([row.pk for row in rows])
    devices = _active_tokens(rows)
    gone = _taken_back(records.values())
    found = Plan()
    for row in rows:
        obstacle = _obstacle(row, records, earlier, devices)
        if obstacle is None and row.record_id in gone:
            obstacle = Obstacle.CANCELLED
        if obstacle is not None:
            found.refused.append(Refusal(row, obstacle))
            continue
        found.sendable.append(row)
        if row.status == Status.UNKNOWN or row.may_have_arrived:
            found.uncertain.append(row)
    return found


def _obstacle(
    row: DeliveryResult, records: dict[int, PushRecord], earlier: Collection[int], devices: Collection[tuple[str, ...]]
) -> Obstacle | None:
    by_status = {
        Status.ACCEPTED: Obstacle.ACCEPTED,
        Status.PENDING: Obstacle.LIVE,
        Status.HELD: Obstacle.LIVE,
        Status.SENDING: Obstacle.LIVE,
        Status.RETRYING: Obstacle.LIVE,
        Status.CANCELLED: Obstacle.CANCELLED,
    }
    if row.status in by_status:
        return by_status[Status(row.status)]
    if row.status == Status.SKIPPED and row.reason not in OURS_TO_MEND:
        return Obstacle.REFUSED
    if row.pk in earlier:
        return Obstacle.SENT_AGAIN
    if row.record_id not in records:
        return Obstacle.NO_RECORD
    if row.token and (row.app, row.account_id, row.token) not in devices:
        return Obstacle.DEVICE_GONE
    return None


def _taken_back(records: Iterable[PushRecord]) -> set[int]:
    """Return deliveries that were withdrawn, or whose messages were recalled in the chat."""
    asked = [SourceMessage(record.pk, record.source, record.message_id, record.dedupe_key) for record in records]
    return message_sources.taken_back(asked) | {record.pk for record in records if record.withdrawn_at is not None}


def _sent_again(delivery_ids: Sequence[int]) -> set[int]:
    """Return deliveries with a resend that is in progress, or has made a delivery."""
    tries = Resend.objects.filter(delivery_id__in=delivery_ids).exclude(record__status__in=FRUITLESS)
    return set(tries.values_list("delivery_id", flat=True))


def _active_tokens(rows: Iterable[DeliveryResult]) -> set[tuple[str, ...]]:
    by_app: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        if row.token:
            by_app[row.app][row.account_id] = None
    return {
        (app, account_id, device.token)
        for app, accounts in by_app.items()
        for account_id, devices in directory().devices(list(accounts), app).items()
        for device in devices
    }


@transaction.atomic
def resend(delivery_ids: Collection[int], *, by: str, accepts_duplicates: bool = False) -> Sent:
    """Resend the deliveries that can be resent. A second call, also a simultaneous one, does nothing.

    Deliveries that may have arrived are resent only with `accepts_duplicates`. Raises ValueError for more than
    MAX_AT_ONCE, and directory.DirectoryError when the directory is unavailable.
    """
    if len(delivery_ids) > MAX_AT_ONCE:
        raise ValueError(f"{len(delivery_ids)} deliveries: at most {MAX_AT_ONCE} are sent again at once")
    # Locked in one order, so that the second of two simultaneous clicks sees what the first has done.
    rows = list(DeliveryResult.objects.select_for_update().filter(pk__in=delivery_ids).order_by("pk"))
    found = plan(rows)
    wanted = found.sendable
    if not accepts_duplicates:
        unsure = {row.pk for row in found.uncertain}
        wanted = [row for row in wanted if row.pk not in unsure]
        found.refused += [Refusal(row, Obstacle.UNKNOWN) for row in found.uncertain]
    return Sent(_submit(wanted, by), found.refused)


def _submit(rows: Sequence[DeliveryResult], by: str) -> dict[int, int]:
    records = PushRecord.objects.in_bulk([row.record_id for row in rows])
    fruitless: dict[int, int] = defaultdict(int)
    for delivery_id in Resend.objects.filter(delivery_id__in=[row.pk for row in rows]).values_list(
        "delivery_id", flat=True
    ):
        fruitless[delivery_id] += 1
    messages = [_message(row, records[row.record_id], fruitless[row.pk]) for row in rows]
    record_ids = dict(zip((row.pk for row in rows), submit_all(messages).record_ids, strict=True))
    Resend.objects.bulk_create(
        [
            Resend(
                record_id=record_ids[row.pk],
                delivery_id=row.pk,
                token=row.token,
                by=by[:150],
                may_be_duplicate=row.status == Status.UNKNOWN or row.may_have_arrived,
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )
    return record_ids


def _message(row: DeliveryResult, record: PushRecord, tries: int) -> PushMessage:
    """Return the record's message, addressed to this delivery's account; its time to live starts anew."""
    return PushMessage(
        kind=Kind(record.kind),
        app=App(record.app),
        audience=Audience((row.account_id,), Platform(row.platform) if row.platform else None),
        text=record.text,
        title=record.title,
        data=record.data,
        presentation=presentation.stored(record.presentation),
        push_type=record.push_type,
        source=RESEND_SOURCE,
        identity=f"{row.pk}:{tries}",
        message_id=record.message_id,
        conversation=record.conversation,
        sender_id=record.sender_id,
        sender_name=record.sender_name,
        occurred_at=record.occurred_at,
    )


def failed_of(record_id: int) -> list[DeliveryResult]:
    """Return a push's deliveries that might be resent, at most MAX_AT_ONCE."""
    over = (Status.FAILED, Status.UNKNOWN, Status.EXPIRED)
    of_record = DeliveryResult.objects.filter(record_id=record_id)
    rows = list(of_record.filter(status__in=over).order_by("pk")[:MAX_AT_ONCE])
    mendable = of_record.filter(status=Status.SKIPPED, reason__in=OURS_TO_MEND).order_by("pk")
    return rows + list(mendable[: MAX_AT_ONCE - len(rows)])


def of_delivery(delivery_id: int) -> Sequence[Resend]:
    """Return the resends of one delivery, oldest first."""
    return list(Resend.objects.filter(delivery_id=delivery_id).order_by("pk"))


def of_record(record_id: int) -> Resend | None:
    """Return what a push is a resend of; None for an original push."""
    return Resend.objects.filter(record_id=record_id).first()
