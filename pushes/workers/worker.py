"""The RQ worker of one process. It survives server errors and foreign jobs, and ends only on a signal.

RQ's own worker ends at the first Redis error other than a lost connection (a replica that refuses writes, a full
memory, a changed password), and at the first job that it cannot read. This worker waits, logs it once, and continues;
`job_check` decides which jobs may run. It accepts no commands over Redis: anyone who can publish there could end it.
"""

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from django.conf import settings
from redis import RedisError
from redis.client import Pipeline
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import DequeueTimeout, StopRequested
from rq.job import Job
from rq.registry import BaseRegistry
from rq.utils import as_text, current_timestamp, now
from rq.worker import WorkerStatus

from pushes import lanes
from pushes.workers import foreign_values, job_check, job_fetch, pulse, refused_jobs, threads

log = logging.getLogger(__name__)

#: RQ waits 15 s less than the first for a job: the less, the sooner a worker notices that Redis hangs. A worker without
#: a heartbeat for ALIVE (between jobs) or BUSY (in a job) counts as gone.
WORKER_SECONDS, ALIVE_SECONDS, BUSY_SECONDS = 20, 30, 90
MAINTENANCE_SECONDS = 30
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 5.0
STORE_SECONDS = 1.0
STAND_BY_SECONDS = 0.5
#: A burst ends after having no queue this many times in a row: a lease may just be late.
MAX_EMPTY_LOOKS = 6


class Shards(Protocol):
    """Which of a worker's queues need a lease, and whose lease it has now."""

    names: list[str]

    @property
    def owned(self) -> Collection[str]: ...

    @property
    def may_work(self) -> bool: ...


