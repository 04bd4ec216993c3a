"""What each worker does now, as it says itself in Redis, where a stranger may say anything."""

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rq.utils import utcparse

from pushes.storage import shared_redis
from pushes.workers import job_check, queues

#: More are not read, nor more of what one says of itself.
MAX_WORKERS, MAX_SAID = 500, 100
#: No clock of ours says anything else; pages show dates, and there are none far beyond.
FIRST, LAST = datetime(1970, 1, 2, tzinfo=timezone.utc), datetime(3000, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """`call` is what its job calls: None while it has none, or one that nobody can read."""

    name: str
    host: str
    is_busy: bool
    call: job_check.Call | None
    since: datetime | None
    heard_at: datetime | None


def worker_states() -> list[WorkerState]:
    """Of those that live, by name. Raises redis.RedisError."""
    client: Any = shared_redis.connection()
    names = queues.worker_names()[:MAX_WORKERS]
    pipeline = client.pipeline(transaction=False)
    for name in names:
        key = f"{queues.WORKER_PREFIX}{name}"
        pipeline.hmget(key, "hostname", "state", "last_heartbeat")
        pipeline.srandmember(f"{key}:executions")
    answers = pipeline.execute(raise_on_error=False) if names else []
    said = [queues.known(answer, otherwise=[None] * 3) for answer in answers[::2]]
    jobs = _jobs([queues.known(answer, otherwise=None) for answer in answers[1::2]])
    return [_state(name, own, job) for name, own, job in zip(names, said, jobs, strict=True)]


def _jobs(executions: list[bytes | None]) -> list[list[bytes | None]]:
    """Of each execution, which is named for its job: what the job calls, and since when."""
    pipeline: Any = shared_redis.connection().pipeline(transaction=False)
    for name in executions:
        pipeline.hmget(job_check.JOB_PREFIX.encode() + (name or b"").partition(b":")[0], "data", "started_at")
    answers = pipeline.execute(raise_on_error=False) if executions else []
    return [queues.known(answer, otherwise=[None, None]) for answer in answers]


def _state(name: str, said: list[bytes | None], job: list[bytes | None]) -> WorkerState:
    host, state, heard_at = said
    data, since = job
    return WorkerState(
        name=name[:MAX_SAID],
        host=(host or b"")[:MAX_SAID].decode(errors="replace"),
        is_busy=state == b"busy",
        call=job_check.read_call({b"data": data}) if data else None,
        since=_moment(since),
        heard_at=_moment(heard_at),
    )


def _moment(value: bytes | None) -> datetime | None:
    try:
        found = utcparse((value or b"").decode())
    except ValueError:
        return None
    return found if FIRST < found < LAST else None
