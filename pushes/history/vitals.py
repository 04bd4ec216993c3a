"""How the platform is right now: waiting work, keys, workers. A handful of look-ups, none of them a scan."""

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

#: Of one state so many are told apart by reason, and so many are counted.
MAX_TOLD_APART, MAX_WAITING = 2_000, 10_000
#: So many reasons of dead letters are shown, and so many letters of each are counted.
MAX_REASONS, MAX_LETTERS = 40, 1_000


@dataclass(frozen=True, slots=True)
class Lane:
    """What waits in a lane's queues, since when the oldest of it does, and how many workers serve them."""

    name: str
    jobs: int
    oldest_at: datetime | None
    workers: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """`seconds_shut`: the breaker lets nothing through for so long."""

    key: AppKey
    is_tripped: bool
    seconds_shut: float


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
    """None when nobody knows, or the queues have just run empty."""
    since = queues.waiting_since(names)
    return (
        since if datetime.min.replace(tzinfo=timezone.utc) < since < datetime.max.replace(tzinfo=timezone.utc) else None
    )


def _key_state(key: AppKey) -> KeyState:
    gate = keygate.state(key.pk)
    return KeyState(key, gate.is_tripped, gate.seconds_left)


def oldest_due(now: datetime) -> datetime | None:
    """Since when the longest-waiting delivery has been due: the first entry of an index for each status."""
    firsts = (
        DeliveryResult.objects.filter(status=status, due_at__lt=now)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
        for status in CLAIMABLE
    )
    return min((moment for moment in firsts if moment is not None), default=None)


def oldest_undistributed() -> datetime | None:
    """Since when the longest-waiting accepted push has waited to be distributed: the first entry of an index."""
    pending = PushRecord.objects.filter(status=RecordStatus.PENDING).order_by("created_at")
    return pending.values_list("created_at", flat=True).first()


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
            found.append(Group(status, None, len(rows.values_list("due_at")[: MAX_WAITING + 1])))
    return found


def new_dead_letters() -> list[tuple[str, int]]:
    """New ones by reason, each counted up to MAX_LETTERS and one more: an index has them in the reasons' order."""
    new = DeadLetter.objects.filter(status=DeadLetterStatus.NEW).order_by("reason")
    found: list[tuple[str, int]] = []
    reason = new.values_list("reason", flat=True).first()
    while reason is not None and len(found) < MAX_REASONS:
        alike = new.filter(reason=reason).order_by().values_list("reason")[: MAX_LETTERS + 1]
        found.append((reason, len(alike)))
        reason = new.filter(reason__gt=reason).values_list("reason", flat=True).first()
    return sorted(found, key=lambda group: -group[1])
