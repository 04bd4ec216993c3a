"""The current state of the platform: waiting work, keys, workers. A few look-ups, without any scan."""

from collections import Counter as Tally
from dataclasses import dataclass
from datetime import datetime, timezone

from django.conf import settings
from redis import RedisError

from pushes import lanes
from pushes.keys import gate as keygate
from pushes.models import AppKey, DeadLetter, DeliveryResult, PushRecord
from pushes.names import CLAIMABLE, LIVE, DeadLetterStatus, RecordStatus, Status
from pushes.workers import pulse, queues

#: How many deliveries of one state are counted by reason, and how many in total.
MAX_TOLD_APART, MAX_WAITING = 2_000, 10_000
#: How many reasons of dead letters are shown, and how many letters of each are counted.
MAX_REASONS, MAX_LETTERS = 40, 1_000


@dataclass(frozen=True, slots=True)
class Lane:
    """The waiting jobs of a lane's queues, the time of the oldest, and the number of workers."""

    name: str
    jobs: int
    oldest_at: datetime | None
    workers: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """`seconds_shut`: for how long the breaker lets nothing through."""

    key: AppKey
    is_tripped: bool
    seconds_shut: float


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
            lanes=[_lane(lane, names) for lane in lanes.LANES],
            workers=len(names),
            keys=[_key_state(key) for key in AppKey.objects.all()],
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


def _lane(lane: str, workers: list[str]) -> Lane:
    names = lanes.queue_names(lane, settings.QUEUE_MAX)
    jobs = sum(queues.depths(names).values())
    return Lane(lane, jobs, _waiting_since(names) if jobs else None, queues.serving(lane, workers))


def _waiting_since(names: list[str]) -> datetime | None:
    """Return the time of the oldest waiting job; None when unknown, or when the queues have just become empty."""
    since = queues.waiting_since(names)
    return (
        since if datetime.min.replace(tzinfo=timezone.utc) < since < datetime.max.replace(tzinfo=timezone.utc) else None
    )


def _key_state(key: AppKey) -> KeyState:
    gate = keygate.state(key.pk)
    return KeyState(key, gate.is_tripped, gate.seconds_left)


def oldest_due(now: datetime) -> datetime | None:
    """Return since when the longest-waiting delivery has been due: the first index entry of each status."""
    firsts = (
        DeliveryResult.objects.filter(status=status, due_at__lt=now)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
        for status in CLAIMABLE
    )
    return min((moment for moment in firsts if moment is not None), default=None)


def oldest_undistributed() -> datetime | None:
    """Return since when the oldest undistributed push has waited: the first entry of an index."""
    pending = PushRecord.objects.filter(status=RecordStatus.PENDING).order_by("created_at")
    return pending.values_list("created_at", flat=True).first()


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
            found.append(Group(status, None, len(rows.values_list("due_at")[: MAX_WAITING + 1])))
    return found


def new_dead_letters() -> list[tuple[str, int]]:
    """Count new dead letters by reason, each up to MAX_LETTERS plus one: an index has them in order of reasons."""
    new = DeadLetter.objects.filter(status=DeadLetterStatus.NEW).order_by("reason")
    found: list[tuple[str, int]] = []
    reason = new.values_list("reason", flat=True).first()
    while reason is not None and len(found) < MAX_REASONS:
        alike = new.filter(reason=reason).order_by().values_list("reason")[: MAX_LETTERS + 1]
        found.append((reason, len(alike)))
        reason = new.filter(reason__gt=reason).values_list("reason", flat=True).first()
    return sorted(found, key=lambda group: -group[1])
