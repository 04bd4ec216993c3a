"""Withdraw a push: unsent deliveries are cancelled, and the answer counts the sent ones.

        pending record ──▶ cancelled: no (further) delivery is made of it
        waiting delivery, claimed or not ──▶ cancelled as `withdrawn`
        delivery whose call has begun ──▶ stays; if it comes back for a retry, it ends then (`standing`)

A claimed delivery whose call has not begun is taken from its worker, whose `begin` then leaves it out (see `claims`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from pushes.distribution import distribute, planned, take_backs
from pushes.distribution.take_backs import Rest, Waiting
from pushes.ledger import endings
from pushes.models import DeliveryResult, PushRecord
from pushes.names import CLAIMABLE, TERMINAL, Reason, RecordStatus, Status
from pushes.storage import batches, clocks

#: How many bursts are changed in one transaction.
CHUNK = 500
UNSENT = Q(status__in=CLAIMABLE) | Q(status=Status.SENDING, sent_at__isnull=True)


class OfBroadcastError(Exception):
    """The push belongs to a broadcast, which can only be cancelled as a whole. The message names the broadcast."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The state of a push when it was withdrawn, counted in deliveries; a recipient without a delivery yet counts as
    one. `already_sent` may be on a phone; `under_way` was being sent at that moment."""

    record: PushRecord
    withdrawn: int
    already_sent: int
    under_way: int


def withdraw(record_id: int, *, by: str, now: datetime | None = None) -> Withdrawal:
    """Withdraw the unsent deliveries of a push; calling it twice changes nothing more. `by` is stored with the push.
    Raises PushRecord.DoesNotExist, and OfBroadcastError for a push of a broadcast."""
    now = now or clocks.now()
    record = _close(record_id, by, now)
    _leave_bursts(record, now)
    _end_merged(record, now)
    endings.end(_of(record).filter(UNSENT), Status.CANCELLED, Reason.WITHDRAWN, now=now)
    return counted(record)


def is_possible(record: PushRecord) -> bool:
    """Whether any part of the push is still unsent."""
    if record.broadcast_id is not None or record.withdrawn_at is not None:
        return False
    return record.status == RecordStatus.PENDING or _of(record).filter(UNSENT).exists()


def counted(record: PushRecord) -> Withdrawal:
    """Count how far a push has got: before a withdrawal what it would do, afterwards what it did."""
    found = _of(record).order_by().values_list("status", "reason").annotate(number=Count("id"))
    counts = {(status, reason): number for status, reason, number in found}
    withdrawn = counts.get((Status.CANCELLED, Reason.WITHDRAWN), 0)
    if record.status == RecordStatus.CANCELLED and record.withdrawn_at is not None:
        made = _of(record).aggregate(number=Count("account_id", distinct=True))["number"]
        withdrawn += max(0, len(set(record.accounts)) - made)
    return Withdrawal(
        record,
        withdrawn=withdrawn,
        already_sent=sum(
            number for (status, _), number in counts.items() if status in (Status.ACCEPTED, Status.UNKNOWN)
        ),
        under_way=sum(number for (status, _), number in counts.items() if status not in TERMINAL),
    )


@transaction.atomic
def _close(record_id: int, by: str, now: datetime) -> PushRecord:
    """Close the record: after the commit no more deliveries are made, since distribution takes only pending records
    under this lock."""
    record = PushRecord.objects.select_for_update().defer("text", "data").get(pk=record_id)
    if record.broadcast_id is not None:
        raise OfBroadcastError(f"push #{record_id} is part of broadcast #{record.broadcast_id}")
    if record.withdrawn_at is None:
        record.withdrawn_at, record.withdrawn_by = now, by[:150]
    if record.status == RecordStatus.PENDING:
        record.status, record.status_detail = RecordStatus.CANCELLED, Reason.WITHDRAWN.value
    record.save(update_fields=["withdrawn_at", "withdrawn_by", "status", "status_detail"])
    return record


def _of(record: PushRecord) -> "QuerySet[DeliveryResult]":
    return DeliveryResult.objects.filter(record_id=record.pk)


def _leave_bursts(record: PushRecord, now: datetime) -> None:
    """End its deliveries that also stand for other messages: the latest of those messages is sent in their place."""
    bursting = _of(record).filter(UNSENT, stands_for__gt=1, burst__isnull=False)
    ids = list(bursting.order_by("id").values_list("id", flat=True))
    for chunk in batches.chunks(ids, CHUNK):
        _leave_some(bursting.filter(id__in=chunk), record, now)


@transaction.atomic
def _leave_some(bursting: "QuerySet[DeliveryResult]", record: PushRecord, now: datetime) -> None:
    rows = list(bursting.select_for_update().order_by("id"))
    waiting = [Waiting(row.pk, record.pk, row.account_id, row.burst or 0, row.stands_for) for row in rows]
    rests = take_backs.leave(waiting, {record.pk}, take_backs.messages_of(waiting), Reason.WITHDRAWN, now)
    heirs = [heir for row in rows if (heir := _succeed(row, rests[row.pk], now))]
    endings.end(
        DeliveryResult.objects.filter(id__in=[row.pk for row in rows]), Status.CANCELLED, Reason.WITHDRAWN, now=now
    )
    pending = DeliveryResult.objects.filter(id__in=heirs, status=Status.PENDING).order_by("id")
    distribute.enqueue_by_key(pending.values_list("kind", "shard", "app_key_id", "id"))


def _succeed(row: DeliveryResult, rest: Rest, now: datetime) -> int | None:
    """Let the heir wait as the row did; if the row was claimed already, send the heir now."""
    if rest.heir is None or rest.stands_for < 1:
        return None
    is_held = row.status in (Status.HELD, Status.RETRYING)
    take_backs.revive(
        rest.heir,
        stands_for=rest.stands_for,
        order_key=row.order_key,
        status=Status.HELD if is_held else Status.PENDING,
        due_at=row.due_at if is_held else now,
        reason=row.reason if is_held else "",
    )
    return rest.heir


def _end_merged(record: PushRecord, now: datetime) -> None:
    """End its deliveries that were merged into a later message's delivery, as long as that one is unsent."""
    merged = _of(record).filter(status=Status.SKIPPED, reason=Reason.COALESCED, burst__isnull=False)
    found = list(merged.order_by("id").values_list("id", "token", "burst"))
    for chunk in batches.chunks(found, CHUNK):
        _end_some(record, chunk, now)


@transaction.atomic
def _end_some(record: PushRecord, merged: Sequence[tuple[int, str, int | None]], now: datetime) -> None:
    keys = {planned.order_key(record.conversation, token) for _, token, _ in merged} - {None}
    bursts = {burst for *_, burst in merged}
    showing = DeliveryResult.objects.filter(UNSENT, order_key__in=keys, burst__in=bursts, stands_for__gt=1)
    rows = dict(showing.select_for_update().values_list("burst", "id"))
    counted_less = DeliveryResult.objects.filter(id__in=rows.values())
    # If a worker has claimed one of them, the claim is removed, and the row is sent again with the new count.
    counted_less.filter(status=Status.SENDING).update(status=Status.RETRYING, claim="", lease_until=None, due_at=now)
    counted_less.update(stands_for=F("stands_for") - 1)
    gone = DeliveryResult.objects.filter(id__in=[pk for pk, _, burst in merged if burst in rows])
    endings.end(gone, Status.CANCELLED, Reason.WITHDRAWN, now=now)
