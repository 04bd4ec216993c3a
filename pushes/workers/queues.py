"""Queues and jobs. The only module that imports django_rq; jobs are always enqueued after commit.

A job carries only row ids. When Redis cannot be reached after a commit, that is logged, and the sweeper enqueues the
rows later: an accepted push never depends on Redis.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache, partial
from typing import Any, TypeVar

import django_rq
from django.conf import settings
from django.db import transaction
from redis import Redis, RedisError, ResponseError
from rq import Queue, get_current_job
from rq.timeouts import JobTimeoutException
from rq.utils import utcparse

from pushes import lanes
from pushes.storage import batches, outages, shared_redis
from pushes.workers import job_check, job_fetch

log = logging.getLogger(__name__)
T = TypeVar("T")

DISTRIBUTE_JOB, SEND_JOB = job_check.DISTRIBUTE_JOB, job_check.SEND_JOB
EXPAND_JOB, EXPORT_JOB = job_check.EXPAND_JOB, job_check.EXPORT_JOB
JOB_PATHS = job_check.JOB_PATHS
#: Raised inside a job that takes longer than its time-out.
JobTimeout: type[Exception] = JobTimeoutException
#: A larger batch would keep rows from a lane's other processes for too long.
BATCHES_PER_RUN = 4
JOBS_READ_AT_ONCE = 20
#: RQ's own names: the set of registered workers, and a key for each live one.
WORKERS_KEY = "rq:workers"
WORKER_PREFIX, JOB_PREFIX = "rq:worker:", job_check.JOB_PREFIX
#: Written to see whether Redis accepts writes.
WRITTEN_KEY, WRITTEN_SECONDS = "higo:written", 60
#: The enqueue time of a job that has none, and the value for an empty queue.
EARLIEST, LATEST = datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc)


class _Told:
    """Whether this process has logged that Redis accepts no jobs."""

    is_away = False


@lru_cache(maxsize=512)
def _queue(name: str, client: Redis) -> Queue:
    found: Queue = django_rq.get_queue(name, connection=client)
    return found


def queue(name: str) -> Queue:
    return _queue(name, shared_redis.connection())


def passes(error: BaseException) -> bool:
    """Whether a job's error is temporary: the same work may succeed the next time."""
    return isinstance(error, RedisError | JobTimeout) or outages.passes(error)


def must_wait(error: BaseException) -> bool:
    """Whether the error is not the fault of the work: it is temporary, or an operator has to fix the tables."""
    return passes(error) or outages.concerns_everything(error)


def current_queue() -> str:
    """Return the name of the running job's queue; "" outside jobs."""
    job = get_current_job()
    return job.origin if job is not None else ""


def current_app_key() -> int | None:
    """Return the app key of the running send job's deliveries; None outside jobs, and for jobs without one."""
    job = get_current_job()
    return job.meta.get("app_key_id") if job is not None else None


def enqueue_distribute(lane: str, shard: int, record_ids: Sequence[int], *, is_urgent: bool = False) -> None:
    """Enqueue these records for distribution after the current transaction commits; urgent ones at the front of the
    queue."""
    _after_commit(lanes.distribute_queue(lane, shard), DISTRIBUTE_JOB, record_ids, is_urgent=is_urgent)


def enqueue_send(
    lane: str, shard: int, delivery_ids: Sequence[int], *, app_key_id: int | None = None, is_urgent: bool = False
) -> None:
    """Enqueue these deliveries, all of one app key, for sending after the current transaction commits; urgent ones at
    the front of the queue."""
    _after_commit(lanes.send_queue(lane, shard), SEND_JOB, delivery_ids, app_key_id, is_urgent)


def enqueue_expansion(broadcast_id: int) -> None:
    """Enqueue the expansion of a launched broadcast's audience into deliveries, a chunk at a time."""
    transaction.on_commit(
        partial(_enqueue, lanes.distribute_queue(lanes.BROADCAST), EXPAND_JOB, [broadcast_id], split=False)
    )


def enqueue_export(export_id: int) -> None:
    """Enqueue the next piece of an export."""
    transaction.on_commit(partial(_enqueue, lanes.EXPORT_QUEUE, EXPORT_JOB, [export_id], split=False))


