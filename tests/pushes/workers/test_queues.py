import json
import zlib
from itertools import chain
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from redis import Redis, RedisError

from pushes import lanes
from pushes.storage import batches
from pushes.workers import queues
from tests.pushes.rows import leave_redis


def args(name: str) -> list[Any]:
    return [job.args for job in queues.queue(name).get_jobs()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lane", lanes.LANES)
def test_jobs_go_to_their_lanes_queues(redis_client: Redis, lane: str):
    shard = lanes.shards(lane, 4)[-1]
    queues.enqueue_distribute(lane, shard, [1, 2])
    queues.enqueue_send(lane, shard, [3])
    assert args(lanes.distribute_queue(lane, shard)) == [[[1, 2]]]
    assert args(lanes.send_queue(lane, shard)) == [[[3]]]


@pytest.mark.django_db(transaction=True)
def test_a_job_carries_ids_as_json_and_is_not_kept_for_a_year(redis_client: Redis):
    queues.enqueue_send("system", 0, [3])
    queues.enqueue_expansion(7)
    [job] = queues.queue("hg_xinge_queue").get_jobs()
    [expansion] = queues.queue("higo_broadcast_queue").get_jobs()
    stored: Any = redis_client.hget(job.key, "data")
    assert json.loads(zlib.decompress(stored)) == ["pushes.jobs.send", None, [[3]], {}]
    assert (job.failure_ttl, expansion.failure_ttl) == (86_400, 86_400)
    assert (job.timeout, job.result_ttl) == (600, 60)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_enqueued_before_commit_or_after_a_rollback(redis_client: Redis):
    with transaction.atomic():
        queues.enqueue_send("system", 0, [1])
        queues.enqueue_expansion(1)
        assert redis_client.keys("rq:queue:*") == []
        transaction.set_rollback(True)
    assert redis_client.keys("rq:queue:*") == []


@pytest.mark.django_db(transaction=True)
def test_no_ids_are_no_job(redis_client: Redis):
    queues.enqueue_send("system", 0, [])
    assert redis_client.keys("*") == []


@pytest.mark.django_db(transaction=True)
def test_without_redis_enqueueing_says_so_once_and_goes_on(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    queues.enqueue_send("system", 0, [1])
    with monkeypatch.context() as patch:
        # Whatever an earlier test has left: the first time is told, and the next once it was back.
        patch.setattr(queues._Told, "is_away", False)
        leave_redis(settings)
        queues.enqueue_send("system", 0, [1])
        queues.enqueue_expansion(7)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["hg_xinge_queue"]


def test_depths_are_the_jobs_that_wait(redis_client: Redis):
    redis_client.rpush("rq:queue:hg_xinge_queue", "a", "b")
    assert queues.depths(["hg_xinge_queue", "hg_message_queue"]) == {"hg_xinge_queue": 2, "hg_message_queue": 0}


@pytest.mark.django_db(transaction=True)
def test_what_waiting_jobs_are_about_is_read_by_kind_of_job(redis_client: Redis):
    queues.enqueue_distribute("system", 0, [1, 2])
    queues.enqueue_distribute("system", 0, [3], is_urgent=True)
    queues.enqueue_distribute("broadcast", 0, [4])
    queues.enqueue_expansion(7)
    names = ["hg_message_queue", "higo_broadcast_queue"]
    assert args("hg_message_queue") == [[[3]], [[1, 2]]]
    assert sorted(chain.from_iterable(queues.waiting_ids(names, queues.DISTRIBUTE_JOB))) == [1, 2, 3, 4]
    assert list(queues.waiting_ids([], queues.DISTRIBUTE_JOB)) == []


def test_a_lanes_depth_is_that_of_all_its_queues(redis_client: Redis, settings: Settings):
    settings.QUEUE_MAX = 2
    for name in lanes.queue_names("group", 2):
        redis_client.rpush(f"rq:queue:{name}", "job")
    redis_client.rpush("rq:queue:hg_xinge_queue", "another lane's")
    assert queues.lane_depth("group") == 4


def test_the_raw_list_of_the_producers_is_another_than_the_queue_of_its_name(redis_client: Redis):
    redis_client.rpush(lanes.RAW_LIST, "a:0:{}")
    assert queues.lane_depth("system") == 0


def test_without_redis_a_depth_is_an_error(settings: Settings):
    leave_redis(settings)
    with pytest.raises(RedisError):
        queues.lane_depth("system")


@pytest.mark.parametrize(
    ("size", "parts"), [(2, [[1, 2], [3, 4], [5]]), (5, [[1, 2, 3, 4, 5]]), (9, [[1, 2, 3, 4, 5]])]
)
def test_chunks(size: int, parts: list[list[int]]):
    assert list(batches.chunks(range(1, 6), size)) == parts


def test_chunks_of_nothing():
    assert list(batches.chunks([], 3)) == []


def test_outside_a_job_there_is_no_current_queue():
    assert queues.current_queue() == ""


def test_the_oldest_job_that_waits_says_since_when(redis_client: Redis):
    names = lanes.send_queues("group", 2)
    assert queues.waiting_since(names).year == 9999
    before = timezone.now()
    for name in names:
        queues.queue(name).enqueue(queues.SEND_JOB, [1])
    assert before <= queues.waiting_since(names) <= timezone.now()
    redis_client.lpush(f"rq:queue:{names[0]}", "a-job-without-a-record")
    assert queues.waiting_since(names).year == 1
