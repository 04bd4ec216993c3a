"""What the parameters of the delivery log's address ask for: conditions, which the console's filters and exports share.

An export is stored as such an address, without the place in the list, and is read again here by a job.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Model, Q
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from pushes.history import pages, rare_rows, search, series
from pushes.models import DeliveryResult, PushRecord
from pushes.names import LIVE, TERMINAL, Status
from pushes.storage import clocks

SPANS = {"10m": timedelta(minutes=10), "1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}
#: In place of a reason: rows that have none.
NO_REASON = "none"
SEARCH = "q"
#: Parameters whose condition finds its rows through an index.
INDEXED = (SEARCH, "record", "broadcast")
#: What blocks are noted by, and the parameter that asks for it.
SIEVED = {
    "status": "status__exact",
    "reason": "reason",
    "kind": "kind__exact",
    "push_type": "push_type__exact",
    "app_key_id": "key",
}
#: Choices of a field; without a value they ask for nothing.
CHOICES = ("status__exact", "kind__exact", "push_type__exact")
#: Parameters of Django's own that are no condition.
IGNORED = ("o", "e", "_facets", "_popup", "_to_field")


@dataclass(frozen=True, slots=True)
class Condition:
    """The rows that a parameter asks for, and between which ids they are, both included; None is open."""

    rows: Q
    lowest: int | None = None
    highest: int | None = None


#: What a parameter with this text asks for of the rows of a model; None: nothing that could be understood.
Meaning = Callable[[type[Model], str], Condition | None]


# --- a time ------------------------------------------------------------------------------------
def moment(text: str) -> datetime | None:
    """A time that was typed as `2026-05-01 08:00`, or its day alone; None for what is no time."""
    try:
        found = parse_datetime(text if len(text) > 10 else f"{text} 00:00")
    except ValueError:
        return None
    return found if found is None or timezone.is_aware(found) else timezone.make_aware(found)


def since(model: type[Model], begins: datetime) -> Condition:
    """Rows from `begins` on, bounded by the primary key too, which pages run along."""
    lowest = pages.first_since(model, begins)
    by_key = Q() if lowest is None else Q(pk__gte=lowest)
    return Condition(by_key & Q(created_at__gte=begins), lowest=lowest)


def until(model: type[Model], ends: datetime) -> Condition:
    """Rows before `ends`, bounded by the primary key too."""
    highest = pages.last_until(model, ends)
    by_key = Q() if highest is None else Q(pk__lte=highest)
    return Condition(by_key & Q(created_at__lt=ends), highest=highest)


def within(model: type[Model], text: str) -> Condition | None:
    span = SPANS.get(text)
    return None if span is None else since(model, clocks.now() - span)


def created_from(model: type[Model], text: str) -> Condition | None:
    begins = moment(text)
    return None if begins is None else since(model, begins)


def created_until(model: type[Model], text: str) -> Condition | None:
    ends = moment(text)
    return None if ends is None else until(model, ends)


def finished_from(_model: type[Model], text: str) -> Condition | None:
    begins = moment(text)
    return None if begins is None else Condition(Q(finished_at__gte=begins))


def finished_until(model: type[Model], text: str) -> Condition | None:
    """What ended before a time was created before it, too."""
    ends = moment(text)
    return None if ends is None else Condition(Q(finished_at__lt=ends), highest=pages.last_until(model, ends))


# --- a state -----------------------------------------------------------------------------------
def live(_model: type[Model], text: str) -> Condition | None:
    statuses = {"1": LIVE, "0": TERMINAL}.get(text)
    return None if statuses is None else Condition(Q(status__in=statuses))


def attempt_failed(_model: type[Model], text: str) -> Condition | None:
    span = SPANS.get(text)
    if span is None:
        return None
    begins = clocks.now() - span
    ended = Q(status__in=series.UNSUCCESSFUL) | Q(status=Status.ACCEPTED, attempts__gt=1)
    again = Q(status=Status.RETRYING, sent_at__gte=begins) & ~Q(reason__in=series.NO_FAILURE)
    return Condition(ended & Q(finished_at__gte=begins) | again)


def reason(_model: type[Model], text: str) -> Condition:
    return Condition(Q(reason="" if text == NO_REASON else text))


# --- a number ----------------------------------------------------------------------------------
def number(text: str) -> int | None:
    """A row's number, typed with or without a #; None for what is no number."""
    digits = text.lstrip("#")
    return int(digits) if digits.isdecimal() and len(digits) <= search.MAX_NUMBER_LENGTH else None


