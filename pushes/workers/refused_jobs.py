"""How many jobs the workers refused: kept in the database, as whoever can plant a job can also clear Redis."""

import logging
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.db.models import F

from pushes import lanes
from pushes.models import RefusedJob
from pushes.storage import clocks
from pushes.workers import job_fetch
from pushes.workers.job_fetch import Tally

log = logging.getLogger(__name__)


def store() -> None:
    """Add what this process has refused since the last call. While the database is away it stays to be added."""
    taken = job_fetch.take_refused()
    if not taken:
        return
    if not connection.in_atomic_block:
        close_old_connections()
    now = clocks.now()
    for (queue_name, reason), tally in sorted(taken.items()):
        try:
            _add(_lane_of(queue_name), reason, tally, now)
        except DatabaseError as error:
            log.warning("%s: refused jobs are not counted yet: %s", queue_name, error)
            job_fetch.put_back(queue_name, reason, tally)


def _add(lane: str, reason: str, tally: Tally, now: datetime) -> None:
    last = {"last_at": now, "detail": tally.detail[:300]}
    row, _is_new = RefusedJob.objects.get_or_create(lane=lane, reason=reason, defaults=last)
    RefusedJob.objects.filter(pk=row.pk).update(count=F("count") + tally.count, **last)


def _lane_of(queue_name: str) -> str:
    return next(lane for lane in lanes.LANES if queue_name in lanes.queue_names(lane, settings.QUEUE_MAX))


def totals() -> Mapping[tuple[str, str], int]:
    """How many in all, by lane and reason."""
    return {(lane, reason): count for lane, reason, count in RefusedJob.objects.values_list("lane", "reason", "count")}


def since(moment: datetime) -> list[RefusedJob]:
    """Those reasons for which a job was refused since then, the latest first."""
    return list(RefusedJob.objects.filter(last_at__gte=moment).order_by("-last_at"))
