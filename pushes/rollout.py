"""From the canary to the rest: its outcomes decide, in one place, whether a broadcast goes on or halts."""

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from pushes import broadcasts, canary, queues
from pushes.broadcasts import BroadcastStateError
from pushes.models import Broadcast, PushRecord
from pushes.names import BroadcastPhase, BroadcastStatus

log = logging.getLogger(__name__)


def judge_canaries(now: datetime | None = None) -> int:
    """Halt or let go on what has its answer. Safe to run twice and at the same time: each broadcast is judged
    under its lock, and moved once. Returns how many moved."""
    now = now or timezone.now()
    running = Broadcast.objects.filter(status=BroadcastStatus.SENDING, phase=BroadcastPhase.CANARY)
    return sum(_judge(pk, now) for pk in list(running.values_list("pk", flat=True)))


@transaction.atomic
def _judge(broadcast_id: int, now: datetime) -> bool:
    broadcast = Broadcast.objects.select_for_update().defer("accounts", "data").get(pk=broadcast_id)
    if (broadcast.status, broadcast.phase) != (BroadcastStatus.SENDING, BroadcastPhase.CANARY):
        return False
    record_id = PushRecord.objects.values_list("id", flat=True).get(broadcast_id=broadcast_id)
    tally, listed_at = canary.tally(record_id), broadcast.canary_listed_at
    is_over = listed_at is not None and (tally.is_complete or now >= canary.waits_until(listed_at, record_id))
    objection = canary.objection(tally, canary.limits(), is_over=is_over)
    if objection:
        log.warning("broadcast #%s halted: %s", broadcast_id, objection)
        broadcasts.pause(broadcast_id, reason=f"halted: {objection}")
        Broadcast.objects.filter(pk=broadcast_id).update(phase=BroadcastPhase.HALTED, objection=objection._asdict())
        return True
    if is_over:
        _to_the_rest(broadcast_id)
        queues.enqueue_expansion(broadcast_id)
    return is_over


@transaction.atomic
def go_on(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Send the rest in spite of what the canary said. Raises BroadcastStateError unless it has halted."""
    broadcast = Broadcast.objects.select_for_update().defer("accounts", "data").get(pk=broadcast_id)
    if (broadcast.status, broadcast.phase) != (BroadcastStatus.PAUSED, BroadcastPhase.HALTED):
        raise BroadcastStateError(f"broadcast #{broadcast_id} is not halted by its canary: {broadcast.status}")
    _to_the_rest(broadcast_id)
    return broadcasts.resume(broadcast_id, by=by)


def _to_the_rest(broadcast_id: int) -> None:
    """The audience is listed from its beginning (see `canary.members` for who is left out), and sent in lists."""
    Broadcast.objects.filter(pk=broadcast_id).update(phase=BroadcastPhase.REST, cursor=0)
    PushRecord.objects.filter(broadcast_id=broadcast_id).update(one_by_one=False)