def record(_model: type[Model], text: str) -> Condition | None:
    found = number(text)
    return None if found is None else Condition(Q(record_id=found))


def broadcast(model: type[Model], text: str) -> Condition | None:
    """Pushes of a broadcast, or the deliveries of its pushes."""
    found = number(text)
    if found is None:
        return None
    if model is PushRecord:
        return Condition(Q(broadcast_id=found))
    return Condition(Q(record_id__in=PushRecord.objects.filter(broadcast_id=found).values("id")))


def key(_model: type[Model], text: str) -> Condition | None:
    return Condition(Q(app_key_id=int(text))) if text.isdecimal() else None


MEANINGS: dict[str, Meaning] = {
    "within": within,
    "from": created_from,
    "until": created_until,
    "finished_from": finished_from,
    "finished_until": finished_until,
    "live": live,
    "attempt_failed": attempt_failed,
    "reason": reason,
    "record": record,
    "broadcast": broadcast,
    "key": key,
}


# --- a whole address ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which deliveries an address asks for, and how they are found: through an index, or by a walk in the bounds."""

    rows: Q
    bounds: pages.Bounds
    is_indexed: bool


def read(address: str) -> LogQuery:
    """The query of the log's list at this address. Raises FieldError, ValueError and ValidationError for what is none;
    a text that cannot be understood asks for nothing, as in the list."""
    params = QueryDict(address)
    found = [condition for name in params if (condition := _condition(name, params.getlist(name)))]
    return LogQuery(
        rows=reduce(and_, (condition.rows for condition in found), Q()),
        bounds=bounds(found, sieve(params)),
        is_indexed=is_indexed(params),
    )


def _condition(name: str, texts: list[str]) -> Condition | None:
    text = texts[-1].strip()
    if name == SEARCH:
        return _search(text)
    if name in MEANINGS:
        return MEANINGS[name](DeliveryResult, text) if text else None
    if name in IGNORED or (name in CHOICES and not text):
        return None
    return Condition(_of_field(name, texts))


def _search(text: str) -> Condition | None:
    if not text:
        return None
    found = search.deliveries(text)
    return Condition(Q(pk__in=[]) if found is None else found.condition)


def _of_field(name: str, texts: list[str]) -> Q:
    """A look-up of a field of the row itself, with one of these values, written as Django's admin writes it."""
    field, _, lookup = name.partition("__")
    is_relation = field != "pk" and DeliveryResult._meta.get_field(field).is_relation
    if is_relation and lookup not in ("", "exact", "in", "isnull"):
        raise FieldError(f"{name!r} leads to other rows")
    return reduce(or_, (Q((name, _value(lookup, text))) for text in texts))


def _value(lookup: str, text: str) -> Any:
    if lookup == "in":
        return text.split(",")
    if lookup == "isnull":
        return text.lower() not in ("", "false", "0")
    return text


def is_indexed(params: Mapping[str, Any]) -> bool:
    """Whether the rows are found through an index."""
    return any(params.get(name) for name in INDEXED)


def bounds(conditions: Iterable[Condition], noted: rare_rows.Sieve | None) -> pages.Bounds:
    """Where a walk for rows that fulfil all the conditions needs to look."""
    chosen = list(conditions)
    lowest = max((one.lowest for one in chosen if one.lowest is not None), default=None)
    highest = min((one.highest for one in chosen if one.highest is not None), default=None)
    return pages.Bounds(lowest, highest, noted)


def sieve(params: Mapping[str, Any]) -> rare_rows.Sieve | None:
    """The noted blocks of the log that may hold what the parameters ask for; None: any."""
    asked = {name: str(params.get(parameter) or "") for name, parameter in SIEVED.items()}
    if asked["reason"] == NO_REASON:
        del asked["reason"]  # what has none is not noted
    return rare_rows.sieve({name: value for name, value in asked.items() if value})
