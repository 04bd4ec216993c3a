"""What somebody else has put where RQ keeps its own and RQ cannot read: values of another type, names that are none.

One such entry keeps a whole queue's page from being shown, and a worker from looking after its registries. Whoever
stumbles over it takes all of it away; what is only a job of somebody else's is `job_check`'s matter.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from redis import RedisError
from rq import Queue, Worker
from rq.registry import DeferredJobRegistry, FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from pushes.names import JobRefusal
from pushes.workers import job_check, job_fetch

log = logging.getLogger(__name__)

READ_AT_ONCE = 1_000
#: The year 3000, in the scores of registries: their pages show dates, and there are none far beyond.
NO_DATE = 32_503_680_000
_JOB, _EXECUTION = re.compile(rb"[A-Za-z0-9_-]{1,200}"), re.compile(rb"[A-Za-z0-9_-]{1,200}:[A-Za-z0-9_-]{1,200}")
_REGISTRIES = (DeferredJobRegistry, FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry)
_WORKER = re.compile(rb"rq:worker:[\w.-]{1,250}")


def clear(queues: Sequence[Queue]) -> int:
    """Of these queues, all on one server. Returns how much was taken away. Raises redis.RedisError."""
    client: Any = queues[0].connection
    number = clear_type(client, REDIS_WORKER_KEYS, b"set") + _clear_workers(client, REDIS_WORKER_KEYS)
    return number + sum(_clear_queue(client, queue) for queue in queues)


def clear_type(client: Any, key: str, kind: bytes) -> int:
    """Take away what is of another type than `kind`, if it is. Returns how much that was. Raises redis.RedisError."""
    found = client.type(key)
    if found in (kind, b"none"):
        return 0
    log.error("%s: a %s where a %s belongs, removed", key, found.decode(), kind.decode())
    client.delete(key)
    return 1


def _clear_queue(client: Any, queue: Queue) -> int:
    members = WORKERS_BY_QUEUE_KEY % queue.name
    number = clear_type(client, queue.key, b"list") + clear_type(client, members, b"set")
    number += _clear_workers(client, members)
    for entry in _unreadable(client, client.lrange(queue.key, 0, -1), _JOB):
        client.lrem(queue.key, 0, entry)
        job_fetch.refuse(
            queue, entry, {}, job_check.RefusedError(JobRefusal.UNREADABLE, "its id or key cannot be read")
        )
        number += 1
    number += _clear_registry(client, queue.started_job_registry.key, _EXECUTION)
    return number + sum(_clear_registry(client, registry(queue=queue).key, _JOB) for registry in _REGISTRIES)


def _clear_registry(client: Any, key: str, form: re.Pattern[bytes]) -> int:
    number = clear_type(client, key, b"zset")
    number += int(client.zremrangebyscore(key, NO_DATE, "+inf"))
    gone = list(_unreadable(client, client.zrange(key, 0, -1), form))
    if gone:
        log.error("%s: %s entries that cannot be read, removed", key, len(gone))
        client.zrem(key, *gone)
    return number + len(gone)


def _clear_workers(client: Any, key: str) -> int:
    """Of a set of workers' keys, those of which none can be made."""
    gone = [name for name in client.smembers(key) if not _is_worker(client, name)]
    if gone:
        log.error("%s: %s entries that are no workers, removed", key, len(gone))
        client.srem(key, *gone)
    return len(gone)


def _is_worker(client: Any, name: bytes) -> bool:
    """Whether there is one, or may have been."""
    if not _WORKER.fullmatch(name):
        return False
    try:
        found = Worker.find_by_key(name.decode(), connection=client)
    except Exception as error:
        if isinstance(error, RedisError) and not job_check.is_wrong_type(error):
            raise
        return False
    return found is None or None not in (found.birth_date, found.last_heartbeat)


def _unreadable(client: Any, entries: Sequence[bytes], form: re.Pattern[bytes]) -> Iterator[bytes]:
    """Those that are not of the form, or whose job's key holds something else."""
    for start in range(0, len(entries), READ_AT_ONCE):
        part = entries[start : start + READ_AT_ONCE]
        pipeline = client.pipeline(transaction=False)
        for entry in part:
            pipeline.type(job_check.JOB_PREFIX.encode() + entry.partition(b":")[0])
        for entry, kind in zip(part, pipeline.execute(), strict=True):
            if not form.fullmatch(entry) or kind not in (b"hash", b"none"):
                yield entry
