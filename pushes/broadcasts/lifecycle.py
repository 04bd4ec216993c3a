"""The life of a broadcast: launch, expansion into deliveries, pause, resume, cancel, progress, end.

Who it is for stands in `audiences`; who of them gets it first, and whether the others follow, in `canary` and
`watch`.
"""

import contextlib
import logging
from collections import Counter as Tally
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, IntegerField, When

from pushes import lanes
from pushes.broadcasts import audiences, canary
from pushes.distribution import distribute, windows
from pushes.distribution.planned import Pending
from pushes.ledger import endings, tallies
from pushes.models import Broadcast, BroadcastTally, DeliveryResult, PushRecord
from pushes.names import CLAIMABLE, App, BroadcastPhase, BroadcastStatus, Kind, Platform, Reason, Status
from pushes.people.directory import DirectoryError
from pushes.storage import clocks
from pushes.submit import InvalidMessageError, submit, validate
from pushes.text import characters
from pushes.values import Audience, PushMessage
from pushes.workers import queues

log = logging.getLogger(__name__)

EXPANSIONS = lanes.distribute_queue(lanes.BROADCAST)
STARTABLE = (BroadcastStatus.DRAFT, BroadcastStatus.WAITING, BroadcastStatus.SCHEDULED)
FAR_FUTURE_DAYS = 3_650
#: The rate of sending is that of the last so many seconds.
RECENT_SECONDS = 20
#: So many deliveries of a cancelled broadcast are marked at a time.
CANCELLED_AT_ONCE = 20_000


#: Noted of a broadcast that started all the same, by its schedule or in the moment in which the last device went.
NOBODY = "nobody was in the audience when it started"


class BroadcastStateError(Exception):
    """The broadcast is not in a state that allows the wanted step."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of deliveries by the status in which they ended. `total` grows until `is_expanded`; `recent` ended within
    the last `recent_seconds`."""

    counts: dict[str, int]
    total: int
    is_expanded: bool
    recent: int = 0
    recent_seconds: float = RECENT_SECONDS
    #: So many of all these are for accounts without a device: the audience is announced in devices.
    without_device: int = 0

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    @property
    def waiting(self) -> int:
        """Those that are being sent, or have not left."""
        return max(0, self.total - self.done)

    @property
    def devices(self) -> int:
        return self.total - self.without_device


