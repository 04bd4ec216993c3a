"""Failed jobs as plain data: read, run again, deleted; and what somebody else has put among them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pushes.names import JobRefusal
from pushes.storage import clocks
from pushes.workers import failed_jobs, queues
from tests.jobs import make_failed_job
from tests.planted import PLANTS, SEND, put

QUEUE = "hg_xinge_queue"
KEY = f"rq:failed:{QUEUE}"
pytestmark = pytest.mark.usefixtures("redis_client")


def test_a_failed_job_says_what_it_was_and_why_it_failed():
    job_id = make_failed_job(QUEUE, [1, 2], "Traceback:\n  a line\nValueError: no such row\n")
    [job] = failed_jobs.latest(QUEUE, 10)
    assert job.id == job_id
    assert job.call == (SEND, None, [[1, 2]], {})
    assert job.refusal is None
    assert job.last_line == "ValueError: no such row"
    assert job.failed_at is not None
    assert clocks.now() - job.failed_at < timedelta(minutes=5)


def test_one_is_found_by_its_id_while_it_is_failed(redis_client: Redis):
    job_id = make_failed_job(QUEUE, [1])
    assert failed_jobs.find(QUEUE, job_id) == failed_jobs.latest(QUEUE, 1)[0]
    redis_client.zrem(KEY, job_id)
    assert failed_jobs.find(QUEUE, job_id) is None


@pytest.mark.parametrize("name", ["", "a/b", "é", "\x00", "a" * 300, "*"])
def test_a_name_that_is_no_job_s_finds_none(redis_client: Redis, name: str):
    redis_client.zadd(KEY, {name: 1})
    assert failed_jobs.find(QUEUE, name) is None
    assert failed_jobs.latest(QUEUE, 10) == []


def test_they_are_counted_by_queue(redis_client: Redis):
    make_failed_job(QUEUE, [1])
    make_failed_job(QUEUE, [2])
    redis_client.set("rq:failed:hg_message_queue", "a text")
    assert failed_jobs.numbers([QUEUE, "hg_message_queue", "higo_broadcast_queue"]) == {
        QUEUE: 2,
        "hg_message_queue": 0,
        "higo_broadcast_queue": 0,
    }


def test_run_again_it_is_back_in_its_queue():
    job_id = make_failed_job(QUEUE, [7])
    assert failed_jobs.requeue(QUEUE, [job_id.encode()]) == 1
    assert failed_jobs.latest(QUEUE, 10) == []
    assert list(queues.waiting_ids([QUEUE], queues.SEND_JOB)) == [[7]]


def test_a_job_that_is_no_longer_failed_is_not_run_again(redis_client: Redis):
    job_id = make_failed_job(QUEUE, [7])
    redis_client.zrem(KEY, job_id)
    assert failed_jobs.requeue(QUEUE, [job_id.encode()]) == 0
    assert redis_client.llen(f"rq:queue:{QUEUE}") == 0


@pytest.mark.parametrize("key", [f"rq:queue:{QUEUE}", KEY])
def test_somebody_else_s_value_in_the_way_is_no_error(redis_client: Redis, key: str):
    job_id = make_failed_job(QUEUE, [7])
    redis_client.set(key, "a text")
    assert failed_jobs.requeue(QUEUE, [job_id.encode()]) == 0


def test_deleted_it_leaves_nothing_behind(redis_client: Redis):
    job_id = make_failed_job(QUEUE, [7])
    assert failed_jobs.delete(QUEUE, [job_id.encode(), b"gone"]) == 1
    assert redis_client.keys(f"*{job_id}*") == []
    assert failed_jobs.latest(QUEUE, 10) == []


def test_a_job_that_waits_is_not_deleted(redis_client: Redis):
    job_id = put(redis_client, QUEUE, [SEND, None, [[1]], {}])
    assert failed_jobs.delete(QUEUE, [job_id.encode()]) == 0
    assert redis_client.exists(f"rq:job:{job_id}")


def test_what_is_no_id_can_be_deleted_all_the_same(redis_client: Redis):
    redis_client.zadd(KEY, {b"\xff\xfe": 1, b"": 2})
    assert failed_jobs.delete(QUEUE, failed_jobs.entries(QUEUE)) == 2
    assert redis_client.exists(KEY) == 0


def plant(client: Redis, folder: Path, kind: str) -> list[bytes]:
    """Planted jobs among the failed ones."""
    PLANTS[kind](client, QUEUE, folder)
    ids: Any = client.lrange(f"rq:queue:{QUEUE}", 0, -1)
    client.delete(f"rq:queue:{QUEUE}")
    if ids:
        client.zadd(KEY, dict.fromkeys(ids, 2e9))
    return list(ids)


@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_job_is_shown_and_neither_runs_nor_goes_back(redis_client: Redis, tmp_path: Path, kind: str):
    ids = plant(redis_client, tmp_path, kind)
    jobs = failed_jobs.latest(QUEUE, 10)
    assert [job for job in jobs if job.refusal is None] == []
    assert failed_jobs.requeue(QUEUE, ids) == 0
    assert redis_client.llen(f"rq:queue:{QUEUE}") == 0
    assert failed_jobs.delete(QUEUE, ids) == len(ids)
    assert list(tmp_path.iterdir()) == []


RESULTS: dict[str, dict[Any, Any]] = {
    "no base64": {"exc_string": "?" * 7},
    "no compressed text": {"exc_string": "AAAA"},
    "no fields of ours": {"x": "y"},
}


@pytest.mark.parametrize("kind", RESULTS)
def test_an_error_that_nobody_can_read_is_none(redis_client: Redis, kind: str):
    job_id = put(redis_client, QUEUE, [SEND, None, [[1]], {}])
    redis_client.zadd(KEY, {job_id: 1})
    redis_client.xadd(f"rq:results:{job_id}", RESULTS[kind], id="9" * 19 + "-1")
    [job] = failed_jobs.latest(QUEUE, 10)
    assert (job.error, job.failed_at, job.last_line) == ("", None, "")


def test_an_error_of_any_length_is_read_to_a_bound():
    make_failed_job(QUEUE, [1], "x" * 9_000_000)
    assert len(failed_jobs.latest(QUEUE, 1)[0].error) == failed_jobs.MAX_ERROR_BYTES


def test_keys_of_another_type_hold_no_job(redis_client: Redis):
    redis_client.zadd(KEY, {"text": 1})
    redis_client.set("rq:job:text", "a text")
    redis_client.set("rq:results:text", "a text")
    [job] = failed_jobs.latest(QUEUE, 10)
    assert (job.call, job.refusal, job.error) == (None, JobRefusal.UNREADABLE, "")
