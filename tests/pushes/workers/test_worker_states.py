"""What each worker says that it does; a stranger may say anything."""

from typing import Any

import pytest
from redis import Redis

from pushes.workers.worker_states import worker_states
from tests.planted import SEND, put

NOW = "2026-01-01T00:00:00.000000Z"


def make_worker(client: Redis, name: str = "system-1", **said: Any) -> None:
    fields: Any = {"hostname": "box", "state": "idle", "last_heartbeat": NOW, "birth": NOW} | said
    client.hset(f"rq:worker:{name}", mapping=fields)
    client.sadd("rq:workers", f"rq:worker:{name}")


def test_a_worker_without_a_job_is_idle(redis_client: Redis):
    make_worker(redis_client)
    [worker] = worker_states()
    assert (worker.name, worker.host, worker.is_busy, worker.call) == ("system-1", "box", False, None)
    assert worker.heard_at is not None
    assert worker.heard_at.year == 2026


def test_a_busy_one_says_what_its_job_calls_and_since_when(redis_client: Redis):
    make_worker(redis_client, state="busy")
    job_id = put(redis_client, "hg_xinge_queue", [SEND, None, [[1, 2]], {}], started_at=NOW)
    redis_client.sadd("rq:worker:system-1:executions", f"{job_id}:e")
    [worker] = worker_states()
    assert worker.is_busy
    assert worker.call == (SEND, None, [[1, 2]], {})
    assert worker.since is not None


def test_one_that_is_gone_is_none(redis_client: Redis):
    redis_client.sadd("rq:workers", "rq:worker:killed")
    assert worker_states() == []


@pytest.mark.parametrize("moment", ["never", b"\xff", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.000000Z"])
def test_a_moment_that_no_clock_says_is_none(redis_client: Redis, moment: Any):
    make_worker(redis_client, last_heartbeat=moment)
    assert worker_states()[0].heard_at is None


def test_values_of_other_types_are_no_error(redis_client: Redis):
    make_worker(redis_client, hostname=b"\xff", state=b"\xff")
    redis_client.set("rq:worker:text", "a text")
    redis_client.set("rq:worker:system-1:executions", "a text")
    redis_client.sadd("rq:workers", "rq:worker:text", b"\xff")
    assert [(worker.name, worker.is_busy, worker.call) for worker in worker_states()] == [
        ("system-1", False, None),
        ("text", False, None),
    ]


def test_a_set_of_another_type_has_no_workers(redis_client: Redis):
    redis_client.set("rq:workers", "a text")
    assert worker_states() == []
