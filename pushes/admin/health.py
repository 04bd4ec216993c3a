"""How the platform is right now: waiting work, keys, workers. A handful of look-ups, none of them a scan."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from redis import RedisError

from pushes import keygate, lanes, queues
from pushes.models import AppKey, DeadLetter, DeliveryResult
from pushes.names import CLAIMABLE, DeadLetterStatus

SHOWN_REASONS = 8
#: RQ's own names: the set of workers that have registered, and a key for each that lives.
WORKERS_KEY = "rq:workers"


@dataclass(frozen=True, slots=True)
class Depth:
    lane: str
    jobs: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """`seconds_shut`: the breaker lets nothing through for so long."""

    key: AppKey
    is_tripped: bool
    seconds_shut: float


@dataclass(frozen=True, slots=True)
class RedisView:
    """What only Redis knows. None of it is there while Redis is away."""

    depths: list[Depth]
    workers: int
    keys: list[KeyState]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page that another app brings: its template and what that shows."""

    template: str
    context: Callable[[HttpRequest], dict[str, Any]]
    permission: str


#: Panels below the platform's own, in the order in which they were added.
PANELS: list[Panel] = []


@dataclass(frozen=True, slots=True)
class Alarm:
    """Alarms that another app raises: each a sentence and the address of the page that helps."""

    raised: Callable[[], Iterable[tuple[str, str]]]
    permission: str


#: Asked for the alerts at the top of the landing page.
ALARMS: list[Alarm] = []


def redis_view() -> RedisView | None:
    """None while Redis does not answer."""
    try:
        return RedisView(
            depths=[Depth(lane, queues.lane_depth(lane)) for lane in lanes.LANES],
            workers=_workers(),
            keys=[_key_state(key) for key in AppKey.objects.all()],
        )
    except RedisError:
        return None


def _workers() -> int:
    """Workers that live: a killed one stays in the set, but its key expires."""
    client: Any = queues.connection()
    names = client.smembers(WORKERS_KEY)
    return int(client.exists(*names)) if names else 0


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


def new_dead_letters() -> list[tuple[str, int]]:
    """New ones by reason: an index covers it."""
    new = DeadLetter.objects.filter(status=DeadLetterStatus.NEW).order_by()
    return list(new.values_list("reason").annotate(number=Count("id")).order_by("-number")[:SHOWN_REASONS])
