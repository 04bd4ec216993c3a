"""Delivery windows: the hours in which a push may be sent, and what happens to it outside them. Pure."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from pushes.names import WindowPolicy

OFF = "off"
#: A time zone may skip a day, and a window may lie in a skipped hour.
DAYS_AHEAD = 4


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
        raise ValueError(f"{window!r} is not a valid delivery window: write it as 08:00-23:00, or off")
    return DailyWindow(_time(opens, window), _time(closes, window))


def _time(text: str, window: str) -> time:
    hours, colon, minutes = text.strip().partition(":")
    try:
        if colon and len(hours) == len(minutes) == 2 and (hours + minutes).isdigit():
            return time(int(hours), int(minutes))
    except ValueError:
        pass
    raise ValueError(f"{window!r} is not a valid delivery window: write it as 08:00-23:00, or off")


def next_opening(window: DailyWindow, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant in the window after `now` (aware, UTC); the window is shut at `now`.

    A window opens when the wall clock shows its opening time (twice if a clock change repeats it), and when the wall
    clock is set to a time inside it: forward past the opening time, or back before the closing time.
    """
    # In UTC, because datetimes of one zone are compared by the clock on the wall, and those within a
    # repeated hour equal none of another zone.
    now = now.astimezone(timezone.utc)
    today = now.astimezone(zone).date()
    walls = [datetime.combine(today + timedelta(days=days), window.opens, tzinfo=zone) for days in range(DAYS_AHEAD)]
    openings = [wall.replace(fold=fold).astimezone(timezone.utc) for wall in walls for fold in (0, 1)]
    for opening in sorted([*openings, *_changes(now, zone)]):
        # A wall time that is skipped is converted to another one.
        if opening > now and window.contains(opening.astimezone(zone).time()):
            return opening
    raise AssertionError(f"no opening found after {now}")  # pragma: no cover


def _changes(now: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Return the instants of the zone's clock changes within the next days."""
    hours = [now + timedelta(hours=hour) for hour in range(24 * DAYS_AHEAD)]
    for before, after in pairwise(hours):
        if (offset := _offset(before, zone)) != _offset(after, zone):
            seconds = range(3_601)
            passed = bisect_left(seconds, True, key=lambda s: _offset(before + timedelta(seconds=s), zone) != offset)
            # On a whole second, wherever in its second `now` lies.
            yield (before + timedelta(seconds=passed)).replace(microsecond=0)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()


@dataclass(frozen=True, slots=True)
class Decision:
    """Send now (`hold_until` None, `is_dropped` False), hold until an instant, or drop."""

    hold_until: datetime | None = None
    is_dropped: bool = False


SEND_NOW = Decision()


def decide(policy: str, window: str, now: datetime, zone: ZoneInfo) -> Decision:
    """Decide by a push type's window policy at `now`. Raises ValueError for an unreadable window."""
    daily = parse(window)
    if policy == WindowPolicy.SEND or daily is None or daily.contains(now.astimezone(zone).time()):
        return SEND_NOW
    if policy == WindowPolicy.DROP:
        return Decision(is_dropped=True)
    return Decision(hold_until=next_opening(daily, now, zone))
