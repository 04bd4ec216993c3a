"""Where in the log rare rows are: what each block of ids holds, so that a search need not read the others.

The log has no index on its reasons, types and app keys, and none by id on its status: every one would cost each push
another write. Instead, once a block's rows are old enough that hardly any still changes, one reading of it notes which
values it holds. That is a line or two for a hundred rows, and a search for the few `unknown` of last month reads
the blocks that have some, and no others.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, QuerySet

from pushes.models import DeliveryResult, LogBlock
from pushes.names import TERMINAL

SIZE = 1_000
#: Rows get their ids when they are inserted and are seen when that is committed; and most are over by then.
LEAST_AGE = timedelta(minutes=10)
BUDGET_SECONDS = 2.0
#: A row that was held for hours was noted as "may be anything": such blocks are read again, some each round.
REREAD = 20
#: So many blocks are looked through in one question to the database at first; then twice as many, up to the most.
#: A small range of ids leaves MariaDB in no doubt that the primary key is the way to read it.
FIRST_STRIP, MOST_STRIP = 4, 64
BATCH = 200
CHANGING = ("status", "reason")
CONDITIONS = ("status", "reason", "kind", "push_type", "app_key_id")

#: Ids from the first up to, not including, the second.
Window = tuple[int, int]
#: Windows that are looked through together, in the walk's direction.
Strip = list[Window]


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
    young = DeliveryResult.objects.filter(created_at__gt=now - LEAST_AGE).order_by("created_at", "pk")
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
    rows = DeliveryResult.objects.filter(pk__gte=number * SIZE, pk__lt=(number + 1) * SIZE)
    found: set[tuple[str, str]] = set()
    for values in rows.order_by().values_list(*CONDITIONS).distinct():
        is_over = values[0] in TERMINAL
        for name, value in zip(CONDITIONS, values, strict=True):
            found.add((name, str(value) if is_over or name not in CHANGING else LogBlock.ANY))
    LogBlock.objects.filter(number=number).delete()
    LogBlock.objects.bulk_create(
        [LogBlock(number=number, name=name, value=value) for name, value in sorted(found) if value not in ("", "None")],
        ignore_conflicts=True,
    )


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
        """Windows of the noted ids from `below` down to `lowest`, those alone that may hold such rows."""
        return self._strips((below - 1) // SIZE, -1, lowest // SIZE, (lowest, below))

    def up(self, above: int, highest: int) -> Iterator[Strip]:
        """Windows of the noted ids from `above` up to, not including, `highest`."""
        return self._strips(above // SIZE, 1, (highest - 1) // SIZE, (above, highest))

    def _strips(self, start: int, step: int, end: int, edges: Window) -> Iterator[Strip]:
        size, number = FIRST_STRIP, start
        while numbers := self._numbers(number, step, end):
            while some := numbers[:size]:
                numbers, number = numbers[size:], some[-1] + step
                windows = ((max(low, edges[0]), min(high, edges[1])) for low, high in _together(some, step))
                if strip := [(low, high) for low, high in windows if low < high]:
                    yield strip
                size = min(2 * size, MOST_STRIP)

    def _numbers(self, start: int, step: int, end: int) -> list[int]:
        """The next blocks from `start` on in one direction, at most BATCH."""
        if (start - end) * step > 0:
            return []
        bounds = {"number__gte": min(start, end), "number__lte": max(start, end)}
        (name, value), *others = self.wanted.items()
        found = _holding(name, value).filter(**bounds)
        for another, its_value in others:
            found = found.filter(Exists(_holding(another, its_value).filter(number=OuterRef("number"))))
        numbers = found.order_by("number" if step > 0 else "-number").values_list("number", flat=True).distinct()
        return list(numbers[:BATCH])


def _holding(name: str, value: Any) -> "QuerySet[LogBlock]":
    values = [str(value), LogBlock.ANY] if name in CHANGING else [str(value)]
    return LogBlock.objects.filter(name=name, value__in=values)


def sieve(wanted: Mapping[str, Any]) -> Sieve | None:
    """For these values, by name; None when there are none, and while no block is noted."""
    if not wanted:
        return None
    ends = LogBlock.objects.aggregate(first=Min("number"), last=Max("number"))
    return Sieve(wanted, ends["first"], ends["last"]) if ends["first"] is not None else None


def _together(numbers: list[int], step: int) -> Strip:
    """Neighbouring blocks as one window."""
    found: Strip = []
    for number in numbers:
        low, high = number * SIZE, (number + 1) * SIZE
        if found and step < 0 and found[-1][0] == high:
            found[-1] = (low, found[-1][1])
        elif found and step > 0 and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found
