"""The life cycle of a broadcast: launch, pause, resume, cancel, end.

`audiences` has its audience; `canary` and `watch` decide who gets it first, and whether the others follow.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from pushes import lanes
from pushes.broadcasts import audiences, canary, rows
from pushes.broadcasts.message import look_up, message_of
from pushes.broadcasts.rows import FAR_FUTURE_DAYS, STARTABLE, BroadcastStateError
from pushes.ledger import endings
from pushes.models import Broadcast, PushRecord
from pushes.names import BroadcastPhase, BroadcastStatus, Reason, Status
from pushes.people.directory import DirectoryError
from pushes.storage import clocks
from pushes.submit import InvalidMessageError, refusal, submit_all
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.workers import queues

log = logging.getLogger(__name__)

EXPANSIONS = lanes.distribute_queue(lanes.BROADCAST)
#: How many deliveries of a cancelled broadcast are marked at a time.
CANCELLED_AT_ONCE = 20_000


def launch(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Start sending, or wait for `scheduled_at`. Launching twice sends once.

    Raises BroadcastStateError unless the broadcast is a draft, approved, or due by its schedule, and
    submit.InvalidMessageError when it cannot be sent as it is.
    """
    with transaction.atomic():
        broadcast = rows.locked(broadcast_id)
        if broadcast.status not in STARTABLE:
            raise BroadcastStateError(f"broadcast #{broadcast_id} is {broadcast.status}: it cannot be launched")
        now = clocks.now()
        messages = [message_of(broadcast, app) for app in broadcast.apps]
        for message in messages:
            if refused := refusal(message):
                raise refused.error()
        _check_expiry(broadcast, now)
        size = _estimate_if_possible(broadcast)
        if by is not None:
            broadcast.approved_by = by
        if broadcast.scheduled_at and broadcast.scheduled_at > now:
            broadcast.status = BroadcastStatus.SCHEDULED
            broadcast.save()
            return broadcast
        broadcast.status = BroadcastStatus.SENDING
        broadcast.started_at = now
        broadcast.estimate = size
        if size == 0:
            broadcast.status_reason = notes.stored(Note(Sentence.NOBODY), most=rows.MAX_REASON)
        broadcast.canary_share = canary.share(broadcast, size)
        broadcast.phase = BroadcastPhase.CANARY if broadcast.canary_share else ""
        broadcast.save()
        PushRecord.objects.filter(id__in=submit_all(messages, now=now).record_ids).update(
            window_policy=broadcast.window_policy, one_by_one=bool(broadcast.phase)
        )
    return broadcast


def _check_expiry(broadcast: Broadcast, now: datetime) -> None:
    starts_at = max(now, broadcast.scheduled_at or now)
    if broadcast.expires_at and broadcast.expires_at <= starts_at:
        raise InvalidMessageError("expires_at", broadcast.expires_at, Note(Sentence.EXPIRES_TOO_EARLY))


def _estimate_if_possible(broadcast: Broadcast) -> int | None:
    try:
        return audiences.estimate(broadcast)
    except DirectoryError as error:
        # The audience is listed page by page as soon as the directory is back.
        log.warning("broadcast #%s starts without an audience estimate: %s", broadcast.pk, error)
        return None


def pause(broadcast_id: int, *, by: Any = None, reason: Note | None = None) -> Broadcast:
    """Hold all unsent deliveries. Raises BroadcastStateError unless the broadcast is sending."""
    with transaction.atomic():
        why = reason or _by(Sentence.PAUSED, Sentence.PAUSED_BY, by)
        broadcast = rows.moved(broadcast_id, (BroadcastStatus.SENDING,), BroadcastStatus.PAUSED, why)
        far = clocks.now() + timedelta(days=FAR_FUTURE_DAYS)
        held = {"status": Status.HELD, "reason": Reason.BROADCAST_PAUSED, "due_at": far}
        rows.unsent(broadcast).update(**held)
        rows.unbegun(broadcast).update(claim="", lease_until=None, **held)
    return broadcast


