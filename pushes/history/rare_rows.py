"""Where in the log rare rows are: what each block of ids holds, so that a search need not read the others.

The log has no index on its reasons, types and app keys, and none by id on its status: every one would cost each push
another write. Instead, once a block's rows are old enough that hardly any still changes, one reading of it notes which
values it holds, and of rare values which rows have them. That is a line or two for a hundred rows, and a search for
the few `unknown` of last month reads those rows, and hardly any others.
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
#: Rows get their ids when they are inserted and are seen when that is committed; and most are over by then.
MIN_AGE = timedelta(minutes=10)
BUDGET_SECONDS = 2.0
#: A row that was held for hours was noted as "may be anything": such blocks are read again, some each round.
REREAD = 20
#: Of a value that no more rows of a block have, these rows are noted. (LogBlock.places has room for so many.)
MAX_PLACES = 64
#: So many blocks are looked through in one question to the database at first; then twice as many, up to the most.
#: A small range of ids leaves MariaDB in no doubt that the primary key is the way to read it.
FIRST_STRIP, MAX_STRIP = 4, 64
#: A row that is looked up by its id costs a page of the table; a block has about so many pages.
ROWS_LIKE_A_BLOCK = 16
#: So many lines of the notes are read at first; then twice as many, up to the most.
FIRST_BATCH, MAX_BATCH = 64, 1_024
CHANGING = ("status", "reason")
CONDITIONS = ("status", "reason", "kind", "push_type", "app_key_id")

#: Ids from the first up to, not including, the second.
Span = tuple[int, int]
#: Spans that are looked through together, in the walk's direction. An empty span only tells how far the walk is.
Strip = list[Span]
#: Which rows of a block, counted from its first id; None: any.
Places = set[int] | None


def note(now: datetime, *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Note the blocks that have become old enough, oldest first, for a while. Returns how many were read."""
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
    """The first block that is still too young: the one of the oldest row that is."""
    young = DeliveryResult.objects.filter(created_at__gt=now - MIN_AGE).order_by("created_at", "pk")
    first = young.values_list("pk", flat=True).first()
    if first is not None:
        return int(first) // SIZE
    newest = DeliveryResult.objects.order_by("-pk").values_list("pk", flat=True).first()
    # The newest block may still be filled up: it is read when another one follows it.
    return 0 if newest is None else int(newest) // SIZE


def _next_number() -> int | None:
    newest = LogBlock.objects.aggregate(newest=Max("number"))["newest"]
    return _following(0 if newest is None else newest + 1)


def _following(number: int) -> int | None:
    """The first block from `number` on that has rows."""
    first = DeliveryResult.objects.filter(pk__gte=number * SIZE).order_by("pk").values_list("pk", flat=True).first()
    return None if first is None else int(first) // SIZE


def _unsettled() -> list[int]:
    """Blocks with rows that were on their way when they were read, those that were read longest ago first."""
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
    """Which blocks may hold rows with these values (of CONDITIONS); blocks that are not noted may hold anything."""

    wanted: Mapping[str, Any]
    first: int
    last: int

    @property
    def begins_at(self) -> int:
        return self.first * SIZE

    @property
    def ends_at(self) -> int:
        """The first id that is not noted any more."""
        return (self.last + 1) * SIZE

    def down(self, lowest: int, below: int) -> Iterator[Strip]:
        """Spans of the noted ids from `below` down to `lowest`, those alone that may hold such rows."""
        return self._strips((below - 1) // SIZE, -1, lowest // SIZE, (lowest, below))

    def up(self, above: int, highest: int) -> Iterator[Strip]:
        """Spans of the noted ids from `above` up to, not including, `highest`."""
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
        # The rarest condition leads: with as many lines it comes farthest. The others are asked about its blocks.
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
    """How the blocks with this value are noted. ANY comes first: a block that is read anew between two questions
    turns from that into a value, and never back."""
    return [LogBlock.ANY, str(value)] if name in CHANGING else [str(value)]


def _lines(name: str, noted_as: str) -> "QuerySet[LogBlock, tuple[int, str]]":
    return LogBlock.objects.filter(name=name, value=noted_as).order_by().values_list("number", "places")


def _by_block(lines: Iterable[tuple[int, str]]) -> dict[int, Places]:
    """What lines say of each block together: a row may be noted by any of them."""
    found: dict[int, Places] = {}
    for number, written in lines:
        places = _places(written)
        if number in found:
            before = found[number]
            places = None if places is None or before is None else places | before
        found[number] = places
    return found


def _both(one: Places, other: Places) -> Places:
    """The rows that fulfil two conditions."""
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
    """As many of the spans as cost what `size` blocks do, neighbours made one; and the others."""
    cost, taken = 0.0, 0
    while taken < len(spans) and cost < size:
        low, high = spans[taken]
        cost += 1 if high - low > 1 else 1 / ROWS_LIKE_A_BLOCK
        taken += 1
    return _together(spans[:taken]), spans[taken:]


def _together(spans: Strip) -> Strip:
    """Neighbours as one span."""
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
    """For these values, by name; None when there are none, and while no block is noted."""
    if not wanted:
        return None
    ends = LogBlock.objects.aggregate(first=Min("number"), last=Max("number"))
    return Sieve(wanted, ends["first"], ends["last"]) if ends["first"] is not None else None
