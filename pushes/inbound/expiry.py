"""Read when a producer's push expires: `expires_at`, a moment, or `ttl`, a duration. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import get_default_timezone

from pushes.text import ids
from pushes.text.notes import Note, NotedError
from pushes.text.sentences import Sentence

#: No provider keeps a message for longer; a longer time is cut to this.
MAX_SECONDS = 259_200
#: Since 2001 Unix seconds have ten digits; a smaller number is not a plausible time.
FIRST_SECOND, LAST_SECOND, FIRST_MILLISECOND = 10**9, 5 * 10**9, 10**12
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,30})?")
#: Newer versions of Python also parse plain digits as a date.
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
#: MySQL's zero date: no time.
_NO_DATE = "0000-00-00"
_EXAMPLES = "2026-11-27T18:00:00+08:00, 2026-11-27 18:00:00 (in TIME_ZONE) or Unix seconds"


class ExpiryError(NotedError, ValueError):
    """A field that cannot be used; `note` says what is wrong with the value, and what is accepted."""

    def __init__(self, field: str, note: Note) -> None:
        super().__init__(note)
        self.field = field


def read(fields: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when the push expires; None when the producer does not say. The time may have passed: such a push is
    accepted and expires, so that a repeated message stays a duplicate. If both fields are given, the earlier counts.
    Raises ExpiryError."""
    wanted = [moment for moment in (_moment(fields.get("expires_at")), _after(fields.get("ttl"), now)) if moment]
    return min(*wanted, now + timedelta(seconds=MAX_SECONDS)) if wanted else None


def _after(value: Any, now: datetime) -> datetime | None:
    seconds = _number(value)
    if seconds == 0 or _is_nothing(value):
        return None
    if seconds is None or seconds >= FIRST_SECOND:
        raise ExpiryError("ttl", Note(Sentence.NOT_A_DURATION, value=ids.shown(value)))
    return now + timedelta(seconds=min(seconds, MAX_SECONDS))


def _moment(value: Any) -> datetime | None:
    number = _number(value)
    if number == 0 or _is_nothing(value):
        return None
    moment = _written(value) if number is None else _counted(number)
    if moment is None:
        note = Note(Sentence.NOT_A_MOMENT, value=ids.shown(value), examples=_EXAMPLES)
        raise ExpiryError("expires_at", note)
    return moment


def _is_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip() or value.strip().startswith(_NO_DATE)
    return value is None or value is False


def _number(value: Any) -> float | None:
    """Return a number; 0 is PHP's `intval(null)` and counts as not given."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _counted(number: float) -> datetime | None:
    """Read Unix seconds or milliseconds."""
    seconds = number / 1000 if number >= FIRST_MILLISECOND else number
    return datetime.fromtimestamp(seconds, timezone.utc) if FIRST_SECOND <= seconds < LAST_SECOND else None


def _written(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _DATE.match(value.strip()):
        return None
    try:
        moment = parse_datetime(value.strip())
    except ValueError:
        return None
    if moment is None or moment.year <= 2001:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=get_default_timezone())
