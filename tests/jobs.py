"""Run RQ jobs in the test's own process."""

from django.conf import settings
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job_lifecycle import record_job_failure
from rq.serializers import JSONSerializer

from pushes import lanes
from pushes.workers import job_check
from pushes.workers import queues as own_queues

MAX_ROUNDS = 100


def run_all_jobs(*, allow_failed: bool = False) -> int:
    """Run the pending jobs of every lane, and those that they enqueue, until none is left.

    Returns how many ran. Raises AssertionError with the traceback of a job that failed, unless
    `allow_failed`, and when jobs go on enqueueing jobs.
    """
    # A worker is full of references to itself: left to the garbage collector, its connections would be
    # reported as unclosed at some later test's expense.
    with Redis.from_url(settings.REDIS_URL) as client:
        queues = all_queues(client)
        ran = _run_until_empty(queues, client)
        if not allow_failed:
            _raise_for_failures(queues)
    return ran


def all_queues(client: Redis) -> list[Queue]:
    names = [name for lane in lanes.LANES for name in lanes.queue_names(lane, settings.QUEUE_MAX)]
    return [Queue(name, connection=client, serializer=JSONSerializer) for name in names]


def _run_until_empty(queues: list[Queue], client: Redis) -> int:
    ran = 0
    for _round in range(MAX_ROUNDS):
        if not any(queue.count for queue in queues):
            return ran
        worker = SimpleWorker(queues, connection=client, serializer=JSONSerializer)
        worker.work(burst=True, logging_level="ERROR")
        worker.refresh()  # the counts are kept in Redis
        ran += worker.successful_job_count + worker.failed_job_count
    raise AssertionError(f"jobs still enqueue jobs after {MAX_ROUNDS} rounds")


def _raise_for_failures(queues: list[Queue]) -> None:
    for queue in queues:
        for job_id in queue.failed_job_registry.get_job_ids():
            job = queue.fetch_job(job_id)
            result = job.latest_result() if job is not None else None
            raise AssertionError(f"job {job_id} of {queue.name} failed:\n{result.exc_string if result else ''}")


def make_failed_job(
    queue_name: str, ids: list[int], error: str = "ValueError: it failed", job_id: str | None = None
) -> str:
    """A send job of that queue which has failed with `error`. Returns its id."""
    queue = own_queues.queue(queue_name)
    job = queue.enqueue(job_check.SEND_JOB, ids, failure_ttl=job_check.FAILURE_SECONDS, job_id=job_id)
    queue.remove(job)
    with queue.connection.pipeline() as pipeline:
        record_job_failure(job, error, pipeline)
        pipeline.execute()
    return str(job.id)