def put_back(queue_name: str, job_path: str, ids: Sequence[int], app_key_id: int | None) -> None:
    """Enqueue the ids of a job that its process could not do, at the front: another process may."""
    _enqueue(queue_name, job_path, list(ids), app_key_id=app_key_id, is_urgent=True)


def absorb_waiting(ids: Sequence[int]) -> list[list[int]]:
    """Return `ids` of the running job, and of the next waiting jobs of the same kind and app key in its queue, as at
    most BATCHES_PER_RUN batches of at most JOB_SIZE.

    RQ spends some 75 commands on a job, whether it has one row or hundreds; taking another job here costs three. So
    under load small jobs become one batch, and full ones run together. A crash in here loses jobs, not rows: the
    sweeper enqueues them again. Raises redis.RedisError."""
    batches, job = [list(ids)], get_current_job()
    if job is None:
        return batches
    source = queue(job.origin)
    client: Any = shared_redis.connection()
    while (job_id := client.lpop(source.key)) is not None:
        following = job_fetch.fetch(source, job_id)
        if following is None:
            continue
        is_alike = (following.func_name, following.meta) == (job.func_name, job.meta)
        if not is_alike or not _taken_in(batches, following.args[0]):
            client.lpush(source.key, job_id)
            break
        client.delete(following.key)
    return batches


def _taken_in(batches: list[list[int]], ids: list[int]) -> bool:
    """Add `ids` to the last batch, or as a new one; False when there is no room for either."""
    if len(batches[-1]) + len(ids) <= settings.JOB_SIZE:
        batches[-1] += ids
        return True
    if len(batches) < BATCHES_PER_RUN:
        batches.append(list(ids))
        return True
    return False


def _after_commit(
    queue_name: str, job_path: str, ids: Sequence[int], app_key_id: int | None = None, is_urgent: bool = False
) -> None:
    if ids:
        enqueue = partial(_enqueue, queue_name, job_path, list(ids), app_key_id=app_key_id, is_urgent=is_urgent)
        transaction.on_commit(enqueue)


def _enqueue(
    queue_name: str,
    job_path: str,
    ids: list[int],
    *,
    app_key_id: int | None = None,
    split: bool = True,
    is_urgent: bool = False,
) -> None:
    target = queue(queue_name)
    try:
        if not split:
            target.enqueue(job_path, *ids, description=job_path, failure_ttl=job_check.FAILURE_SECONDS)
            _Told.is_away = False
            return
        jobs = [
            Queue.prepare_data(
                job_path,
                (chunk,),
                description=f"{job_path} {len(chunk)}",
                meta={"app_key_id": app_key_id},
                result_ttl=60,
                failure_ttl=job_check.FAILURE_SECONDS,
                timeout=600,
                at_front=is_urgent,
            )
            for chunk in batches.chunks(ids, settings.JOB_SIZE)
        ]
        target.enqueue_many(jobs)
    except RedisError as error:
        # Once per outage: the sweeper retries everything in each round.
        level = logging.DEBUG if _Told.is_away else logging.WARNING
        log.log(level, "%s: not enqueued, the sweeper will do it (%s)", queue_name, error)
        _Told.is_away = True
    else:
        _Told.is_away = False


def unless_strange(read: Callable[[], T], otherwise: T) -> T:
    """Return what `read` finds in Redis; `otherwise` when a foreign value of another type is there. Raises
    redis.RedisError."""
    try:
        return read()
    except ResponseError as error:
        if not job_check.is_wrong_type(error):
            raise
        return otherwise


def depths(names: Sequence[str]) -> dict[str, int]:
    """Count the jobs waiting in each of the named queues. Raises redis.RedisError."""
    return counted(names, lambda pipeline, name: pipeline.llen(f"rq:queue:{name}"))


def counted(names: Sequence[str], ask: Callable[[Any, str], object]) -> dict[str, int]:
    """What `ask` has a pipeline count of each of the named queues. Raises redis.RedisError."""
    pipeline = shared_redis.connection().pipeline(transaction=False)
    for name in names:
        ask(pipeline, name)
    return {
        name: known(found, otherwise=0)
        for name, found in zip(names, pipeline.execute(raise_on_error=False), strict=True)
    }


