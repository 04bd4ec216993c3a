"""Find rows that are due later than their reason allows: a machine with a wrong clock wrote them. They are made due
now; a row that really has to wait is postponed again when it is claimed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from pushes.models import DeliveryResult
from pushes.names import Reason, Status
from pushes.providers.answers import MAX_RETRY_AFTER_SECONDS

#: A due time beyond the possible by more than this was written by a wrong clock.
CLOCK_TOLERANCE = timedelta(minutes=5)
#: Rows of a paused broadcast are due years ahead; nothing else is due that late.
HORIZON = timedelta(days=365)
MAX_ROWS = 5_000
#: A window opens within a day, or within two if a clock change skips it, plus an hour or two.
MAX_NIGHT = timedelta(hours=50)


class _Row(NamedTuple):
    id: int
    status: str
    reason: str
    due_at: datetime
    sent_at: datetime | None


def bring_back(now: datetime) -> int:
    """Make such rows due now. Returns how many."""
    limits: dict[Status, Callable[[_Row], timedelta]] = {
        Status.PENDING: lambda _row: timedelta(),
        Status.RETRYING: _longest_retry,
        Status.HELD: _longest_hold,
    }
    return sum(_bring_back(status, limit, now) for status, limit in limits.items())


def _bring_back(status: Status, limit: Callable[[_Row], timedelta], now: datetime) -> int:
    ahead = DeliveryResult.objects.filter(
        status=status, due_at__gt=now + CLOCK_TOLERANCE, due_at__lt=now + HORIZON, expires_at__gt=now
    )
    farthest = map(_Row._make, ahead.order_by("-due_at").values_list(*_Row._fields)[:MAX_ROWS])
    found = [row.id for row in farthest if _is_postdated(row, limit(row), now)]
    return ahead.filter(id__among=found).update(due_at=now) if found else 0


def _is_postdated(row: _Row, limit: timedelta, now: datetime) -> bool:
    was_sent_tomorrow = row.sent_at is not None and row.sent_at > now + CLOCK_TOLERANCE
    return row.due_at > now + limit + CLOCK_TOLERANCE or (row.status == Status.RETRYING and was_sent_tomorrow)


def _longest_retry(row: _Row) -> timedelta:
    if row.reason == Reason.THROTTLED:
        return HORIZON  # a row postponed by the key's rate has no limit: it waits for all rows before it
    wish = MAX_RETRY_AFTER_SECONDS if row.reason == Reason.PROVIDER_BUSY else 0.0
    return timedelta(seconds=max(wish, settings.RETRY_MOST_SECONDS, settings.BREAKER_MOST_SECONDS))


def _longest_hold(row: _Row) -> timedelta:
    if row.reason == Reason.ONLINE:
        return timedelta(seconds=max(settings.GRACE_SECONDS.values()))
    if row.reason == Reason.COALESCED:
        return timedelta(seconds=settings.COALESCE_SECONDS)
    return MAX_NIGHT
