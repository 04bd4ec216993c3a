"""Records whose distribute job is lost, found in a lane that is too busy to tell by its silence.

In a quiet lane a record that still waits has no job. In a busy one it may wait in a long queue like all the others, so
the jobs that wait there are read: a record that none of them is about, in two looks, is nobody's any more. (In one
look it may be in the hands of a worker that has just taken its job.) A healthy queue, however deep, is left as it is.
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
#: In STUCK_SECONDS: how old a record is before it is looked for, and how far two looks are apart. So a lost one is
#: found when it is four times STUCK_SECONDS old, which is a minute by default.
AGE, SPACING = 2, 1


class Watch:
    """What one sweeper has seen so far. Lost with its process, which costs two more looks."""

    def __init__(self) -> None:
        self._missing: set[int] = set()
        self._looked_at: datetime | None = None

    def look(self, busy: Collection[str], now: datetime, *, most: int) -> list[Stray]:
        """Those, `most` at a time, that are to be enqueued again; the oldest first. Raises redis.RedisError."""
        stuck = timedelta(seconds=settings.STUCK_SECONDS)
        if self._looked_at is not None and now < self._looked_at + SPACING * stuck:
            return []
        self._looked_at = now
        waiting = PushRecord.objects.filter(status=RecordStatus.PENDING, kind__in=list(busy))
        old = waiting.filter(created_at__lte=now - AGE * stuck).order_by("id")
        candidates = list(old.values_list("kind", "shard", "id")[:most]) if busy else []
        missing = _without_a_job(candidates)
        lost = [row for row in candidates if row[-1] in missing and row[-1] in self._missing]
        # What is enqueued now is missing anew only if it is missed twice again.
        self._missing = missing.difference(pk for _, _, pk in lost)
        return lost


def _without_a_job(candidates: Collection[Stray]) -> set[int]:
    """The ids of those that no waiting job is about."""
    kinds, missing = {kind for kind, _, _ in candidates}, {pk for _, _, pk in candidates}
    names = [lanes.distribute_queue(kind, shard) for kind in kinds for shard in lanes.shards(kind, settings.QUEUE_MAX)]
    for ids in queues.waiting_ids(names, queues.DISTRIBUTE_JOB):
        missing.difference_update(ids)
    return missing
