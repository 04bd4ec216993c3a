"""Run RQ jobs in the test's own process."""

import django_rq
from django.conf import settings
from rq import Queue, SimpleWorker

from pushes import lanes

MOST_ROUNDS = 100


def all_queues() -> list[Queue]:
    names = [name for lane in lanes.LANES for name in lanes.queue_names(lane, settings.QUEUE_MAX)]
    return [django_rq.get_queue(name) for name in names]


def run_all_jobs(*, allow_failed: bool = False) -> int:
    """Run the pending jobs of every lane, and those that they enqueue, until none is left.

    Returns how many ran. Raises AssertionError with the traceback of a job that failed, unless
    `allow_failed`, and when jobs go on enqueueing jobs.
    """
    queues, ran = all_queues(), 0
    for _round in range(MOST_ROUNDS):
        waiting = sum(queue.count for queue in queues)
        if waiting == 0:
            break
        worker = SimpleWorker(queues, connection=queues[0].connection, serializer=queues[0].serializer)
        worker.work(burst=True, logging_level="ERROR")
        worker.refresh()  # the counts are kept in Redis
        ran += worker.successful_job_count + worker.failed_job_count
    else:
        raise AssertionError(f"jobs still enqueue jobs after {MOST_ROUNDS} rounds")
    if not allow_failed:
        _raise_for_failures(queues)
    return ran


def _raise_for_failures(queues: list[Queue]) -> None:
    for queue in queues:
        for job_id in queue.failed_job_registry.get_job_ids():
            job = queue.fetch_job(job_id)
            result = job.latest_result() if job is not None else None
            raise AssertionError(f"job {job_id} of {queue.name} failed:\n{result.exc_string if result else ''}")