def known(found: Any, *, otherwise: Any) -> Any:
    """Return one answer of several; `otherwise` for an error about a value of another type."""
    if not isinstance(found, Exception):
        return found
    if not job_check.is_wrong_type(found):
        raise found
    return otherwise


def raw_messages() -> int:
    """Producers' messages that the intake has not read yet. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    return unless_strange(lambda: int(client.llen(lanes.RAW_LIST)), 0)


def raw_batches() -> int:
    """Batches that an intake has taken but not finished. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    return unless_strange(lambda: int(client.hlen(f"{lanes.RAW_LIST}:taken")), 0)


def oldest_raw() -> bytes:
    """Return the message that the intake takes next; empty when there is none. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    return unless_strange(lambda: client.lindex(lanes.RAW_LIST, 0) or b"", b"")


def try_to_write(client: Redis | None = None) -> None:
    """Write a value that expires: a Redis that answers may still refuse writes. Raises redis.RedisError."""
    (client or shared_redis.connection()).set(WRITTEN_KEY, b"1", ex=WRITTEN_SECONDS)


def word_for(error: BaseException) -> str:
    """Return the kind of an error without its message, which may name hosts and users. A server's own code, such as
    MISCONF, is included."""
    code = str(error).partition(" ")[0]
    is_bare = type(error) is ResponseError and code.isascii() and code.isalpha() and code.isupper()
    return code if is_bare else type(error).__name__


def lane_depth(lane: str) -> int:
    """Count the jobs waiting in all queues of a lane. Raises redis.RedisError."""
    return sum(depths(lanes.queue_names(lane, settings.QUEUE_MAX)).values())


def worker_names() -> list[str]:
    """Return RQ's names of the live workers; each begins with its lane. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    keys: list[bytes] = unless_strange(lambda: sorted(client.smembers(WORKERS_KEY)), [])
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.exists(key)
    # A killed worker stays in the set, but its key expires.
    lives = pipeline.execute() if keys else []
    names = [key.decode(errors="replace") for key, is_there in zip(keys, lives, strict=True) if is_there]
    return [name.removeprefix(WORKER_PREFIX) for name in names]


def serving(lane: str, workers: Sequence[str]) -> int:
    """Count the workers among these names that serve the lane."""
    return sum(name.startswith(f"{lane}-") for name in workers)


def waiting_since(names: Sequence[str]) -> datetime:
    """Return when the oldest waiting job of the named queues was enqueued: EARLIEST when unknown, the latest time when
    no job waits. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    heads = [unless_strange(partial(client.lindex, f"rq:queue:{name}", 0), None) for name in names]
    return min((_enqueued_at(client, head) for head in heads if head is not None), default=LATEST)


def _enqueued_at(client: Any, job_id: bytes) -> datetime:
    """Return a job's enqueue time; EARLIEST when it has none, or is not the platform's."""
    at: bytes | None = unless_strange(lambda: client.hget(JOB_PREFIX.encode() + job_id, "enqueued_at"), None)
    try:
        return utcparse(at.decode()) if at else EARLIEST
    except ValueError:
        log.debug("the job %r was enqueued at no time", job_id)
    return EARLIEST


def waiting_ids(names: Sequence[str], job_path: str) -> Iterator[list[int]]:
    """Return the row ids of each waiting job of this kind in the named queues. Reads all jobs, a few at a time: for
    occasional use. Foreign jobs have no ids. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    for name in names:
        waiting: list[bytes] = unless_strange(partial(client.lrange, f"rq:queue:{name}", 0, -1), [])
        for job_ids in batches.chunks(waiting, JOBS_READ_AT_ONCE):
            pipeline = client.pipeline(transaction=False)
            for job_id in job_ids:
                pipeline.hgetall(JOB_PREFIX.encode() + job_id)
            yield from _ids(pipeline.execute(raise_on_error=False), job_path, name)


def _ids(stored: Iterable[Any], job_path: str, queue_name: str) -> Iterator[list[int]]:
    for raw in stored:
        with suppress(job_check.RefusedError):
            call = job_check.checked_call(known(raw, otherwise={}), queue_name)
            if call[0] == job_path:
                yield call[2][0]
