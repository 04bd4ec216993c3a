"""Pages of tables with millions of rows: newest first, by key, without counts and offsets.

A page is `id < x` (older) or `id > x` (newer) with a limit. A condition with its own index (account, token, push) finds
its rows at once. For any other condition (a status, a reason) the primary key is walked backwards in spans of ids until
the page is full or the budget is spent; then the page says how far back it has looked. So the cost of a page is
bounded. Where `rare_rows` knows which blocks of ids contain such rows, the walk skips the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db.models import Max, Min, Model, Q, QuerySet

from pushes.history.rare_rows import Sieve, Span, Strip

SPAN_ROWS = 20_000
SPAN_GROWTH = 2
#: The budget is checked between spans, so this bounds by how much a page can exceed it.
MAX_SPAN_ROWS = 160_000
BUDGET_SECONDS = 0.5
#: Up to this many ids are looked up one by one instead of as a range.
FEW_IDS = 16
#: Rows have the start time of their job, so ids and times may disagree by a job's duration.
CLOCK_SLACK = timedelta(seconds=120)
#: Clocks also differ, or are set: about a batch of rows more, which cost a dozen pages of the table.
ID_SLACK = 500


@dataclass(frozen=True, slots=True)
class Cursor:
    """The start of a page: below `before`, or above `after`; with neither, at the newest row."""

    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. When the budget ran out, `stopped_at` is the lowest id that was read (`stopped_above` the
    highest, on the way to newer rows)."""

    rows: list[Any]
    has_newer: bool
    has_older: bool
    stopped_at: int | None = None
    stopped_above: int | None = None


