"""Which recipients of one kind of push were passed over, and why: from the counters, never from the log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from pushes.admin.records import deliveries_url
from pushes.models import Counter
from pushes.names import Reason, Status

WITHIN = "24h"
HOURS = 24


@dataclass(frozen=True, slots=True)
class Refused:
    """`url` leads to these rows of the delivery log."""

    reason: str
    meaning: str
    count: int
    url: str


def of_kind(kind: str, now: datetime) -> list[Refused]:
    """The last HOURS hours' skipped deliveries of one kind by reason, the most frequent first."""
    rows = Counter.objects.filter(
        granularity=Counter.Granularity.MINUTE,
        bucket_at__gte=now - timedelta(hours=HOURS),
        kind=kind,
        event=Status.SKIPPED,
    )
    found = rows.order_by().values_list("reason").annotate(total=Sum("count"))
    labels = dict(Reason.choices)
    return [
        Refused(
            reason,
            str(labels.get(reason, reason)),
            total,
            deliveries_url(within=WITHIN, kind__exact=kind, status__exact=Status.SKIPPED, reason=reason),
        )
        for reason, total in sorted(found, key=lambda row: -row[1])
    ]
