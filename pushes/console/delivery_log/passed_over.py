"""Count the recipients that one kind of push skipped, and why: from the counters, never from the log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from pushes.console.delivery_log.pushes import deliveries_url
from pushes.console.site.filters import ended_between
from pushes.history.log_query import NO_REASON
from pushes.models import MinuteCount
from pushes.names import Status, reason_words

HOURS = 24


@dataclass(frozen=True, slots=True)
class Refused:
    """A number of skipped deliveries; `url` leads to them in the delivery log."""

    reason: str
    meaning: str
    count: int
    url: str


def of_kind(kind: str, now: datetime) -> list[Refused]:
    """Count one kind's skipped deliveries of the last HOURS hours by reason, the most frequent first."""
    begins = (now - timedelta(hours=HOURS)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    rows = MinuteCount.objects.filter(
        granularity=MinuteCount.Granularity.MINUTE,
        bucket_at__gte=begins,
        kind=kind,
        event=Status.SKIPPED,
    )
    found = rows.order_by().values_list("reason").annotate(total=Sum("count"))
    return [
        Refused(
            reason,
            reason_words(Status.SKIPPED, reason),
            total,
            deliveries_url(
                kind__exact=kind, status__exact=Status.SKIPPED, reason=reason or NO_REASON, **ended_between(begins, now)
            ),
        )
        for reason, total in sorted(found, key=lambda row: -row[1])
    ]
