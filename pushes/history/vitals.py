"""How the platform is right now: waiting work, keys, workers. A handful of look-ups, none of them a scan."""

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
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

#: Of one state so many are told apart by reason, and so many are counted.
MAX_TOLD_APART, MAX_WAITING = 2_000, 10_000
#: So many reasons of dead letters are shown, and so many letters of each are counted.
MAX_REASONS, MAX_LETTERS = 40, 1_000


@dataclass(frozen=True, slots=True)
class Lane:
    """How many jobs wait in each of a lane's queues, since when the oldest of them does, and how many workers serve
    them."""

    name: str
    depths: dict[str, int]
    oldest_at: datetime | None
    workers: int

    @property
    def jobs(self) -> int:
        return sum(self.depths.values())


@dataclass(frozen=True, slots=True)
class KeyState:
    """How an app key is. `endpoint_fault`: why this machine may not call it. Only Redis knows that its breaker has
    tripped, and that the key lets nothing through for `seconds_shut`."""

    key: AppKey
    endpoint_fault: str = ""
    is_tripped: bool = False
    seconds_shut: float = 0.0

    @property
    def is_stopped(self) -> bool:
        """It sends nothing until somebody resumes it, whatever the reason."""
        return self.key.is_enabled and self.key.is_paused

    @property
    def is_refused(self) -> bool:
        """It sends nothing until somebody corrects its endpoint."""
        return self.key.is_enabled and not self.key.is_paused and bool(self.endpoint_fault)

    @property
    def has_fallen_back(self) -> bool:
        """It went back to its old secret, and nobody has taken note."""
        return self.key.fell_back_at is not None

    @property
    def is_failing(self) -> bool:
        """Its breaker has tripped while it is to send."""
        return self.key.is_enabled and not self.key.is_paused and self.is_tripped


@dataclass(frozen=True, slots=True)
class RedisView:
    """What only Redis knows. None of it is there while Redis is away."""

    lanes: list[Lane]
    workers: int
    keys: list[KeyState]
    raw_messages: int
    #: The producers' message that the intake takes next; empty when there is none.
    oldest_raw: bytes
    #: Why Redis takes no writes, in its own word; empty while it does.
    refuses: str
    #: Processes, of whichever machine, that live and cannot work.
    unwell: list[pulse.Complaint]


def redis_view() -> RedisView | None:
    """None while Redis does not answer."""
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
    """`workers` by their names. Raises RedisError."""
    return [_lane(lane, workers) for lane in lanes.LANES]


def _lane(lane: str, workers: list[str]) -> Lane:
    names = lanes.queue_names(lane, settings.QUEUE_MAX)
    depths = queues.depths(names)
    oldest_at = _waiting_since(names) if any(depths.values()) else None
    return Lane(lane, depths, oldest_at, queues.serving(lane, workers))


def _waiting_since(names: list[str]) -> datetime | None:
    """None when nobody knows, or the queues have just run empty."""
    since = queues.waiting_since(names)
    return (
        since if datetime.min.replace(tzinfo=timezone.utc) < since < datetime.max.replace(tzinfo=timezone.utc) else None
    )


# --- app keys ----------------------------------------------------------------------------------
def key_states() -> list[KeyState]:
    """Every key, as far as the database and the settings know it."""
    return [key_state(key) for key in AppKey.objects.all()]


def key_state(key: AppKey) -> KeyState:
    return KeyState(key, check.endpoint_fault(key))


def with_gates(states: Iterable[KeyState]) -> list[KeyState]:
    """The same, with what Redis knows. Raises RedisError."""
    gates = ((state, gate.state(state.key.pk)) for state in states)
    return [replace(state, is_tripped=one.is_tripped, seconds_shut=one.seconds_left) for state, one in gates]


def as_known(states: Sequence[KeyState]) -> Sequence[KeyState]:
    """The same, with what Redis knows while it answers."""
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
    """Since when the longest-waiting delivery has been due: the first entry of an index for each status."""
    firsts = (
        DeliveryResult.objects.filter(status=status, due_at__lt=now)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
        for status in CLAIMABLE
    )
    return min((moment for moment in firsts if moment is not None), default=None)


def _oldest_undistributed() -> datetime | None:
    """Since when the longest-waiting accepted push has waited to be distributed: the first entry of an index."""
    pending = PushRecord.objects.filter(status=RecordStatus.PENDING).order_by("created_at")
    return pending.values_list("created_at", flat=True).first()


def sweeper_until() -> datetime | None:
    """Until when the sweeper holds its lease, or held it last; None when none ever ran."""
    return Lease.objects.filter(name=SWEEPER_LEASE).values_list("until", flat=True).first()


def counted(rows: "QuerySet[Any]", most: int) -> int:
    """How many rows there are, counted no further than `most`."""
    return rows.order_by()[:most].count()


@dataclass(frozen=True, slots=True)
class Group:
    """Deliveries that wait in one state for one reason: `None` for any, when there are too many to tell apart."""

    status: Status
    reason: str | None
    number: int


def waiting_now() -> list[Group]:
    """What waits, by state and reason, by the first entries of an index: up to MAX_TOLD_APART of a state with their
    reasons, more of them as one number that goes no further than MAX_WAITING and one more."""
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
    """Counted no further than `most`."""
    return counted(_new_letters(), most)


def new_dead_letters() -> list[tuple[str, int]]:
    """New ones by reason, each counted up to MAX_LETTERS and one more: an index has them in the reasons' order."""
    new = _new_letters().order_by("reason")
    found: list[tuple[str, int]] = []
    reason = new.values_list("reason", flat=True).first()
    while reason is not None and len(found) < MAX_REASONS:
        found.append((reason, counted(new.filter(reason=reason), MAX_LETTERS + 1)))
        reason = new.filter(reason__gt=reason).values_list("reason", flat=True).first()
    return sorted(found, key=lambda group: -group[1])


def _new_letters() -> "QuerySet[DeadLetter]":
    return DeadLetter.objects.filter(status=DeadLetterStatus.NEW)