def resume(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Continue where `pause` stopped. Raises BroadcastStateError unless the broadcast is paused, and when it was
    halted automatically: use `watch.go_on` then."""
    with transaction.atomic():
        why = _by(Sentence.RESUMED, Sentence.RESUMED_BY, by)
        broadcast = rows.moved(broadcast_id, (BroadcastStatus.PAUSED,), BroadcastStatus.SENDING, why)
        if broadcast.objection:
            raise BroadcastStateError(f"broadcast #{broadcast_id} has halted by itself: it cannot simply be resumed")
        now = clocks.now()
        decision = look_up(broadcast.push_type, broadcast.window_policy, now).decisions[broadcast.push_type]
        # They are overdue, unless the delivery window is shut: the sweeper's next round sends them.
        due_at = decision.hold_until or now - timedelta(seconds=settings.STUCK_SECONDS)
        rows.unsent(broadcast).filter(reason=Reason.BROADCAST_PAUSED).update(
            status=Status.HELD, reason=Reason.OUTSIDE_WINDOW if decision.hold_until else "", due_at=due_at
        )
        queues.enqueue_expansion(broadcast_id)
    return broadcast


def cancel(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """End the broadcast; unsent deliveries are never sent. Raises BroadcastStateError when it is already over.

    After the commit of the first transaction no call begins: claims are taken back here, and workers claim nothing of
    a cancelled broadcast. The first CANCELLED_AT_ONCE deliveries are marked here; `finish_cancelled` marks the rest,
    which may be a million rows.
    """
    open_states = (*STARTABLE, BroadcastStatus.SENDING, BroadcastStatus.PAUSED)
    with transaction.atomic():
        why = _by(Sentence.CANCELLED, Sentence.CANCELLED_BY, by)
        broadcast = rows.moved(broadcast_id, open_states, BroadcastStatus.CANCELLED, why)
        _end_as_cancelled(rows.unbegun(broadcast))
    _finish_cancelled(broadcast)
    return broadcast


def finish_cancelled() -> int:
    """Continue to mark the deliveries of cancelled broadcasts. Returns how many were marked."""
    unfinished = Broadcast.objects.filter(status=BroadcastStatus.CANCELLED, finished_at__isnull=True)
    return sum(_finish_cancelled(broadcast) for broadcast in unfinished.defer("accounts", "data"))


def _finish_cancelled(broadcast: Broadcast) -> int:
    ended = _end_as_cancelled(rows.unsent(broadcast))
    if ended < CANCELLED_AT_ONCE:
        Broadcast.objects.filter(pk=broadcast.pk).update(finished_at=clocks.now())
    return ended


def _end_as_cancelled(rows: Any) -> int:
    return endings.end(rows, Status.CANCELLED, Reason.CANCELLED, now=clocks.now(), most=CANCELLED_AT_ONCE)


def finish_done() -> int:
    """Mark broadcasts as finished when all their deliveries are over. Returns how many."""
    finished = 0
    for broadcast in Broadcast.objects.filter(status=BroadcastStatus.SENDING, is_expanded=True):
        # The last rows are sent last, so an unfinished row is mostly found at once.
        if not rows.live(broadcast).order_by("-id").values_list("id")[:1]:
            finished += Broadcast.objects.filter(pk=broadcast.pk, status=BroadcastStatus.SENDING).update(
                status=BroadcastStatus.FINISHED, finished_at=clocks.now()
            )
    return finished


def put_back() -> None:
    """Launch scheduled broadcasts that are due, and resume expansions that a crash interrupted. Raises
    redis.RedisError after the launches."""
    now = clocks.now()
    for pk in Broadcast.objects.filter(status=BroadcastStatus.SCHEDULED, scheduled_at__lte=now).values_list(
        "pk", flat=True
    ):
        _launch_scheduled(pk)
    if queues.depths([EXPANSIONS])[EXPANSIONS]:
        return
    for pk in (
        Broadcast.objects.filter(
            status=BroadcastStatus.SENDING,
            is_expanded=False,
            started_at__lte=now - timedelta(seconds=settings.STUCK_SECONDS),
        )
        .exclude(phase=BroadcastPhase.CANARY, canary_listed_at__isnull=False)
        .values_list("pk", flat=True)
    ):
        queues.enqueue_expansion(pk)


def _launch_scheduled(broadcast_id: int) -> None:
    try:
        launch(broadcast_id)
    except BroadcastStateError as error:
        log.info("not launched: %s", error)
    except InvalidMessageError as error:
        log.warning("broadcast #%s cannot be sent and is cancelled: %s", broadcast_id, error)
        rows.moved(broadcast_id, (BroadcastStatus.SCHEDULED,), BroadcastStatus.CANCELLED, error.note)


def _by(sentence: Sentence, by_somebody: Sentence, user: Any) -> Note:
    return Note(sentence) if user is None else Note(by_somebody, who=str(user))