class Outage:
    """Redis is unavailable or refuses: wait, and log once at the beginning and once at the end."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = MIN_PAUSE_SECONDS

    @property
    def has_begun(self) -> bool:
        return self._since is not None

    def wait(self, error: RedisError) -> None:
        if not self.has_begun:
            self._since = time.monotonic()
            log.warning("Redis cannot be used, trying again until it can: %s: %s", type(error).__name__, error)
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)

    def is_over(self) -> None:
        if self._since is not None:
            log.warning("Redis is back after %.0f s; the worker resumes", time.monotonic() - self._since)
        self._since, self._pause = None, MIN_PAUSE_SECONDS


class ShardWorker(SimpleWorker):
    """A SimpleWorker (it keeps the provider connections open between jobs) that reads only sharded queues whose lease
    its process holds."""

    leases: Shards | None = None
    turn = 0
    cleaned_at = -math.inf
    _stored_at = 0.0
    _empty_looks = 0
    _may_be_interrupted = False

    def __init__(self, queues: Sequence[Queue], **options: Any) -> None:
        # RQ's start reads from Redis, which may be unavailable.
        super().__init__(queues, prepare_for_work=False, **options)
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self._outage = Outage()

    @property
    def _ordered_queues(self) -> list[Queue]:
        """Return the queues to read now: none while others hold all leases, or the process is unwell."""
        leases = self.leases
        if leases is None:
            return list(self.queues)
        if not leases.may_work:
            return []
        owned = leases.owned
        found = [q for q in self.queues if q.name not in leases.names or q.name in owned]
        return self._in_turn(found) if leases.names else found

    @_ordered_queues.setter
    def _ordered_queues(self, _queues: list[Queue]) -> None:
        """RQ keeps its dequeue order here; ours follows from the leases."""

    def _in_turn(self, found: list[Queue]) -> list[Queue]:
        """Order the queues: send queues before distribution, and rotate the shards. In a fixed order, a lane that is
        always busy would never reach its last shard."""
        sending = lanes.ordered_queues(settings.QUEUE_MAX)
        parts = ([q for q in found if q.name in sending], [q for q in found if q.name not in sending])
        self.turn += 1
        return [q for part in parts if part for q in _rotated(part, self.turn % len(part))]

    # --- the loop ---------------------------------------------------------------------------------

    def work(self, burst: bool = False, *_args: Any, **_options: Any) -> bool:
        """Work until SIGTERM or SIGINT or, with `burst`, until the queues are empty; an error of Redis ends a burst.
        Returns whether it ended without a signal."""
        self.birth_date = now()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request_stop)
        try:
            while self._goes_on(burst):
                pass
        except StopRequested:
            log.debug("%s: told to stop while it waited", self.name)
        finally:
            self._retire()
        return not self._stop_requested

    def _goes_on(self, burst: bool) -> bool:
        """Do the next job, or wait for Redis. False at the end."""
        pulse.moved()
        try:
            is_over = self._step(burst)
        except RedisError as error:
            is_strangers = job_check.is_wrong_type(error)
            if burst and (self._outage.has_begun or not is_strangers):
                raise
            if is_strangers:
                _quietly(self._clear_keys)
            with self._waiting():
                self._outage.wait(error)
            return True
        return not (is_over or self._stop_requested)

    def _step(self, burst: bool) -> bool:
        """Do maintenance, and the next job if there is one. True when a burst is over."""
        self._state = WorkerStatus.IDLE
        self._store_refused()
        found = self._ordered_queues
        if not found:
            with self._waiting():
                time.sleep(STAND_BY_SECONDS)
            self._empty_looks += 1
            return burst and self._empty_looks >= MAX_EMPTY_LOOKS
        self._empty_looks = 0
        if not self._is_flooded():
            self.heartbeat()
        if time.monotonic() - self.cleaned_at >= self.maintenance_interval:
            self.run_maintenance_tasks()
        entry = self._take(found, self._patience(burst))
        self._outage.is_over()
        if entry is None:
            return burst
        job = job_fetch.fetch(*entry)
        if job is not None:
            self.execute_job(job, entry[0])
        return False

    def _is_flooded(self) -> bool:
        """Whether jobs are refused one after the other: then not each one needs a heartbeat."""
        last = self.last_heartbeat
        return job_fetch.has_refused() and last is not None and (now() - last).total_seconds() < STORE_SECONDS

    def _patience(self, burst: bool) -> int | None:
        """Return how long to wait for a job, in seconds: briefly while Redis may still be unavailable, or refused jobs
        are still uncounted."""
        if burst:
            return None
        return 1 if self._outage.has_begun or job_fetch.has_refused() else self.dequeue_timeout

    def _take(self, found: list[Queue], timeout: int | None) -> tuple[Queue, bytes] | None:
        """Take the next entry of these queues; None if none comes within `timeout` seconds."""
        entry = None
        with self._waiting(), suppress(DequeueTimeout):
            entry = Queue.lpop([queue.key for queue in found], timeout, connection=self.connection)
        if entry is None:
            return None
        key, job_id = entry
        return next(queue for queue in found if queue.key == as_text(key)), job_id

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Let a signal end the worker at once during the body; at any other time it finishes its current work."""
        self._may_be_interrupted = True
        try:
            if self._stop_requested:
                raise StopRequested
            yield
        finally:
            self._may_be_interrupted = False

    def _shutdown(self) -> None:
        """Called by a signal, so nothing is written to Redis in here."""
        self._stop_requested = True
        threads.end()
        if self._may_be_interrupted:
            raise StopRequested

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run RQ's version, whose bookkeeping may fail on foreign values; the job then becomes a failed job."""
        try:
            super().execute_job(job, queue)
        except (RedisError, StopRequested):
            raise
        except Exception:
            log.exception("%s: the result of job %s could not be stored", queue.name, job.id)
        finally:
            self.executions.clear()

    def _store_refused(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._stored_at >= STORE_SECONDS:
            refused_jobs.store()
            self._stored_at = time.monotonic()

    # --- what others see of it --------------------------------------------------------------------

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Write everything about this worker again, for a Redis that has lost it. A killed worker must disappear soon,
        whatever time-out its job has."""
        self.last_heartbeat = now()
        own: Any = self.connection.pipeline() if pipeline is None else pipeline
        own.hset(self.key, mapping=self.serialize() | {"state": self._state})
        own.expire(self.key, BUSY_SECONDS if timeout else ALIVE_SECONDS)
        if pipeline is None:
            worker_registration.register(self, own)
            own.execute()

    def subscribe(self) -> None:
        """Accept no commands over Redis."""

    def _retire(self) -> None:
        self._store_refused(at_once=True)
        _quietly(self.register_death)

    # --- order in Redis ---------------------------------------------------------------------------

    def run_maintenance_tasks(self) -> None:
        """Maintain the registries of our kind of jobs. RQ's other registries can only hold foreign jobs."""
        for queue in self.queues:
            for registry in (queue.finished_job_registry, queue.started_job_registry, queue.failed_job_registry):
                _clean(registry)
            try:
                worker_registration.clean_worker_registry(queue)
            except UnicodeDecodeError:
                self._clear_keys()
        self.cleaned_at = time.monotonic()

    def _clear_keys(self) -> None:
        """Remove values of the wrong type from the keys of RQ and the platform: they would block everything."""
        foreign_values.clear_type(self.connection, self.key, b"hash")
        foreign_values.clear(self.queues)


def _clean(registry: BaseRegistry) -> None:
    """Remove expired entries; the job of a killed worker becomes a failed job."""
    try:
        registry.cleanup()
    except Exception as error:
        if isinstance(error, RedisError) and not job_check.is_wrong_type(error):
            raise
        log.warning("%s: expired entries are unreadable and are dropped (%s)", registry.key, error)
        registry.connection.zremrangebyscore(registry.key, 0, current_timestamp())


def _rotated(part: list[Queue], by: int) -> list[Queue]:
    return part[by:] + part[:by]


def _quietly(do: Callable[[], object]) -> None:
    try:
        do()
    except RedisError as error:
        log.warning("Redis cannot be used: %s", error)
