"""Jobs from a queue: the one that may run, or its refusal.

What is no job of ours (`job_check`) is put among RQ's failed jobs, where it can be read and never runs; what cannot
even be shown there is deleted. Refusals are counted here until `refused_jobs` has stored them.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from redis import ResponseError
from rq import Queue
from rq.job import Job
from rq.job_lifecycle import record_job_failure

from pushes.names import JobRefusal
from pushes.workers import job_check

log = logging.getLogger(__name__)

#: So many failed jobs of a queue are kept; with a flood of them what is refused is only counted.
MAX_FAILED = 1_000
#: So many are told of one by one until `take_refused` is called; the rest are counted.
MAX_LOGGED = 20


@dataclass(slots=True)
class Tally:
    """How many jobs were refused for one reason, and what was said of the last one."""

    count: int = 0
    detail: str = ""


#: Jobs that this process has refused and nobody has taken note of, by queue and reason.
_refused: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)


def fetch(queue: Queue, job_id: bytes) -> Job | None:
    """The job that was taken from `queue` under this id; None if there is none, or none that may run: that one is
    refused here. Raises redis.RedisError."""
    raw: dict[bytes, bytes] = {}
    try:
        name = _name(job_id)
        raw = raw_job(queue, name)
        if not raw:
            return None  # deleted meanwhile
        job_check.checked_call(raw, queue.name)
    except job_check.RefusedError as error:
        refuse(queue, job_id, raw, error)
        return None
    found = Job(name, connection=queue.connection, serializer=queue.serializer)
    found.restore(raw)
    return found


def _name(job_id: bytes) -> str:
    if not job_check.is_name(job_id):
        raise job_check.RefusedError(JobRefusal.UNREADABLE, f"its id is {job_check.shown(job_id)}")
    return job_id.decode()


def raw_job(queue: Queue, name: str) -> dict[bytes, bytes]:
    """A job's hash as it stands in Redis; empty when there is none. Raises job_check.RefusedError, redis.RedisError."""
    client: Any = queue.connection
    try:
        found: dict[bytes, bytes] = client.hgetall(job_check.JOB_PREFIX + name)
    except ResponseError as error:
        if not job_check.is_wrong_type(error):
            raise
        raise job_check.RefusedError(JobRefusal.UNREADABLE, "its key holds something else than a job") from None
    return found


def refuse(queue: Queue, job_id: bytes, raw: job_check.Raw, error: job_check.RefusedError) -> None:
    """Say so, count it, and put it among the failed jobs of its queue, or away. Raises redis.RedisError."""
    if sum(tally.count for tally in _refused.values()) < MAX_LOGGED:
        log.error("%s: job %s is not run: %s", queue.name, job_check.shown(job_id), error)
    put_back(queue.name, error.reason.value, Tally(1, str(error)))
    if error.reason == JobRefusal.QUEUE:
        return  # where it belongs it may be a job of ours
    if b"data" not in raw or not _recorded(queue, _name(job_id), raw, f"Not run: {error}"):
        client: Any = queue.connection
        client.delete(job_check.JOB_PREFIX.encode() + job_id)


def _recorded(queue: Queue, name: str, raw: job_check.Raw, text: str) -> bool:
    """Keep a harmless copy as a failed job; False when there is no place for it."""
    kept = Job(name, connection=queue.connection, serializer=queue.serializer)
    kept.restore(raw)
    kept.origin, kept.failure_ttl = queue.name, job_check.FAILURE_SECONDS
    client: Any = queue.connection
    try:
        if client.zcard(queue.failed_job_registry.key) >= MAX_FAILED:
            return False
        with client.pipeline() as pipeline:
            pipeline.delete(kept.key)
            record_job_failure(kept, text, pipeline)
            pipeline.execute()
    except ResponseError as error:
        if not job_check.is_wrong_type(error):
            raise
        return False
    return True


def take_refused() -> dict[tuple[str, str], Tally]:
    """What this process has refused since the last call, by queue and reason."""
    taken = dict(_refused)
    _refused.clear()
    number = sum(tally.count for tally in taken.values())
    if number > MAX_LOGGED:
        log.error("%s jobs that are none of ours were refused in all", number)
    return taken


def has_refused() -> bool:
    """Whether there is something to take."""
    return bool(_refused)


def put_back(queue_name: str, reason: str, tally: Tally) -> None:
    """To be taken with the next call of `take_refused`."""
    kept = _refused[queue_name, reason]
    kept.count, kept.detail = kept.count + tally.count, tally.detail
