"""Jobs that have failed, of one queue: what they were, why they failed; run them again, delete them.

A stranger's jobs are among them, so all is read as plain data and no further than a page shows. What is no job of
ours never goes back to its queue.
"""

import zlib
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from redis import ResponseError
from rq import Queue
from rq.exceptions import InvalidJobOperation
from rq.job import Job

from pushes.names import JobRefusal
from pushes.storage import batches, shared_redis
from pushes.workers import foreign_values, job_check, job_fetch, queues

#: So many are run again or deleted at once.
MAX_AT_ONCE = 1_000
MAX_ERROR_BYTES = 50_000
DELETED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class FailedJob:
    """`call` is what it calls, None when nobody can read that; `refusal`, why it is no job of ours, and may not run."""

    id: str
    call: job_check.Call | None
    refusal: JobRefusal | None
    failed_at: datetime | None
    error: str

    @property
    def last_line(self) -> str:
        """Of the traceback: the error itself."""
        return self.error.strip().rpartition("\n")[2]


def numbers(names: Sequence[str]) -> dict[str, int]:
    """How many have failed in each of the named queues. Raises redis.RedisError."""
    return queues.counted(names, lambda pipeline, name: pipeline.zcard(_registry_key(name)))


def entries(queue_name: str, most: int = MAX_AT_ONCE) -> list[bytes]:
    """The ids of those that failed last, as they stand in Redis. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    key = _registry_key(queue_name)
    found: list[bytes] = queues.unless_strange(lambda: client.zrevrange(key, 0, most - 1), [])
    return found


def latest(queue_name: str, most: int) -> list[FailedJob]:
    """Those that failed last, but no entries that are no ids. Raises redis.RedisError."""
    return _read(queue_name, [name.decode() for name in entries(queue_name, most) if job_check.is_name(name)])


def find(queue_name: str, job_id: str) -> FailedJob | None:
    """None when there is no such job, or it has not failed. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    key = _registry_key(queue_name)
    is_there = job_check.is_name(job_id.encode(errors="replace")) and queues.unless_strange(
        lambda: client.zscore(key, job_id), None
    )
    return _read(queue_name, [job_id])[0] if is_there else None


def _read(queue_name: str, job_ids: Sequence[str]) -> list[FailedJob]:
    pipeline: Any = shared_redis.connection().pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.hgetall(job_check.JOB_PREFIX + job_id)
        pipeline.xrevrange(f"rq:results:{job_id}", count=1)
    found = pipeline.execute(raise_on_error=False)
    return [
        _failed_job(queue_name, job_id, queues.known(raw, otherwise={}), queues.known(results, otherwise=[]))
        for job_id, raw, results in zip(job_ids, found[::2], found[1::2], strict=True)
    ]


def _failed_job(queue_name: str, job_id: str, raw: job_check.Raw, results: list[Any]) -> FailedJob:
    refusal = None
    try:
        job_check.checked_call(raw, queue_name)
    except job_check.RefusedError as error:
        refusal = error.reason
    entry, fields = results[0] if results else (b"", None)
    return FailedJob(job_id, job_check.read_call(raw), refusal, _moment(entry), _error(fields or {}))


def _error(fields: job_check.Raw) -> str:
    """The text that RQ keeps packed; "" when there is none, or somebody else's value stands in its place."""
    try:
        packed = b64decode(fields.get(b"exc_string", b""))
        text = zlib.decompressobj().decompress(packed, MAX_ERROR_BYTES)
    except (ValueError, zlib.error):
        return ""
    return text.decode(errors="replace")


def _moment(entry: bytes) -> datetime | None:
    """When an entry of a stream was made, which its id begins with, in milliseconds."""
    digits = entry.partition(b"-")[0]
    if not digits.isdigit() or len(digits) > 20 or int(digits) >= foreign_values.NO_DATE * 1_000:
        return None
    return datetime.fromtimestamp(int(digits) / 1_000, timezone.utc)


def requeue(queue_name: str, job_ids: Iterable[bytes]) -> int:
    """Put these back into their queue, as far as they are still failed and jobs of ours. Returns how many that were.
    Raises redis.RedisError."""
    return sum(_goes_back(queues.queue(queue_name), job_id.decode()) for job_id in job_ids if job_check.is_name(job_id))


def _goes_back(queue: Queue, job_id: str) -> bool:
    try:
        raw = job_fetch.raw_job(queue, job_id)
        job_check.checked_call(raw, queue.name)
        job = Job(job_id, connection=queue.connection, serializer=queue.serializer)
        job.restore(raw)
        queue.failed_job_registry.requeue(job)
    except (job_check.RefusedError, InvalidJobOperation):
        return False
    except ResponseError as error:
        if not job_check.is_wrong_type(error):
            raise
        return False
    return True


def delete(queue_name: str, job_ids: Iterable[bytes]) -> int:
    """Forget these, as far as they are still failed, and all that RQ keeps of them. Returns how many that were.
    Raises redis.RedisError."""
    return sum(_deleted(queue_name, part) for part in batches.chunks(list(job_ids), DELETED_AT_ONCE))


def _deleted(queue_name: str, job_ids: Sequence[bytes]) -> int:
    client: Any = shared_redis.connection()
    pipeline = client.pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.zrem(_registry_key(queue_name), job_id)
    answers = [queues.known(answer, otherwise=0) for answer in pipeline.execute(raise_on_error=False)]
    gone = [job_id for job_id, is_removed in zip(job_ids, answers, strict=True) if is_removed]
    if gone:
        client.delete(*(key for job_id in gone for key in _keys(job_id)))
    return len(gone)


def _keys(job_id: bytes) -> Iterable[bytes]:
    own = job_check.JOB_PREFIX.encode() + job_id
    return own, own + b":dependents", own + b":dependencies", b"rq:results:" + job_id, b"rq:executions:" + job_id


def _registry_key(queue_name: str) -> str:
    return f"rq:failed:{queue_name}"
