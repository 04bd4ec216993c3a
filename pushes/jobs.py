"""RQ's entry points. Thin, safe to run twice, and imported by nobody: `job_check` names them by path, and a worker runs
nothing else."""

from django.conf import settings
from django.db import close_old_connections

from pushes import lanes
from pushes.broadcasts import expansion
from pushes.distribution import distribute as distribution
from pushes.history import exports
from pushes.sending import job
from pushes.workers import queues, threads
from pushes.workers.threads import Stream


def distribute(record_ids: list[int]) -> None:
    close_old_connections()
    stream = Stream(queues.current_queue(), is_ordered=True)
    for batch in queues.absorb_waiting(record_ids):
        threads.distribute(distribution.distribute, batch, stream)


def send(delivery_ids: list[int]) -> None:
    origin = queues.current_queue()
    # What must leave in order goes to one device, and so under one app key; two keys need not wait for each other.
    is_ordered = origin in lanes.ordered_queues(settings.QUEUE_MAX)
    stream = Stream(f"{origin}:{queues.current_app_key()}", is_ordered)
    for batch in queues.absorb_waiting(delivery_ids):
        threads.send(job.deliver, batch, stream)


def expand_broadcast(broadcast_id: int) -> None:
    close_old_connections()
    expansion.expand(broadcast_id)


def write_export(export_id: int) -> None:
    close_old_connections()
    exports.write(export_id)
