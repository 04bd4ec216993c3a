"""The current state of the platform: waiting work, keys, workers. A few look-ups, without any scan."""

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from redis import RedisError

from pushes import lanes
from pushes.keys import check, gate
from pushes.models import AppKey, DeadLetter, DeliveryResult, Lease, PushRecord
from pushes.names import CLAIMABLE, LIVE, SWEEPER_LEASE, DeadLetterStatus, RecordStatus, Status
from pushes.workers import pulse, queues

#: How many deliveries of one state are counted by reason, and how many in total.
MAX_TOLD_APART, MAX_WAITING = 2_000, 10_000
#: How many reasons of dead letters are shown, and how many letters of each are counted.
MAX_REASONS, MAX_LETTERS = 40, 1_000


@dataclass(frozen=True, slots=True)
class Lane:
    """The number of waiting jobs in each of a lane's queues, the time of the oldest, and the number of workers."""

    name: str
    depths: dict[str, int]
    oldest_at: datetime | None
    workers: int

    @property
    def jobs(self) -> int:
        return sum(self.depths.values())


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of an app key. `endpoint_fault`: why this machine may not call its endpoint. Whether its breaker has
    tripped, and for how long it lets nothing through (`seconds_shut`), is known only to Redis."""

    key: AppKey
    endpoint_fault: str = ""
    is_tripped: bool = False
    seconds_shut: float = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether it sends nothing until an operator resumes it, whatever the reason."""
        return self.key.is_enabled and self.key.is_paused

    @property
    def is_refused(self) -> bool:
        """Whether it sends nothing until its endpoint is corrected."""
        return self.key.is_enabled and not self.key.is_paused and bool(self.endpoint_fault)

    @property
    def has_fallen_back(self) -> bool:
        """Whether it fell back to its old secret, and that is not acknowledged."""
        return self.key.fell_back_at is not None

    @property
    def is_failing(self) -> bool:
        """Whether its breaker has tripped while it should send."""
        return self.key.is_enabled and not self.key.is_paused and self.is_tripped


@dataclass(frozen=True, slots=True)
class RedisView:
    """State that only Redis has; all of it is missing while Redis is unavailable."""

    lanes: list[Lane]
    workers: int
    keys: list[KeyState]
    raw_messages: int
    #: The producers' message that the intake takes next; empty when there is none.
    oldest_raw: bytes
    #: Why Redis refuses writes, in its own words; empty while it accepts them.
    refuses: str
    #: Processes, on any machine, that are running but cannot work.
    unwell: list[pulse.Complaint]


def redis_view() -> RedisView | None:
    """Read the state from Redis; None while Redis does not answer."""
    try:
        names = queues.worker_names()
        return RedisView(
            lanes=lanes_now(names),
            workers=len(names),
            keys=with_gates(key_states()),
            raw_messages=queues.raw_messages(),
            oldest_raw=queues.oldest_raw(),
            refuses=_refuses(),
            unwell=pulse.complaints(),
        )
    except RedisError:
        return None


def _refuses() -> str:
    try:
        queues.try_to_write()
    except RedisError as error:
        return queues.word_for(error)
    return ""


def lanes_now(workers: list[str]) -> list[Lane]:
    """Return the state of each lane; `workers` are the names of the live workers. Raises RedisError."""
    return [_lane(lane, workers) for lane in lanes.LANES]


def _lane(lane: str, workers: list[str]) -> Lane:
    names = lanes.queue_names(lane, settings.QUEUE_MAX)
    depths = queues.depths(names)
    waiting = [name for name in names if depths[name]]
    oldest_at = _waiting_since(waiting) if waiting else None
    return Lane(lane, depths, oldest_at, queues.serving(lane, workers))


def _waiting_since(names: list[str]) -> datetime | None:
    """Return the time of the oldest waiting job; None when unknown, or when the queues have just become empty."""
    since = queues.waiting_since(names)
    return (
        since if datetime.min.replace(tzinfo=timezone.utc) < since < datetime.max.replace(tzinfo=timezone.utc) else None
    )


