"""Requeue what is due: read the database, enqueue in Redis. Safe to run twice.

RQ only wakes workers, so whatever Redis loses (a flush, a crash between commit and enqueue, a job killed half-way)
shows up here as due rows while their lane's queues are quiet. A postponed row has a reason and a due time, and is
enqueued at that time however busy its lane is.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from datetime import timezone as tz

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from pushes import lanes
from pushes.broadcasts import lifecycle, watch
from pushes.distribution import distribute, grace
from pushes.history import exports, rare_rows
from pushes.keys import belief, gate
from pushes.ledger import counters, endings
from pushes.models import AppKey, DeliveryResult, Lease, PushRecord, policies
from pushes.names import SWEEPER_LEASE, Reason, RecordStatus, Status, UnknownPolicy
from pushes.storage import batches, clocks
from pushes.upkeep import fates, lost_jobs, postdated, retention
from pushes.upkeep.postdated import CLOCK_TOLERANCE
from pushes.workers import queues

log = logging.getLogger(__name__)

HOLDER = secrets.token_hex(8)
ROWS_PER_ROUND = 20_000
#: A lane whose queues hold more jobs than this is busy, not stuck.
QUIET_JOBS = 4
WATCH = lost_jobs.Watch()
#: Errors that are already in the log: a round runs every few seconds.
_said: set[str] = set()
EARLIEST = datetime(2000, 1, 1, tzinfo=tz.utc)


@dataclass(slots=True)
class Swept:
    """What one round did, in rows."""

    leases_to_pending: int = 0
    leases_to_unknown: int = 0
    leases_to_retry: int = 0
    sends_enqueued: int = 0
    records_enqueued: int = 0
    postdated: int = 0
    expired: int = 0
    canaries_judged: int = 0
    broadcasts_halted: int = 0
    broadcasts_finished: int = 0
    deleted: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name} {number}" for name, number in asdict(self).items() if number) or "nothing to do"


def sweep(*, now: datetime | None = None, thorough: bool = True) -> Swept | None:
    """Run one round; None when another sweeper holds the lease. `thorough` adds expiry and retention, which read more
    and are not urgent. Raises redis.RedisError after the database part is done."""
    now = now or clocks.now()
    if not take_lease(now):
        return None
    swept = Swept()
    _part(lambda: _expired_leases(now, swept))
    if thorough:
        swept.postdated = _part(lambda: postdated.bring_back(now))
        swept.expired = _part(lambda: retention.expire(now))
        swept.deleted = _part(lambda: retention.retain(now))
        _part(lambda: belief.forget_old(now))
        _part(lambda: fates.ask(now))
        _part(lambda: counters.roll_up(now))
        _part(lambda: exports.clean_up(now))
        _part(rare_rows.forget)
        _part(lambda: rare_rows.note(now))
    swept.canaries_judged = _part(lambda: watch.judge_canaries(now))
    swept.broadcasts_halted = _part(lambda: watch.watch(now))
    swept.broadcasts_finished = _part(lifecycle.finish_done)
    _part(lifecycle.finish_cancelled)
    _part(lifecycle.put_back)
    _part(lambda: exports.put_back(now))
    quiet = [lane for lane in lanes.LANES if queues.lane_depth(lane) <= QUIET_JOBS]
    swept.records_enqueued = _part(lambda: _stuck_records(now, quiet))
    _part(lambda: grace.wake_gone(now))
    swept.sends_enqueued = _part(lambda: _due_deliveries(now, quiet))
    return swept


def _part(work: Callable[[], int | None]) -> int:
    """Run a part of the round. A failing part does not stop the others, but an outage of the database or Redis, which
    all parts need, ends the round. Raises redis.RedisError and django.db.Error."""
    try:
        return work() or 0
    except Exception as error:
        if queues.must_wait(error):
            raise
        if (text := f"{type(error).__name__}: {error}") not in _said:
            _said.add(text)
            log.exception("a part of the round failed; the others go on")
        return 0


def take_lease(now: datetime) -> bool:
    """Take, renew or inherit the lease: only one sweeper runs at a time."""
    until = now + timedelta(seconds=max(2.0, settings.SWEEP_INTERVAL * 5))
    free = Q(holder=HOLDER) | Q(until__lte=now) | Q(until__gt=until + CLOCK_TOLERANCE)
    if Lease.objects.filter(free, name=SWEEPER_LEASE).update(holder=HOLDER, until=until):
        return True
    try:
        with transaction.atomic():
            Lease.objects.create(name=SWEEPER_LEASE, holder=HOLDER, until=until)
    except IntegrityError:
        return False
    return True


def _expired_leases(now: datetime, swept: Swept) -> None:
    """Handle rows whose sender died. A row that was not begun provably never left. A begun row may have left: with a
    call key the same call is made again, and otherwise the push type's policy says whether a duplicate or a loss is
    worse."""
    longest = clocks.database_time(now, seconds=settings.LEASE_SECONDS + CLOCK_TOLERANCE.total_seconds())
    is_over = Q(lease_until__lte=clocks.database_time(now)) | Q(lease_until__gt=longest)
    lost = DeliveryResult.objects.filter(is_over, status=Status.SENDING)
    unbegun = _rows(lost.filter(sent_at__isnull=True))
    swept.leases_to_pending = lost.filter(sent_at__isnull=True, id__in=[row[-1] for row in unbegun]).update(
        status=Status.PENDING, claim="", lease_until=None, due_at=now
    )
    distribute.enqueue_by_key(unbegun)
    resend = [number for number, rule in policies().items() if rule.unknown_policy == UnknownPolicy.RESEND]
    begun, due_at = lost.filter(sent_at__isnull=False), now + timedelta(seconds=settings.RETRY_BASE_SECONDS)
    # The database's clock runs on, so more leases end from one statement to the next. So each statement says itself
    # which rows it means, and none means "the rest".
    is_asked_again = ~Q(call_key="") & Q(expires_at__gt=due_at)
    is_sent_again = Q(call_key="", push_type__in=resend, attempts__lt=settings.MAX_ATTEMPTS, expires_at__gt=due_at)
    again = {"status": Status.RETRYING, "reason": Reason.CUT_OFF, "claim": "", "lease_until": None, "due_at": due_at}
    swept.leases_to_retry = begun.filter(is_asked_again).update(**again)
    swept.leases_to_retry += begun.filter(is_sent_again).update(may_have_arrived=True, **again)
    in_doubt = begun.exclude(is_asked_again | is_sent_again)
    swept.leases_to_unknown = endings.end(in_doubt, Status.UNKNOWN, Reason.CUT_OFF, now=now, may_have_arrived=True)


def _due_deliveries(now: datetime, quiet: Collection[str]) -> int:
    """Enqueue due retries, held pushes and pushes that were put back, once each, however busy their lane is; and
    pending rows that seem to have no job."""
    sendable = DeliveryResult.objects.filter(expires_at__gt=now).exclude(app_key_id__in=_shut_keys())
    waiting = Q(status__in=(Status.RETRYING, Status.HELD), due_at__lte=now)
    due = _rows(sendable.filter(waiting))
    jobless = Q()
    for lane in lanes.LANES:
        jobless |= Q(kind=lane, due_at__lte=_jobless_since(lane, now, is_quiet=lane in quiet))
    lost = _rows(sendable.filter(jobless, status=Status.PENDING))
    found = dict.fromkeys([*due, *lost, *_followers(due, now)])
    distribute.enqueue_by_key(sorted(found, key=lambda row: row[-1]))
    for chunk in batches.chunks([delivery_id for *_, delivery_id in due], batches.CHUNK):
        # They have a job now. Rows that a worker has begun meanwhile are no longer in this state.
        DeliveryResult.objects.filter(waiting, id__in=chunk).update(status=Status.PENDING, reason="", due_at=now)
    again = now - timedelta(seconds=settings.STUCK_SECONDS / 2)
    for chunk in batches.chunks([delivery_id for *_, delivery_id in lost], batches.CHUNK):
        DeliveryResult.objects.filter(jobless, id__in=chunk, status=Status.PENDING).update(due_at=again)
    return len(found)


def _shut_keys() -> list[int]:
    """Return keys that let nothing through now. Their rows would only come back, at the expense of the other keys."""
    keys = list(AppKey.objects.values_list("id", "paused_at"))
    gates = gate.states([pk for pk, _paused_at in keys])
    return [pk for pk, paused_at in keys if paused_at or gates[pk].seconds_left]


def _jobless_since(lane: str, now: datetime, *, is_quiet: bool) -> datetime:
    """Return the time up to which due pending rows have no waiting job: a quiet lane has no jobs, and in a busy lane,
    where jobs are taken in order, the oldest waiting job is younger."""
    oldest = now if is_quiet else min(queues.waiting_since(lanes.send_queues(lane, settings.QUEUE_MAX)), now)
    return max(oldest, EARLIEST) - timedelta(seconds=settings.STUCK_SECONDS)


Row = tuple[str, int, int | None, int]


def _rows(due: "QuerySet[DeliveryResult]") -> list[Row]:
    return list(due.order_by("due_at", "id").values_list("kind", "shard", "app_key_id", "id")[:ROWS_PER_ROUND])


def _followers(first: Iterable[Row], now: datetime) -> list[Row]:
    """Return the rows that wait behind these in their conversations: their own jobs ran without sending them."""
    found: list[Row] = []
    chats = [delivery_id for kind, _, _, delivery_id in first if kind in lanes.SHARDED]
    for chunk in batches.chunks(chats, batches.CHUNK):
        keys = DeliveryResult.objects.filter(id__in=chunk, order_key__isnull=False).values_list("order_key", flat=True)
        behind = DeliveryResult.objects.filter(order_key__in=list(keys), status=Status.PENDING, due_at__lte=now)
        found += _rows(behind)
    return found


def _stuck_records(now: datetime, quiet: Collection[str]) -> int:
    """Enqueue records without a job; in a busy lane in front of all others, which have not waited as long."""
    stuck = now - timedelta(seconds=settings.STUCK_SECONDS)
    # Records accepted in the future were accepted by a clock that was ahead: their true age is unknown.
    is_stuck = Q(created_at__lte=stuck) | Q(created_at__gt=now + CLOCK_TOLERANCE)
    found = list(
        PushRecord.objects.filter(is_stuck, status=RecordStatus.PENDING, kind__in=list(quiet))
        .order_by("id")
        .values_list("kind", "shard", "id")[:ROWS_PER_ROUND]
    )
    busy = [lane for lane in lanes.LANES if lane not in quiet]
    found += WATCH.look(busy, now, most=ROWS_PER_ROUND)
    by_queue: dict[tuple[str, int], list[int]] = {}
    for kind, shard, record_id in found:
        by_queue.setdefault((kind, shard), []).append(record_id)
    for (kind, shard), record_ids in by_queue.items():
        queues.enqueue_distribute(kind, shard, record_ids, is_urgent=kind in busy)
    return len(found)
