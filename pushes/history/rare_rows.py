"""Note which blocks of the log contain rare rows, so that a search can skip the other blocks.

The log has no index on its reasons, types and app keys, and none by id on its status: every index would cost each push
another write. Instead, when a block's rows are old enough that hardly any still change, the block is read once, and its
values are noted, and for rare values their rows. That is a line or two per hundred rows, and a search for the few
`unknown` rows of last month reads hardly any others.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min, QuerySet

from pushes.models import DeliveryResult, LogBlock
from pushes.names import TERMINAL

SIZE = 1_000
#: Rows get their ids at insertion and become visible at commit; by this age most are also terminal.
MIN_AGE = timedelta(minutes=10)
BUDGET_SECONDS = 2.0
#: A row that was held for hours was noted as ANY: such blocks are read again, a few each round.
REREAD = 20
#: The rows of a value are noted if a block has at most this many. (LogBlock.places has room for them.)
MAX_PLACES = 64
#: The first query searches this many blocks; each further one twice as many, up to the maximum.
#: For a small range of ids MariaDB always uses the primary key.
FIRST_STRIP, MAX_STRIP = 4, 64
#: A row that is looked up by id costs a page of the table; a block has about this many pages.
ROWS_LIKE_A_BLOCK = 16
#: This many lines of the notes are read first; then twice as many each time, up to the maximum.
FIRST_BATCH, MAX_BATCH = 64, 1_024
CHANGING = ("status", "reason")
CONDITIONS = ("status", "reason", "kind", "push_type", "app_key_id")

#: Ids from the first up to, not including, the second.
Span = tuple[int, int]
#: Spans that are read together, in the walk's direction. An empty span only shows how far the walk is.
Strip = list[Span]
#: Which rows of a block, counted from its first id; None: any.
Places = set[int] | None


def note(now: datetime, *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Note the blocks that have become old enough, oldest first, for a limited time. Returns how many were read."""
    ends_at = time.monotonic() + budget_seconds
    ready = _ready_before(now)
    read = 0
    number = _next_number()
    while number is not None and number < ready and time.monotonic() < ends_at:
        _read(number)
        read += 1
        number = _following(number + 1)
    for number in _unsettled()[:REREAD]:
        if time.monotonic() < ends_at:
            _read(number)
            read += 1
    return read


