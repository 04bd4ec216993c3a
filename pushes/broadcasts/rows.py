"""The rows of a broadcast and of its deliveries: read them, lock them, move them from state to state."""

from collections.abc import Collection
from typing import Any

from django.db import transaction

from pushes.models import Broadcast, DeliveryResult, PushRecord
from pushes.names import CLAIMABLE, BroadcastStatus, Status
from pushes.text import notes
from pushes.text.notes import Note

STARTABLE = (BroadcastStatus.DRAFT, BroadcastStatus.WAITING, BroadcastStatus.SCHEDULED)


FAR_FUTURE_DAYS = 3_650
#: The width of a broadcast's status_reason.
MAX_REASON = 200


class BroadcastStateError(Exception):
    """The broadcast's state does not allow this step."""


def states(record_ids: Collection[int], *, lock: bool = False) -> dict[int, str]:
    """Return the status of each record's broadcast; with `lock` it stays so until the caller's transaction ends."""
    of_records = dict(PushRecord.objects.filter(id__in=record_ids).values_list("id", "broadcast_id"))
    found = Broadcast.objects.filter(id__in=set(of_records.values()))
    if lock:
        found = found.select_for_update()
    by_id = dict(found.values_list("id", "status"))
    return {record_id: by_id[pk] for record_id, pk in of_records.items() if pk in by_id}


def locked(broadcast_id: int) -> Broadcast:
    return Broadcast.objects.select_for_update().get(pk=broadcast_id)


@transaction.atomic
def moved(broadcast_id: int, allowed: tuple[str, ...], status: BroadcastStatus, reason: Note) -> Broadcast:
    broadcast = locked(broadcast_id)
    if broadcast.status not in allowed:
        raise BroadcastStateError(f"broadcast #{broadcast_id} is {broadcast.status}: it cannot become {status.value}")
    broadcast.status, broadcast.status_reason = status, notes.stored(reason, most=MAX_REASON)
    broadcast.save(update_fields=["status", "status_reason"])
    return broadcast


def unsent(broadcast: Broadcast) -> Any:
    return DeliveryResult.objects.filter(record_id__in=record_ids(broadcast), status__in=CLAIMABLE)


def unbegun(broadcast: Broadcast) -> Any:
    """Rows claimed by a worker that has not begun their calls; once taken away, it cannot (see `claims.begin`)."""
    return DeliveryResult.objects.filter(
        record_id__in=record_ids(broadcast), status=Status.SENDING, sent_at__isnull=True
    )


def live(broadcast: Broadcast) -> Any:
    return DeliveryResult.objects.filter(record_id__in=record_ids(broadcast), status__in=(*CLAIMABLE, Status.SENDING))


def record_ids(broadcast: Broadcast) -> list[int]:
    """Return the ids of its pushes: one for each of its apps, once it is launched."""
    return list(broadcast.records.order_by("id").values_list("id", flat=True))
