"""Watch a broadcast: its outcomes decide here whether it continues or halts. The canary's outcomes decide before the
main send, and the outcomes of the last minute decide during it.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from pushes.broadcasts import canary, lifecycle, progress, rows
from pushes.broadcasts.rows import BroadcastStateError
from pushes.models import Broadcast, PushRecord
from pushes.names import BroadcastPhase, BroadcastStatus
from pushes.storage import clocks
from pushes.workers import queues

log = logging.getLogger(__name__)


def judge_canaries(now: datetime | None = None) -> int:
    """Halt or continue broadcasts whose canary has been answered. Safe to run twice and concurrently: each broadcast
    is judged under its lock, and moved once. Returns how many moved."""
    return _judge_each(_sending().filter(phase=BroadcastPhase.CANARY), _judge_canary, now or clocks.now())


def watch(now: datetime | None = None) -> int:
    """Halt broadcasts in their main send when too many deliveries fail. As safe as `judge_canaries`. Returns how many
    halted."""
    return _judge_each(_sending().exclude(phase=BroadcastPhase.CANARY), _judge_recent, now or clocks.now())


def _sending() -> "QuerySet[Broadcast]":
    return Broadcast.objects.filter(status=BroadcastStatus.SENDING).defer("accounts", "data")


def _judge_each(wanted: "QuerySet[Broadcast]", judge: Callable[[Broadcast, datetime], bool], now: datetime) -> int:
    moved = 0
    for pk in list(wanted.values_list("pk", flat=True)):
        with transaction.atomic():
            broadcast = wanted.select_for_update().filter(pk=pk).first()
            moved += broadcast is not None and judge(broadcast, now)
    return moved


def _judge_canary(broadcast: Broadcast, now: datetime) -> bool:
    record_ids = rows.record_ids(broadcast)
    tally, listed_at = canary.tally(record_ids), broadcast.canary_listed_at
    is_over = listed_at is not None and (tally.is_complete or now >= canary.waits_until(listed_at, record_ids))
    objection = canary.objection(tally, canary.limits(), is_over=is_over)
    if objection:
        _halt(broadcast, objection, phase=BroadcastPhase.HALTED)
        return True
    if is_over:
        _to_the_rest(broadcast.pk, now)
        queues.enqueue_expansion(broadcast.pk)
    return is_over


def _judge_recent(broadcast: Broadcast, now: datetime) -> bool:
    objection = canary.spike(broadcast, now)
    # Everything has been sent already: halting would change nothing.
    if objection is None or (broadcast.is_expanded and not progress.progress(broadcast.pk).waiting):
        return False
    _halt(broadcast, objection, phase=broadcast.phase)
    return True


def _halt(broadcast: Broadcast, objection: canary.Objection, *, phase: str) -> None:
    log.warning("broadcast #%s halted: %s", broadcast.pk, objection.note)
    lifecycle.pause(broadcast.pk, reason=objection.note)
    Broadcast.objects.filter(pk=broadcast.pk).update(phase=phase, objection=objection._asdict())


@transaction.atomic
def go_on(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Continue a halted broadcast in spite of the objection. It halts again only for another reason, or when the rate
    has become half as bad again. Raises BroadcastStateError unless it has halted."""
    broadcast = Broadcast.objects.select_for_update().defer("accounts", "data").get(pk=broadcast_id)
    if not broadcast.has_halted:
        raise BroadcastStateError(f"broadcast #{broadcast_id} has not halted: it is {broadcast.status}")
    objection, now = canary.Objection.read(broadcast.objection), clocks.now()
    tolerated = broadcast.tolerated | ({objection.why: objection.percent} if objection else {})
    Broadcast.objects.filter(pk=broadcast_id).update(objection={}, tolerated=tolerated, watched_from=now)
    if broadcast.phase == BroadcastPhase.HALTED:
        _to_the_rest(broadcast_id, now)
    return lifecycle.resume(broadcast_id, by=by)


def _to_the_rest(broadcast_id: int, now: datetime) -> None:
    """Start the main send: list the audience from its beginning (`canary.members` leaves out the canary) in lists."""
    Broadcast.objects.filter(pk=broadcast_id).update(
        phase=BroadcastPhase.REST, cursor=0, listed_app="", watched_from=now
    )
    PushRecord.objects.filter(broadcast_id=broadcast_id).update(one_by_one=False)
