"""RQ's entry points: thin, and safe to run twice. No module imports them: `job_check` names them by path, and a worker
runs nothing else."""

from django.conf import settings
from django.db import close_old_connections

from pushes import lanes
from pushes.broadcasts import expansion
from pushes.distribution.distribute import distribute as distribute_records
from pushes.history import exports
from pushes.sending import job
from pushes.workers import queues, threads
from pushes.workers.threads import OrPutBack, Stream


def distribute(record_ids: list[int]) -> None:
    close_old_connections()
    origin = queues.current_queue()
    work = OrPutBack(distribute_records, origin, queues.DISTRIBUTE_JOB)
    for batch in queues.absorb_waiting(record_ids):
        threads.distribute(work, batch, Stream(origin, is_ordered=True))


def send(delivery_ids: list[int]) -> None:
    origin = queues.current_queue()
    # Ordered pushes go to one device, and so use one app key; different keys need not wait for each other.
    is_ordered = origin in lanes.ordered_queues(settings.QUEUE_MAX)
    key_id = queues.current_app_key()
    work = OrPutBack(job.deliver, origin, queues.SEND_JOB, key_id)
    for batch in queues.absorb_waiting(delivery_ids):
        threads.send(work, batch, Stream(f"{origin}:{key_id}", is_ordered))


def expand_broadcast(broadcast_id: int) -> None:
    close_old_connections()
    expansion.expand(broadcast_id)


def write_export(export_id: int) -> None:
    close_old_connections()
    exports.write(export_id)
