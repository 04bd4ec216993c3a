"""Count what waits for a person, by desk: the overview's alerts and the menu's badges use the same numbers.

Every query reads a small table or the first entries of an index, because the menu is on every page.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from pushes.broadcasts import approval
from pushes.console.site.marks import amount
from pushes.history import vitals
from pushes.models import Broadcast, PushTypePolicy
from pushes.names import BroadcastStatus

#: A scheduled broadcast that starts within this is about to start: the last moment to look at it.
SOON = timedelta(hours=1)
#: More new dead letters than this are not counted.
MAX_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Broadcasts:
    """The broadcasts that wait for this user's approval, that are stopped, and that start within SOON."""

    approvals: list[Broadcast] = field(default_factory=list)
    paused: list[Broadcast] = field(default_factory=list)
    starting: list[Broadcast] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.approvals) + len(self.paused) + len(self.starting)


def broadcasts(user: Any, now: datetime) -> Broadcasts:
    """Find the broadcasts. Of the waiting ones only those that `user` may approve: not the user's own, and none whose
    approval the user asked for."""
    starting = Q(status=BroadcastStatus.SCHEDULED, scheduled_at__lte=now + SOON)
    wanted = Broadcast.objects.filter(Q(status__in=(BroadcastStatus.WAITING, BroadcastStatus.PAUSED)) | starting)
    found = Broadcasts()
    for broadcast in wanted.select_related("created_by", "asked_by").defer("accounts", "data").order_by("id"):
        if broadcast.status == BroadcastStatus.PAUSED:
            found.paused.append(broadcast)
        elif broadcast.status == BroadcastStatus.SCHEDULED:
            found.starting.append(broadcast)
        elif approval.may_approve(broadcast, user):
            found.approvals.append(broadcast)
    return found


def switched_off_types() -> "QuerySet[PushTypePolicy]":
    return PushTypePolicy.objects.filter(is_enabled=False)


def off_because(policy: PushTypePolicy) -> str:
    """Say since when a push type is off, who switched it off and why; "" if that was not stored."""
    if policy.disabled_at is None:
        return ""
    words = {"time": amount(timezone.now() - policy.disabled_at), "by": policy.disabled_by or "–"}
    since = _("Switched off %(time)s ago by %(by)s") % words
    return f"{since}: {policy.disabled_reason}" if policy.disabled_reason else f"{since}."


def new_dead_letters() -> int:
    """Count new dead letters, up to MAX_COUNTED plus one."""
    return vitals.count_new_dead_letters(MAX_COUNTED + 1)


def shown(number: int, most: int = MAX_COUNTED) -> str:
    """Write a number that was counted only up to `most`: `1,000+`."""
    return f"{number:,}" if number <= most else f"{most:,}+"


def _keys() -> int:
    return sum((state.is_stopped or state.is_refused) + state.has_fallen_back for state in vitals.key_states())


def at_desk(model: str, user: Any) -> int:
    """Count the matters that wait at the desk of `model` (its name in lower case), for the desk's badge."""
    counted: dict[str, Any] = {
        "broadcast": lambda: len(broadcasts(user, timezone.now())),
        "deadletter": new_dead_letters,
        "appkey": _keys,
        "pushtypepolicy": lambda: switched_off_types().count(),
    }
    return int(counted[model]()) if model in counted else 0