def launch(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Start sending, or wait for `scheduled_at`. Launching twice sends once.

    Raises BroadcastStateError unless the broadcast is a draft, approved, or due by its schedule, and
    submit.InvalidMessageError when it cannot be sent as it is.
    """
    with transaction.atomic():
        broadcast = _locked(broadcast_id)
        if broadcast.status not in STARTABLE:
            raise BroadcastStateError(f"broadcast #{broadcast_id} is {broadcast.status}: it cannot be launched")
        now = clocks.now()
        messages = [message_of(broadcast, app) for app in broadcast.apps]
        for message in messages:
            validate(message)
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
            broadcast.status_reason = NOBODY
        broadcast.canary_share = canary.share(broadcast, size)
        broadcast.phase = BroadcastPhase.CANARY if broadcast.canary_share else ""
        broadcast.save()
        PushRecord.objects.filter(id__in=submit(messages, now=now).record_ids).update(
            window_policy=broadcast.window_policy, one_by_one=bool(broadcast.phase)
        )
    return broadcast


def message_of(broadcast: Broadcast, app: App) -> PushMessage:
    """What the devices of one of its apps get, whoever they belong to."""
    return PushMessage(
        kind=Kind.BROADCAST,
        app=app,
        audience=Audience((), Platform(broadcast.platform) if broadcast.platform else None),
        text=broadcast.text,
        title=broadcast.title,
        data=broadcast.data,
        push_type=broadcast.push_type,
        source="broadcast",
        identity=str(broadcast.pk) if len(broadcast.apps) == 1 else f"{broadcast.pk}:{app}",
        message_id=f"broadcast-{broadcast.pk}",
        expires_at=broadcast.expires_at,
        broadcast_id=broadcast.pk,
    )


def _check_expiry(broadcast: Broadcast, now: datetime) -> None:
    starts_at = max(now, broadcast.scheduled_at or now)
    if broadcast.expires_at and broadcast.expires_at <= starts_at:
        raise InvalidMessageError("expires_at", broadcast.expires_at, "it would expire before it is sent")


def _estimate_if_possible(broadcast: Broadcast) -> int | None:
    try:
        return audiences.estimate(broadcast)
    except DirectoryError as error:
        # Its audience is read page by page as soon as the directory is back.
        log.warning("broadcast #%s starts without an estimate: %s", broadcast.pk, error)
        return None


def expand(broadcast_id: int) -> int:
    """Turn the next chunk of the audience into deliveries. Rows and cursor move in one transaction, so a
    chunk is made once, whoever runs this and however often. Does nothing while the canary's outcomes are waited
    for. A broadcast that meets an error which cannot pass is paused, with that as its reason. Returns the number of
    rows."""
    try:
        return _expand(broadcast_id)
    except Exception as error:
        if isinstance(error, Broadcast.DoesNotExist) or queues.must_wait(error):
            raise
        log.exception("broadcast #%s cannot be sent", broadcast_id)
        with contextlib.suppress(BroadcastStateError):
            pause(broadcast_id, reason=f"{type(error).__name__}: {error}"[:300])
        return 0


def _expand(broadcast_id: int) -> int:
    with transaction.atomic():
        broadcast = _locked(broadcast_id)
        if broadcast.status != BroadcastStatus.SENDING or broadcast.is_expanded or canary.is_waiting(broadcast):
            return 0
        app = App(broadcast.listed_app or broadcast.apps[0])
        record = Pending(*PushRecord.objects.values_list(*Pending._fields).get(broadcast=broadcast, app=app))
        batch = look_up(broadcast.push_type, broadcast.window_policy, clocks.now())
        page = audiences.next_page(broadcast, app, pages=canary.pages_at_once(broadcast))
        chosen = canary.members(broadcast, record.id, page.members)
        recipients = audiences.recipients(broadcast, app, chosen)
        drafts = [draft for recipient in recipients for draft in distribute.drafts_for(record, recipient, batch)]
        is_over = _move_on(broadcast, app, page, batch.now)
        newest = DeliveryResult.objects.order_by("-id").values_list("id", flat=True).first() or 0
        distribute.store(drafts, [record.id], batch.now, after_id=newest)
        _tally_made(record.id, newest, batch.now)
        if is_over and broadcast.phase != BroadcastPhase.CANARY:
            # From here on nobody need estimate, and every page tells of as many.
            Broadcast.objects.filter(pk=broadcast_id).update(estimate=progress(broadcast_id).devices)
        if not is_over:
            queues.enqueue_expansion(broadcast_id)
    return len(drafts)


def _move_on(broadcast: Broadcast, app: App, page: audiences.Page, now: datetime) -> bool:
    """To the next page, or the next app. Returns whether there is none left to list."""
    broadcast.listed_app, broadcast.cursor = app, page.cursor
    others = broadcast.apps[broadcast.apps.index(app) + 1 :]
    is_over = page.is_last and not others
    if page.is_last and others:
        broadcast.listed_app, broadcast.cursor = others[0], 0
    elif is_over and broadcast.phase == BroadcastPhase.CANARY:
        broadcast.canary_listed_at = now
    elif is_over:
        broadcast.is_expanded = True
    broadcast.save(update_fields=["listed_app", "cursor", "is_expanded", "canary_listed_at"])
    return is_over


def _tally_made(record_id: int, after_id: int, now: datetime) -> None:
    """What was really inserted: an account that was refused has one row, however many devices were listed."""
    made = DeliveryResult.objects.filter(record_id=record_id, id__gt=after_id).order_by()
    ends: Tally[tuple[int, str, str]] = Tally()
    for status, reason, token, number in made.annotate(
        has_token=Case(When(token="", then=0), default=1, output_field=IntegerField())
    ).values_list("status", "reason", "has_token", Count("id")):
        ends[record_id, status, reason] += number
        ends[record_id, BroadcastTally.MADE, "" if token else BroadcastTally.WITHOUT_DEVICE] += number
    tallies.add(ends, now)


def look_up(push_type: int, window_policy: str, now: datetime) -> distribute.Batch:
    """What is the same for all deliveries of a message whose own word on the delivery window, if it has one, goes
    before its type's."""
    batch = distribute.look_up(now)
    if not window_policy:
        return batch
    own = windows.decide(window_policy, batch.policies[push_type].window, now, ZoneInfo(settings.TIME_ZONE))
    return replace(batch, decisions={**batch.decisions, push_type: own})


def pause(broadcast_id: int, *, by: Any = None, reason: str = "") -> Broadcast:
    """Hold everything that has not left. Raises BroadcastStateError unless it is sending."""
    with transaction.atomic():
        broadcast = _moved(
            broadcast_id, (BroadcastStatus.SENDING,), BroadcastStatus.PAUSED, reason or _by("paused", by)
        )
        far = clocks.now() + timedelta(days=FAR_FUTURE_DAYS)
        held = {"status": Status.HELD, "reason": Reason.BROADCAST_PAUSED, "due_at": far}
        _unsent(broadcast).update(**held)
        _unbegun(broadcast).update(claim="", lease_until=None, **held)
    return broadcast


def resume(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """Go on where `pause` stopped. Raises BroadcastStateError unless it is paused, and when it has halted by
    itself: that is for `watch.go_on`."""
    with transaction.atomic():
        broadcast = _moved(broadcast_id, (BroadcastStatus.PAUSED,), BroadcastStatus.SENDING, _by("resumed", by))
        if broadcast.objection:
            raise BroadcastStateError(f"broadcast #{broadcast_id} has halted by itself: it cannot simply be resumed")
        now = clocks.now()
        decision = look_up(broadcast.push_type, broadcast.window_policy, now).decisions[broadcast.push_type]
        # Due long ago, unless the delivery window is shut: the sweeper's next round sends them.
        due_at = decision.hold_until or now - timedelta(seconds=settings.STUCK_SECONDS)
        _unsent(broadcast).filter(reason=Reason.BROADCAST_PAUSED).update(
            status=Status.HELD, reason=Reason.OUTSIDE_WINDOW if decision.hold_until else "", due_at=due_at
        )
        queues.enqueue_expansion(broadcast_id)
    return broadcast


def cancel(broadcast_id: int, *, by: Any = None) -> Broadcast:
    """End it; what has not left never will. Raises BroadcastStateError when it is already over.

    From the commit of the first transaction on nothing more begins: what was claimed is taken back here, and no
    worker claims for a cancelled broadcast. Marking the rest, which may be a million rows, is left to
    `finish_cancelled` beyond the first CANCELLED_AT_ONCE.
    """
    open_states = (*STARTABLE, BroadcastStatus.SENDING, BroadcastStatus.PAUSED)
    with transaction.atomic():
        broadcast = _moved(broadcast_id, open_states, BroadcastStatus.CANCELLED, _by("cancelled", by))
        _end_as_cancelled(_unbegun(broadcast))
    _finish_cancelled(broadcast)
    return broadcast


def finish_cancelled() -> int:
    """Go on marking the deliveries of cancelled broadcasts. Returns how many there were this time."""
    unfinished = Broadcast.objects.filter(status=BroadcastStatus.CANCELLED, finished_at__isnull=True)
    return sum(_finish_cancelled(broadcast) for broadcast in unfinished.defer("accounts", "data"))


def _finish_cancelled(broadcast: Broadcast) -> int:
    ended = _end_as_cancelled(_unsent(broadcast))
    if ended < CANCELLED_AT_ONCE:
        Broadcast.objects.filter(pk=broadcast.pk).update(finished_at=clocks.now())
    return ended


def _end_as_cancelled(rows: Any) -> int:
    return endings.end(rows, Status.CANCELLED, Reason.CANCELLED, now=clocks.now(), most=CANCELLED_AT_ONCE)


def progress(broadcast_id: int) -> Progress:
    """From the broadcast's tallies: it costs the same however many deliveries there are, and outlives them. Raises
    Broadcast.DoesNotExist."""
    is_expanded = Broadcast.objects.values_list("is_expanded", flat=True).get(pk=broadcast_id)
    now = clocks.now()
    since = tallies.seconds_ago(now, RECENT_SECONDS)
    found = tallies.by_event(broadcast_id, recent_since=since)
    devices, _ = found.pop(BroadcastTally.MADE, (0, 0))
    others, _ = found.pop(BroadcastTally.WITHOUT_DEVICE, (0, 0))
    found.pop(BroadcastTally.DOUBTED, None)
    return Progress(
        counts={status: number for status, (number, _) in found.items()},
        total=devices + others,
        is_expanded=is_expanded,
        recent=sum(late for _, late in found.values()),
        recent_seconds=(now - since).total_seconds(),
        without_device=others,
    )


def states(record_ids: Collection[int], *, lock: bool = False) -> dict[int, str]:
    """The status of each record's broadcast. With `lock`, in the caller's transaction, it stays so."""
    of_records = dict(PushRecord.objects.filter(id__in=record_ids).values_list("id", "broadcast_id"))
    found = Broadcast.objects.filter(id__in=set(of_records.values()))
    if lock:
        found = found.select_for_update()
    by_id = dict(found.values_list("id", "status"))
    return {record_id: by_id[pk] for record_id, pk in of_records.items() if pk in by_id}


def finish_done() -> int:
    """Mark broadcasts finished whose every delivery is over. Returns how many."""
    finished = 0
    for broadcast in Broadcast.objects.filter(status=BroadcastStatus.SENDING, is_expanded=True):
        # The last rows are the last to be sent, so what is left is mostly found at once.
        if not _live(broadcast).order_by("-id").values_list("id")[:1]:
            finished += Broadcast.objects.filter(pk=broadcast.pk, status=BroadcastStatus.SENDING).update(
                status=BroadcastStatus.FINISHED, finished_at=clocks.now()
            )
    return finished


def put_back() -> None:
    """Launch what is due by its schedule, and wake expansions that a crash left asleep. Raises
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
        _moved(broadcast_id, (BroadcastStatus.SCHEDULED,), BroadcastStatus.CANCELLED, str(error))


def _locked(broadcast_id: int) -> Broadcast:
    return Broadcast.objects.select_for_update().get(pk=broadcast_id)


@transaction.atomic
def _moved(broadcast_id: int, allowed: tuple[str, ...], status: BroadcastStatus, reason: str) -> Broadcast:
    broadcast = _locked(broadcast_id)
    if broadcast.status not in allowed:
        raise BroadcastStateError(f"broadcast #{broadcast_id} is {broadcast.status}: it cannot become {status.value}")
    broadcast.status, broadcast.status_reason = status, characters.shorten(reason, 200)
    broadcast.save(update_fields=["status", "status_reason"])
    return broadcast


def _unsent(broadcast: Broadcast) -> Any:
    return DeliveryResult.objects.filter(record_id__in=record_ids(broadcast), status__in=CLAIMABLE)


def _unbegun(broadcast: Broadcast) -> Any:
    """Claimed by a worker that has not begun the call. Taken away, it no longer can (see `claims.begin`)."""
    return DeliveryResult.objects.filter(
        record_id__in=record_ids(broadcast), status=Status.SENDING, sent_at__isnull=True
    )


def _live(broadcast: Broadcast) -> Any:
    return DeliveryResult.objects.filter(record_id__in=record_ids(broadcast), status__in=(*CLAIMABLE, Status.SENDING))


def record_ids(broadcast: Broadcast) -> list[int]:
    """Its pushes: one for each of its apps, once it is launched."""
    return list(broadcast.records.order_by("id").values_list("id", flat=True))


def _by(what: str, user: Any) -> str:
    return f"{what} by {user}" if user is not None else what