# --- app keys ----------------------------------------------------------------------------------
def key_states() -> list[KeyState]:
    """Return the state of every key, as far as the database and the settings know it."""
    return [key_state(key) for key in AppKey.objects.all()]


def key_state(key: AppKey) -> KeyState:
    return KeyState(key, check.endpoint_fault(key))


def with_gates(states: Sequence[KeyState]) -> list[KeyState]:
    """Add what Redis knows. Raises RedisError."""
    gates = gate.states([state.key.pk for state in states])
    each = ((state, gates[state.key.pk]) for state in states)
    return [replace(state, is_tripped=one.is_tripped, seconds_shut=one.seconds_left) for state, one in each]


def as_known(states: Sequence[KeyState]) -> Sequence[KeyState]:
    """Add what Redis knows, if it answers."""
    try:
        return with_gates(states)
    except RedisError:
        return states


# --- work --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Waiting:
    """Since when the oldest delivery has been due, and the oldest accepted push has waited to be distributed."""

    due_at: datetime | None
    undistributed_at: datetime | None

    @property
    def oldest_at(self) -> datetime | None:
        return min((moment for moment in (self.due_at, self.undistributed_at) if moment), default=None)


def oldest_waiting(now: datetime) -> Waiting:
    return Waiting(_oldest_due(now), _oldest_undistributed())


def _oldest_due(now: datetime) -> datetime | None:
    """Return since when the longest-waiting delivery has been due: the first index entry of each status."""
    firsts = (
        DeliveryResult.objects.filter(status=status, due_at__lt=now)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
        for status in CLAIMABLE
    )
    return min((moment for moment in firsts if moment is not None), default=None)


def _oldest_undistributed() -> datetime | None:
    """Return since when the oldest undistributed push has waited: the first entry of an index."""
    pending = PushRecord.objects.filter(status=RecordStatus.PENDING).order_by("created_at")
    return pending.values_list("created_at", flat=True).first()


def sweeper_until() -> datetime | None:
    """Return until when the sweeper holds its lease, or last held it; None when none has ever run."""
    return Lease.objects.filter(name=SWEEPER_LEASE).values_list("until", flat=True).first()


def counted(rows: "QuerySet[Any]", most: int) -> int:
    """Count the rows, up to `most`."""
    return rows.order_by()[:most].count()


@dataclass(frozen=True, slots=True)
class Group:
    """Deliveries that wait in one state for one reason: `None` for any, when there are too many to group."""

    status: Status
    reason: str | None
    number: int


def waiting_now() -> list[Group]:
    """Count waiting deliveries by state and reason, from the first entries of an index: up to MAX_TOLD_APART of a state
    by reason, more of them as one number of at most MAX_WAITING plus one."""
    found: list[Group] = []
    for status in LIVE:
        rows = DeliveryResult.objects.filter(status=status).order_by("due_at")
        reasons = list(rows.values_list("reason", flat=True)[: MAX_TOLD_APART + 1])
        if len(reasons) <= MAX_TOLD_APART:
            found += [Group(status, reason, number) for reason, number in Tally(reasons).most_common()]
        else:
            found.append(Group(status, None, counted(rows, MAX_WAITING + 1)))
    return found


def count_new_dead_letters(most: int) -> int:
    """Count new dead letters, up to `most`."""
    return counted(_new_letters(), most)


def new_dead_letters() -> list[tuple[str, int]]:
    """Count new dead letters by reason, each up to MAX_LETTERS plus one: an index has them in order of reasons."""
    new = _new_letters().order_by("reason")
    found: list[tuple[str, int]] = []
    reason = new.values_list("reason", flat=True).first()
    while reason is not None and len(found) < MAX_REASONS:
        found.append((reason, counted(new.filter(reason=reason), MAX_LETTERS + 1)))
        reason = new.filter(reason__gt=reason).values_list("reason", flat=True).first()
    return sorted(found, key=lambda group: -group[1])


def _new_letters() -> "QuerySet[DeadLetter]":
    return DeadLetter.objects.filter(status=DeadLetterStatus.NEW)
