"""Delivery windows, pure: at which hours a push may go out, and what happens to it outside them."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from pushes.names import WindowPolicy

OFF = "off"


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """From `opens` (inclusive) to `closes` (exclusive), local time; it may span midnight. Equal times
    mean the whole day."""

    opens: time
    closes: time

    def contains(self, local: time) -> bool:
        if self.opens == self.closes:
            return True
        if self.opens < self.closes:
            return self.opens <= local < self.closes
        return local >= self.opens or local < self.closes


@lru_cache(maxsize=256)
def parse(window: str) -> DailyWindow | None:
    """`08:00-23:00` → a window; `off` → None (any hour). Raises ValueError."""
    if window == OFF:
        return None
    opens, dash, closes = window.partition("-")
    if not dash:
        raise ValueError(f"{window!r} is no delivery window: write it as 08:00-23:00, or off")
    return DailyWindow(_time(opens, window), _time(closes, window))


def _time(text: str, window: str) -> time:
    hours, colon, minutes = text.strip().partition(":")
    try:
        if colon and len(hours) == len(minutes) == 2 and (hours + minutes).isdigit():
            return time(int(hours), int(minutes))
    except ValueError:
        pass
    raise ValueError(f"{window!r} is no delivery window: write it as 08:00-23:00, or off")


def next_opening(window: DailyWindow, now: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after `now` at which the window opens (aware, UTC).

    An opening time that a daylight-saving change skips is taken at the end of the gap, if the window is
    open then; one that it repeats at its first occurrence.
    """
    # In UTC, because datetimes of one zone are compared by the clock on the wall, and those within a
    # repeated hour equal none of another zone.
    now = now.astimezone(timezone.utc)
    today = now.astimezone(zone).date()
    for days in range(4):
        wall = datetime.combine(today + timedelta(days=days), window.opens, tzinfo=zone)
        opening = wall.astimezone(timezone.utc)
        if opening.astimezone(zone).time() != window.opens:
            opening = _end_of_gap(wall, zone)
        if opening > now and window.contains(opening.astimezone(zone).time()):
            return opening
    raise AssertionError(f"no opening found after {now}")  # pragma: no cover


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant of the change that leaves out `wall`: it lies between its two readings."""
    first = wall.replace(fold=1).astimezone(timezone.utc)
    last = wall.replace(fold=0).astimezone(timezone.utc)
    before = first.astimezone(zone).utcoffset()
    seconds = range(int((last - first).total_seconds()) + 1)
    passed = bisect_left(
        seconds, True, key=lambda s: (first + timedelta(seconds=s)).astimezone(zone).utcoffset() != before
    )
    return first + timedelta(seconds=passed)


@dataclass(frozen=True, slots=True)
class Decision:
    """Send now (`hold_until` None, `is_dropped` False), hold until an instant, or drop."""

    hold_until: datetime | None = None
    is_dropped: bool = False


SEND_NOW = Decision()


def decide(policy: str, window: str, now: datetime, zone: ZoneInfo) -> Decision:
    """What a push type's window policy says at `now`. Raises ValueError for an unreadable window."""
    daily = parse(window)
    if policy == WindowPolicy.SEND or daily is None or daily.contains(now.astimezone(zone).time()):
        return SEND_NOW
    if policy == WindowPolicy.DROP:
        return Decision(is_dropped=True)
    return Decision(hold_until=next_opening(daily, now, zone))
