"""Which channels reach how many accounts: what tells whether a channel can be given up.

A million devices take seconds to count. So each call counts on for about a second, along the accounts, and Redis
keeps how far the count is: everybody who asks works on the same count, and sees the last one that was finished.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from pushes.models import Account, AppKey, Device
from pushes.names import App, Channel, Environment, Platform
from pushes.storage import clocks, shared_redis
from pushes.workers import queues

#: How many accounts one query looks at.
SPAN = 5_000
STATE = "higo:coverage"
KEPT_SECONDS = 7 * 86_400
Scope = tuple[App, Platform, Environment]
_COLUMNS = ("account_id", "app", "platform", "environment", "channel")


@dataclass(frozen=True, slots=True)
class Reach:
    """What one channel does for the accounts of a scope: how many have an active device of it, and how many have
    devices of no other channel. `key` is "enabled", "disabled" or "" when there is none."""

    channel: Channel
    accounts: int
    only: int
    key: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """The accounts with active devices of one app, platform and environment; `unreachable` have no device whose channel
    has an enabled key."""

    scope: Scope
    accounts: int
    unreachable: int
    channels: tuple[Reach, ...]


@dataclass(slots=True)
class Count:
    """How many accounts have which channels, as far as counted. `after` is the last account that was looked at."""

    begun_at: datetime
    after: str = ""
    seen: int = 0
    finished_at: datetime | None = None
    groups: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def as_json(self) -> str:
        return json.dumps(
            {
                "begun_at": self.begun_at.isoformat(),
                "after": self.after,
                "seen": self.seen,
                "finished_at": self.finished_at and self.finished_at.isoformat(),
                "groups": [[*group, number] for group, number in self.groups.items()],
            }
        )


def count_on(seconds: float = 1.0) -> Count:
    """Return the count after going on with it for about so long (0: as it is); a finished one as it is. Two callers at
    a time do some work twice, and count nothing twice, for what is stored is a whole count. Raises redis.RedisError."""
    count = _stored() or Count(clocks.now())
    if count.finished_at:
        return count
    ends_at = monotonic() + seconds
    while seconds and count.finished_at is None:
        _count_span(count)
        if monotonic() >= ends_at:
            break
    shared_redis.connection().set(STATE, count.as_json(), ex=KEPT_SECONDS)
    return count


def begin_anew() -> None:
    """Forget the count: the next `count_on` begins from the first account. Raises redis.RedisError."""
    shared_redis.connection().delete(STATE)


def _stored() -> Count | None:
    """Return the count in Redis; None for none, and for one that another version wrote."""
    client: Any = shared_redis.connection()
    found = queues.unless_strange(lambda: client.get(STATE), None)
    try:
        stored = json.loads(found) if found else None
        return stored and Count(
            datetime.fromisoformat(stored["begun_at"]),
            stored["after"],
            stored["seen"],
            datetime.fromisoformat(stored["finished_at"]) if stored["finished_at"] else None,
            Counter({tuple(group): int(number) for *group, number in stored["groups"]}),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _count_span(count: Count) -> None:
    ids = Account.objects.filter(account_id__gt=count.after).order_by("account_id").values_list("account_id", flat=True)
    last = next(iter(ids[SPAN - 1 : SPAN]), None)
    devices = Device.objects.filter(is_active=True, account_id__gt=count.after)
    if last is not None:
        devices = devices.filter(account_id__lte=last)
    found: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for account_id, *scope, channel in devices.order_by().values_list(*_COLUMNS):
        found[(account_id, *scope)].add(channel)
    count.groups.update(_groups(found))
    count.seen += len({key[0] for key in found})
    if last is None:
        count.finished_at = clocks.now()
    else:
        count.after = last


def _groups(found: Mapping[tuple[str, ...], set[str]]) -> Iterable[tuple[str, ...]]:
    return ((*key[1:], *sorted(channels)) for key, channels in found.items())


def coverages(count: Count) -> list[Coverage]:
    """Return what was counted by app, platform and environment, without those that have neither devices nor keys."""
    keys = {
        (app, platform, environment, channel): "enabled" if is_enabled else "disabled"
        for app, platform, environment, channel, is_enabled in AppKey.objects.values_list(
            "app", "platform", "environment", "channel", "is_enabled"
        )
    }
    every: list[Scope] = [(a, p, e) for e in Environment for a in App for p in Platform]
    found = [_coverage(scope, count.groups, keys) for scope in every]
    return [coverage for coverage in found if coverage.channels]


def _coverage(
    scope: Scope, groups: Mapping[tuple[str, ...], int], keys: Mapping[tuple[str, str, str, str], str]
) -> Coverage:
    mine = {group[3:]: number for group, number in groups.items() if group[:3] == scope}
    of_keys = {channel: keys.get((*scope, channel), "") for channel in Channel}
    reached = tuple(
        Reach(
            channel,
            sum(number for channels, number in mine.items() if channel in channels),
            mine.get((channel,), 0),
            of_keys[channel],
        )
        for channel in Channel
        if of_keys[channel] or any(channel in channels for channels in mine)
    )
    enabled = {channel.value for channel, state in of_keys.items() if state == "enabled"}
    unreachable = sum(number for channels, number in mine.items() if not enabled.intersection(channels))
    return Coverage(scope, sum(mine.values()), unreachable, reached)