def forget() -> int:
    """Forget the blocks whose rows retention has removed."""
    oldest = DeliveryResult.objects.order_by("pk").values_list("pk", flat=True).first()
    gone = LogBlock.objects.all() if oldest is None else LogBlock.objects.filter(number__lt=oldest // SIZE)
    ids = list(gone.order_by("number").values_list("pk", flat=True)[:5_000])
    return LogBlock.objects.filter(pk__in=ids).delete()[0] if ids else 0


def _ready_before(now: datetime) -> int:
    """Return the first block that is still too young."""
    young = DeliveryResult.objects.filter(created_at__gt=now - MIN_AGE).order_by("created_at", "pk")
    first = young.values_list("pk", flat=True).first()
    if first is not None:
        return int(first) // SIZE
    newest = DeliveryResult.objects.order_by("-pk").values_list("pk", flat=True).first()
    # The newest block may still grow: it is read when another block follows it.
    return 0 if newest is None else int(newest) // SIZE


def _next_number() -> int | None:
    newest = LogBlock.objects.aggregate(newest=Max("number"))["newest"]
    return _following(0 if newest is None else newest + 1)


def _following(number: int) -> int | None:
    """Return the first block from `number` on that has rows."""
    first = DeliveryResult.objects.filter(pk__gte=number * SIZE).order_by("pk").values_list("pk", flat=True).first()
    return None if first is None else int(first) // SIZE


def _unsettled() -> list[int]:
    """Return blocks that had unfinished rows when they were read, least recently read first."""
    found = LogBlock.objects.filter(name="status", value=LogBlock.ANY).order_by("pk")
    return list(found.values_list("number", flat=True)[:REREAD])


@transaction.atomic
def _read(number: int) -> None:
    begins_at = number * SIZE
    rows = DeliveryResult.objects.filter(pk__gte=begins_at, pk__lt=begins_at + SIZE).order_by("pk")
    alike: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row in rows.values_list("pk", *CONDITIONS):
        alike[row[1:]].append(row[0] - begins_at)
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for values, places in alike.items():
        is_over = values[0] in TERMINAL
        for name, value in zip(CONDITIONS, values, strict=True):
            found[name, str(value) if is_over or name not in CHANGING else LogBlock.ANY] += places
    LogBlock.objects.filter(number=number).delete()
    LogBlock.objects.bulk_create(
        [
            LogBlock(number=number, name=name, value=value, places=_written(places))
            for (name, value), places in sorted(found.items())
            if value not in ("", "None")
        ],
        ignore_conflicts=True,
    )


def _written(places: list[int]) -> str:
    return " ".join(map(str, sorted(places))) if len(places) <= MAX_PLACES else ""


def _places(written: str) -> Places:
    return set(map(int, written.split())) if written else None


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which blocks may contain rows with these values (of CONDITIONS); blocks without notes may contain anything."""

    wanted: Mapping[str, Any]
    first: int
    last: int

    @property
    def begins_at(self) -> int:
        return self.first * SIZE

    @property
    def ends_at(self) -> int:
        """Return the first id without notes."""
        return (self.last + 1) * SIZE

    def down(self, lowest: int, below: int) -> Iterator[Strip]:
        """Yield the spans of noted ids from `below` down to `lowest` that may contain such rows."""
        return self._strips((below - 1) // SIZE, -1, lowest // SIZE, (lowest, below))

    def up(self, above: int, highest: int) -> Iterator[Strip]:
        """Yield such spans of noted ids from `above` up to, not including, `highest`."""
        return self._strips(above // SIZE, 1, (highest - 1) // SIZE, (above, highest))

    def _strips(self, start: int, step: int, end: int, edges: Span) -> Iterator[Strip]:
        size, most, number = float(FIRST_STRIP), FIRST_BATCH, start
        while (end - number) * step >= 0:
            found, last = self._candidates(Stretch(number, end, step), most)
            number, most = last + step, min(2 * most, MAX_BATCH)
            spans = _clipped(_spans(found, step), edges)
            if not spans:
                here = max(edges[0], min(edges[1], last * SIZE if step < 0 else number * SIZE))
                yield [(here, here)]
            while spans:
                strip, spans = _cut(spans, size)
                yield strip
                size = min(2 * size, MAX_STRIP)

    def _candidates(self, stretch: "Stretch", most: int) -> tuple[dict[int, Places], int]:
        """The next blocks that may hold such rows, in the walk's direction, and the block up to which these are all."""
        looked = {name: _noted(name, value, stretch, most) for name, value in self.wanted.items()}
        # The rarest condition leads: with as many lines it gets farthest. The others are checked on its blocks.
        leader = max(looked, key=lambda name: looked[name][1] * stretch.step)
        found, last = looked.pop(leader)
        for name, (others, reach) in looked.items():
            if found and reach != last:
                others = _noted_of(name, self.wanted[name], found)
            met = {number: _both(found[number], others[number]) for number in found if number in others}
            found = {number: places for number, places in met.items() if places is None or places}
        return found, last


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks from `start` to `end`, both included; `step` is -1 when they are walked down."""

    start: int
    end: int
    step: int


def _noted(name: str, value: Any, stretch: Stretch, most: int) -> tuple[dict[int, Places], int]:
    """The first blocks of the stretch that may hold this value, about `most`, and the block up to which these are all.

    A question for each way of noting it, because the index has the blocks of one in order.
    """
    bounds = {"number__gte": min(stretch.start, stretch.end), "number__lte": max(stretch.start, stretch.end)}
    order = "number" if stretch.step > 0 else "-number"
    lines: list[tuple[int, str]] = []
    last = stretch.end
    for noted_as in _ways(name, value):
        some = list(_lines(name, noted_as).filter(**bounds).order_by(order)[:most])
        if len(some) == most:
            last = min(last, some[-1][0], key=lambda number: number * stretch.step)
        lines += some
    return _by_block(line for line in lines if line[0] * stretch.step <= last * stretch.step), last


def _noted_of(name: str, value: Any, numbers: Iterable[int]) -> dict[int, Places]:
    """Of these blocks those that may hold this value."""
    wanted = list(numbers)
    return _by_block(line for way in _ways(name, value) for line in _lines(name, way).filter(number__in=wanted))


def _ways(name: str, value: Any) -> list[str]:
    """Return how blocks with this value are noted. ANY comes first: a block that is read again between two queries
    changes from ANY to a value, and never back."""
    return [LogBlock.ANY, str(value)] if name in CHANGING else [str(value)]


def _lines(name: str, noted_as: str) -> "QuerySet[LogBlock, tuple[int, str]]":
    return LogBlock.objects.filter(name=name, value=noted_as).order_by().values_list("number", "places")


def _by_block(lines: Iterable[tuple[int, str]]) -> dict[int, Places]:
    """Merge the lines of each block: a row may be noted by any of them."""
    found: dict[int, Places] = {}
    for number, written in lines:
        places = _places(written)
        if number in found:
            before = found[number]
            places = None if places is None or before is None else places | before
        found[number] = places
    return found


def _both(one: Places, other: Places) -> Places:
    """Return the rows that meet both conditions."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _spans(found: Mapping[int, Places], step: int) -> Strip:
    """The ids of these blocks, in the walk's direction: whole blocks, or single rows."""
    spans: Strip = []
    for number in sorted(found):
        places, begins_at = found[number], number * SIZE
        if places is None:
            spans.append((begins_at, begins_at + SIZE))
        else:
            spans += [(begins_at + place, begins_at + place + 1) for place in sorted(places)]
    return spans[::step]


def _clipped(spans: Strip, edges: Span) -> Strip:
    clipped = ((max(low, edges[0]), min(high, edges[1])) for low, high in spans)
    return [(low, high) for low, high in clipped if low < high]


def _cut(spans: Strip, size: float) -> tuple[Strip, Strip]:
    """Split off as many spans as cost no more than `size` blocks, with neighbours merged; also return the others."""
    cost, taken = 0.0, 0
    while taken < len(spans) and cost < size:
        low, high = spans[taken]
        cost += 1 if high - low > 1 else 1 / ROWS_LIKE_A_BLOCK
        taken += 1
    return _together(spans[:taken]), spans[taken:]


def _together(spans: Strip) -> Strip:
    """Merge neighbouring spans."""
    found: Strip = []
    for low, high in spans:
        if found and found[-1][0] == high:
            found[-1] = (low, found[-1][1])
        elif found and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def sieve(wanted: Mapping[str, Any]) -> Sieve | None:
    """Return the sieve for these values, by name; None without values, and while no block is noted."""
    if not wanted:
        return None
    ends = LogBlock.objects.aggregate(first=Min("number"), last=Max("number"))
    return Sieve(wanted, ends["first"], ends["last"]) if ends["first"] is not None else None
