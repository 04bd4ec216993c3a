"""Creation times as the collection stores and orders them. Pure.

MongoDB compares only values of the same BSON type, so a collection has up to four *scales*, each read with its own
position:

- `text`: strings of 10 (seconds), 13 (milliseconds), 16 or 19 digits, a fraction allowed. Strings compare
  character by character, and from 2001 to 2286 the first ten digits are always the seconds; so the
  collection's own order is the order of time, lengths mixed or not.
- `seconds` and `milliseconds`: numbers of any BSON type. Mixed, they are not in order of time, but their ranges do not
  overlap, so each is a scale.
- `date`: BSON dates.

Values outside the scales (nulls, booleans, `"yesterday"`, 12) never move a position.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Ten digits begin here; nothing earlier is a creation time.
FIRST_SECOND = 10**9
SECONDS_END = 10**11
FIRST_MILLISECOND = 10**12
MILLISECONDS_END = 10**14
_DIGITS = re.compile(r"([0-9]{10})((?:[0-9]{3}){0,3})(?:\.([0-9]{1,40}))?", re.ASCII)


class Scale(str, Enum):
    TEXT = "text"
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a scale: after the document with this creation time and `_id`.

    Without an `_id` the place is before the first document of that time.
    """

    value: Any
    document_id: Any = None


def scale_of(value: object) -> Scale | None:
    """Return the scale of `value`; None when it is not a creation time."""
    if isinstance(value, datetime):
        return Scale.DATE if value >= bound(Scale.DATE, FIRST_SECOND) else None
    if isinstance(value, str):
        return Scale.TEXT if _DIGITS.fullmatch(value) and value >= str(FIRST_SECOND) else None
    amount = _amount(value)
    if amount is None:
        return None
    if FIRST_SECOND <= amount < SECONDS_END:
        return Scale.SECONDS
    return Scale.MILLISECONDS if FIRST_MILLISECOND <= amount < MILLISECONDS_END else None


def places(value: object, scale: Scale, low: Any, before: Any) -> list[Any]:
    """Return the places in the index of a document with this creation time, between `low` and `before` (exclusive).

    A plain value has one place; an array, which is not a creation time, has a place for each of its elements.
    """
    values = value if isinstance(value, list) else [value]
    return [each for each in values if scale_of(each) is scale and low <= each < before]


def instant_of(value: object) -> datetime:
    """Return the creation time as an aware datetime. Raises ValueError naming the value."""
    match scale_of(value):
        case Scale.DATE if isinstance(value, datetime):
            return value
        case Scale.TEXT if isinstance(value, str):
            digits = _DIGITS.fullmatch(value)
            assert digits is not None
            whole, finer, fraction = digits.groups()
            return _instant(Decimal(f"{whole}.{finer}{fraction or ''}0"))
        case Scale.SECONDS:
            return _instant(Decimal(str(value)))
        case Scale.MILLISECONDS:
            return _instant(Decimal(str(value)) / 1000)
    raise ValueError(f"{shown(value)} is not a creation time")


def bound(scale: Scale, second: int) -> Any:
    """Return the least value of `scale` in the Unix second `second`: everything before it is earlier."""
    match scale:
        case Scale.TEXT:
            return str(second)
        case Scale.SECONDS:
            return second
        case Scale.MILLISECONDS:
            return second * 1000
        case Scale.DATE:
            return EPOCH + timedelta(seconds=second)


def start_of(scale: Scale) -> Any:
    """Return the least value of the scale."""
    return bound(scale, FIRST_SECOND)


def _instant(seconds: Decimal) -> datetime:
    return EPOCH + timedelta(microseconds=int(seconds * 1_000_000))


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        amount = Decimal(str(value))
    elif hasattr(value, "to_decimal"):  # BSON's Decimal128
        amount = value.to_decimal()
    else:
        return None
    return amount if amount.is_finite() else None


def shown(value: object) -> str:
    """Return a value for a note."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