def number(value: str | None) -> int | None:
    """Return a key from a URL; None when it is not a key."""
    return int(value) if value and value.isdecimal() and len(value) < 19 else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ids that a walk needs to read, both ends included; None is open. `sieve` says which blocks inside."""

    lowest: int | None = None
    highest: int | None = None
    sieve: Sieve | None = None


EVERYWHERE = Bounds()


def read_page(rows: QuerySet[Any], cursor: Cursor, size: int, *, walk: bool, bounds: Bounds = EVERYWHERE) -> Page:
    """Read one page of `rows`. With `walk`, by spans of the primary key within the bounds and the budget."""
    if cursor.after is not None:
        return _newer_page(rows, cursor.after, size, walk=walk, bounds=bounds)
    return _older_page(rows, cursor.before, size, walk=walk, bounds=bounds)


def _older_page(rows: QuerySet[Any], below: Any, size: int, *, walk: bool, bounds: Bounds) -> Page:
    stopped_at = None
    if walk:
        found, stopped_at = walk_through(rows.order_by("-pk"), spans_down(rows.model, below, bounds), size + 1)
    else:
        found = list((rows if below is None else rows.filter(pk__lt=below)).order_by("-pk")[: size + 1])
    has_older = len(found) > size or stopped_at is not None
    return Page(found[:size], below is not None, has_older, stopped_at and stopped_at[0])


def _newer_page(rows: QuerySet[Any], above: Any, size: int, *, walk: bool, bounds: Bounds) -> Page:
    stopped_at = None
    if walk:
        found, stopped_at = walk_through(rows.order_by("pk"), spans_up(rows.model, above, bounds), size + 1)
    else:
        found = list(rows.filter(pk__gt=above).order_by("pk")[: size + 1])
    has_newer = len(found) > size or stopped_at is not None
    return Page(found[:size][::-1], has_newer, True, stopped_above=stopped_at and stopped_at[1] - 1)


def within(rows: QuerySet[Any], strip: Strip) -> QuerySet[Any]:
    """Return the rows of these spans; a small span is read by its ids."""
    ids = [number for low, high in strip if high - low <= FEW_IDS for number in range(low, high)]
    condition = Q(pk__in=ids)
    for low, high in strip:
        if high - low > FEW_IDS:
            condition |= Q(pk__gte=low, pk__lt=high)
    return rows.filter(condition)


def walk_through(rows: QuerySet[Any], strips: Iterator[Strip], wanted: int) -> tuple[list[Any], Span | None]:
    """Return at most `wanted` rows, and the last span that was read if the budget ended first."""
    found: list[Any] = []
    ends_at = monotonic() + BUDGET_SECONDS
    for strip in strips:
        found += within(rows, strip)[: wanted - len(found)]
        if len(found) >= wanted:
            return found, None
        if monotonic() > ends_at:
            return found, strip[-1]
    return found, None


def _ends(model: type[Model], bounds: Bounds) -> tuple[int, int] | None:
    """Return the oldest and the newest id within the bounds: two look-ups, no scan."""
    ids = model._default_manager.order_by("pk").values_list("pk", flat=True)
    oldest, newest = ids.first(), ids.last()
    if oldest is None or newest is None:
        return None
    low = oldest if bounds.lowest is None else max(oldest, bounds.lowest)
    high = newest if bounds.highest is None else min(newest, bounds.highest)
    return (low, high) if low <= high else None


def spans_down(model: type[Model], below: int | None, bounds: Bounds = EVERYWHERE) -> Iterator[Strip]:
    """Yield spans `[low, high)` of ids from the newest down: growing spans, and of noted blocks only those that may
    contain such rows."""
    ends = _ends(model, bounds)
    if ends is None:
        return
    oldest, newest = ends
    high, sieve = min(below or newest + 1, newest + 1), bounds.sieve
    if sieve is None:
        yield from _down(oldest, high)
        return
    yield from _down(max(oldest, sieve.ends_at), high)
    yield from sieve.down(max(oldest, sieve.begins_at), min(high, sieve.ends_at))
    yield from _down(oldest, min(high, sieve.begins_at))


def _down(low: int, high: int) -> Iterator[Strip]:
    size = SPAN_ROWS
    while high > low:
        yield [(max(high - size, low), high)]
        high, size = high - size, min(size * SPAN_GROWTH, MAX_SPAN_ROWS)


def spans_up(model: type[Model], above: int, bounds: Bounds = EVERYWHERE) -> Iterator[Strip]:
    ends = _ends(model, bounds)
    if ends is None:
        return
    low, end, sieve = max(above + 1, ends[0]), ends[1] + 1, bounds.sieve
    if sieve is None:
        yield from _up(low, end)
        return
    yield from _up(low, min(end, sieve.begins_at))
    yield from sieve.up(max(low, sieve.begins_at), min(end, sieve.ends_at))
    yield from _up(max(low, sieve.ends_at), end)


def _up(low: int, end: int) -> Iterator[Strip]:
    size = SPAN_ROWS
    while low < end:
        yield [(low, min(low + size, end))]
        low, size = low + size, min(size * SPAN_GROWTH, MAX_SPAN_ROWS)


def first_since(model: type[Model], moment: datetime) -> int | None:
    """Return the highest known id below which no row is from `moment` or later; None when there are no earlier rows.

    Rows that are later by more than the slack were inserted after the last earlier row, and have higher ids.
    """
    rows = model._default_manager
    earlier = rows.filter(created_at__lt=moment).order_by("-created_at", "-pk").values_list("pk", flat=True).first()
    if earlier is None:
        return None
    close = rows.filter(created_at__gte=moment, created_at__lt=moment + CLOCK_SLACK)
    lowest: int | None = close.aggregate(lowest=Min("pk"))["lowest"]
    first = int(earlier) + 1
    return (first if lowest is None else min(first, lowest)) - ID_SLACK


def last_until(model: type[Model], moment: datetime) -> int | None:
    """Return the lowest known id above which no row is from before `moment`; None when there are no later rows."""
    rows = model._default_manager
    later = rows.filter(created_at__gte=moment).order_by("created_at", "pk").values_list("pk", flat=True).first()
    if later is None:
        return None
    close = rows.filter(created_at__gte=moment - CLOCK_SLACK, created_at__lt=moment)
    highest: int | None = close.aggregate(highest=Max("pk"))["highest"]
    last = int(later) - 1
    return (last if highest is None else max(last, highest)) + ID_SLACK
