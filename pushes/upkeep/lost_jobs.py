"""Find records whose distribute job was lost, in a busy lane.

In a quiet lane every waiting record has lost its job. In a busy lane its job may still wait in a long queue, so the
waiting jobs are read: a record that is in none of them, in two looks, has no job any more. (At the time of one look a
worker may just have taken its job.) A healthy queue, however deep, is not touched.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings

from pushes import lanes
from pushes.models import PushRecord
from pushes.names import RecordStatus
from pushes.workers import queues

#: Lane, shard and id.
Stray = tuple[str, int, int]
#: In STUCK_SECONDS: the age from which a record is looked for, and the time between two looks. So a lost record is
#: found when it is four times STUCK_SECONDS old, which is a minute by default.
AGE, SPACING = 2, 1


class Watch:
    """What one sweeper has seen so far. It is lost with the process, which costs two more looks."""

    def __init__(self) -> None:
        self._missing: set[int] = set()
        self._looked_at: datetime | None = None

    def look(self, busy: Collection[str], now: datetime, *, most: int) -> list[Stray]:
        """Return at most `most` records to enqueue again, oldest first. Raises redis.RedisError."""
        stuck = timedelta(seconds=settings.STUCK_SECONDS)
        if self._looked_at is not None and now < self._looked_at + SPACING * stuck:
            return []
        self._looked_at = now
        waiting = PushRecord.objects.filter(status=RecordStatus.PENDING, kind__in=list(busy))
        old = waiting.filter(created_at__lte=now - AGE * stuck).order_by("id")
        candidates = list(old.values_list("kind", "shard", "id")[:most]) if busy else []
        missing = _without_a_job(candidates)
        lost = [row for row in candidates if row[-1] in missing and row[-1] in self._missing]
        # A record that is enqueued now counts as lost again only after two more looks.
        self._missing = missing.difference(pk for _, _, pk in lost)
        return lost


def _without_a_job(candidates: Collection[Stray]) -> set[int]:
    """Return the ids of the records that are in no waiting job."""
    kinds, missing = {kind for kind, _, _ in candidates}, {pk for _, _, pk in candidates}
    names = [lanes.distribute_queue(kind, shard) for kind in kinds for shard in lanes.shards(kind, settings.QUEUE_MAX)]
    for ids in queues.waiting_ids(names, queues.DISTRIBUTE_JOB):
        missing.difference_update(ids)
    return missing
