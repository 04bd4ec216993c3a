"""Whoever can write to Redis runs nothing: planted jobs of every kind end as failed jobs, and the lane goes on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings
from redis import Redis
from rq import Queue
from rq.job import Job

from pushes import lanes
from pushes.models import PushRecord, RefusedJob
from pushes.names import JobRefusal, RecordStatus
from pushes.submit import submit
from pushes.workers import job_fetch, queues, refused_jobs, worker
from pushes.workers.job_check import RefusedError, checked_call, entry_point
from pushes.workers.worker import ShardWorker
from tests.planted import PLANTS, put
from tests.pushes.rows import make_message

QUEUE = "hg_xinge_queue"
#: These are no jobs at all, so there is nothing to count.
NOTHING = {"an entry without a job", "an abandoned one"}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a job that runs leaves a file."""
    made = tmp_path / "left"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def nothing_refused_yet() -> Iterator[None]:
    job_fetch.take_refused()
    yield
    job_fetch.take_refused()


def make_worker(client: Redis) -> ShardWorker:
    made = [Queue(name, connection=client, serializer="json") for name in lanes.queue_names("system", 4)]
    return ShardWorker(made, name="system-planted", connection=client, serializer="json", worker_ttl=25)


def failed(client: Redis) -> list[Job]:
    queue = Queue(QUEUE, connection=client, serializer="json")
    return [job for job_id in queue.failed_job_registry.get_job_ids() if (job := queue.fetch_job(job_id))]


@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_job_does_not_run_and_the_lane_goes_on(redis_client: Redis, folder: Path, kind: str):
    PLANTS[kind](redis_client, QUEUE, folder)
    ids = submit([make_message("nobody")]).record_ids
    make_worker(redis_client).work(burst=True)
    assert list(folder.iterdir()) == []
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() == 1
    assert redis_client.llen(f"rq:queue:{QUEUE}") == 0
    refused = sum(RefusedJob.objects.values_list("count", flat=True))
    assert refused >= 1 if kind not in NOTHING else refused == 0
    for job in failed(redis_client):
        assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
        kept: Any = redis_client.ttl(job.key)
        assert 0 < kept <= 86_400


def test_all_of_them_together_harm_no_lane(
    redis_client: Redis, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(worker, "STORE_SECONDS", 600.0)  # however slow the machine is, they come in one count
    for plant in PLANTS.values():
        plant(redis_client, QUEUE, folder)
    ids = submit([make_message(f"nobody{number}") for number in range(3)]).record_ids
    own = make_worker(redis_client)
    own._stored_at = time.monotonic()
    own.work(burst=True)
    assert list(folder.iterdir()) == []
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() == 3
    total = sum(RefusedJob.objects.values_list("count", flat=True))
    assert total >= len(PLANTS) - len(NOTHING)
    # One line for each of the first, and then their number.
    told = [record.message for record in caplog.records if "is not run" in record.message]
    assert len(told) == job_fetch.MAX_LOGGED
    assert f"{total} jobs that are none of ours" in caplog.text


def test_a_refused_job_can_be_read_among_the_failed_ones(redis_client: Redis):
    job_id = put(redis_client, QUEUE, ["os.system", None, ["true"], {}])
    make_worker(redis_client).work(burst=True)
    [job] = failed(redis_client)
    assert (job.id, job.func_name, job.args) == (job_id, "os.system", ["true"])
    result = job.latest_result()
    assert result is not None
    assert "Not run: the function 'os.system' is none of ours" in str(result.exc_string)
    [row] = RefusedJob.objects.all()
    assert (row.lane, row.reason, row.count) == ("system", JobRefusal.FUNCTION, 1)
    assert "os.system" in row.detail


def test_of_a_flood_the_first_are_kept_and_all_are_counted(redis_client: Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(job_fetch, "MAX_FAILED", 3)
    for _number in range(10):
        put(redis_client, QUEUE, ["os.system", None, ["true"], {}])
    make_worker(redis_client).work(burst=True)
    assert len(failed(redis_client)) == 3
    assert len(redis_client.keys("rq:job:*")) == 3  # type: ignore[arg-type]
    assert RefusedJob.objects.get().count == 10


def test_put_back_from_the_failed_ones_it_is_refused_again(redis_client: Redis, folder: Path):
    PLANTS["a shell command"](redis_client, QUEUE, folder)
    PLANTS["a success callback"](redis_client, QUEUE, folder)
    make_worker(redis_client).work(burst=True)
    queue = Queue(QUEUE, connection=redis_client, serializer="json")
    for job in failed(redis_client):
        queue.failed_job_registry.requeue(job)
    make_worker(redis_client).work(burst=True)
    assert list(folder.iterdir()) == []
    # Without its callback, the one is a job like ours.
    assert [job.func_name for job in failed(redis_client)] == ["os.system"]


def test_another_queue_s_job_is_left_where_it_belongs(redis_client: Redis):
    job_id = put(redis_client, "hg_message_queue", ["pushes.jobs.distribute", None, [[1]], {}])
    redis_client.lpush(f"rq:queue:{QUEUE}", job_id)
    queue = Queue(QUEUE, connection=redis_client, serializer="json")
    assert job_fetch.fetch(queue, job_id.encode()) is None
    assert redis_client.exists(f"rq:job:{job_id}")


@pytest.mark.parametrize("value", ["a text", {"a": "hash"}])
def test_a_queue_of_another_type_is_removed(redis_client: Redis, value: Any):
    key = f"rq:queue:{QUEUE}"
    redis_client.set(key, value) if isinstance(value, str) else redis_client.hset(key, mapping=value)
    for other in ("rq:workers", f"rq:workers:{QUEUE}", f"rq:wip:{QUEUE}", f"rq:failed:{QUEUE}"):
        redis_client.set(other, "a text")
    ids = submit([make_message("nobody")]).record_ids
    make_worker(redis_client).work(burst=True)
    assert redis_client.type(key) == b"none"
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).exists()


@pytest.mark.parametrize("key", ["rq:workers", f"rq:workers:{QUEUE}", f"rq:wip:{QUEUE}", f"rq:failed:{QUEUE}"])
def test_names_that_are_none_among_workers_and_jobs_end_no_worker(redis_client: Redis, key: str):
    names = [b"\xff\xfe", b"", b"rq:worker:gone", b"text:x"]
    redis_client.set("rq:job:text", "a text")
    redis_client.sadd(key, *names) if "workers" in key else redis_client.zadd(key, dict.fromkeys(names, 1))
    ids = submit([make_message("nobody")]).record_ids
    for _round in range(2):
        make_worker(redis_client).work(burst=True)
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).exists()


def test_what_waits_behind_a_job_is_looked_at_as_well(redis_client: Redis, folder: Path):
    """A job takes in those of its kind that wait behind it."""
    ids = submit([make_message("first")]).record_ids
    for plant in PLANTS.values():
        plant(redis_client, "hg_message_queue", folder)
    ids += submit([make_message("last")]).record_ids
    assert list(queues.waiting_ids(["hg_message_queue"], queues.DISTRIBUTE_JOB)) == [[pk] for pk in ids]
    assert queues.waiting_since(["hg_message_queue"]).year >= 2026
    make_worker(redis_client).work(burst=True)
    assert list(folder.iterdir()) == []
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() == 2


@pytest.mark.parametrize("kind", PLANTS)
def test_who_looks_into_the_queues_meets_planted_jobs(redis_client: Redis, folder: Path, kind: str):
    PLANTS[kind](redis_client, "hg_message_queue", folder)
    assert list(queues.waiting_ids(["hg_message_queue"], queues.SEND_JOB)) == []
    queues.waiting_since(["hg_message_queue"])


def test_a_job_of_an_earlier_release_still_runs(redis_client: Redis):
    job_id = put(redis_client, lanes.EXPORT_QUEUE, ["pushes.admin.export_job.write", None, [7], {}])
    queue = Queue(lanes.EXPORT_QUEUE, connection=redis_client, serializer="json")
    job = job_fetch.fetch(queue, job_id.encode())
    assert job is not None
    assert job.perform() is None
    assert job.func is entry_point("pushes.jobs.write_export")


@pytest.mark.parametrize("path", queues.JOB_PATHS)
def test_what_may_run_is_a_function_of_the_jobs(path: str):
    assert entry_point(path).__module__ == "pushes.jobs"
    assert path.startswith("pushes.jobs.")


@pytest.mark.parametrize("path", ["os.system", "pushes.jobs.settings", "pushes.jobs", "", None, 1, ["os.system"]])
def test_anything_else_may_not(path: object):
    with pytest.raises(RefusedError, match="is none of ours"):
        entry_point(path)


def test_every_job_that_we_enqueue_passes(redis_client: Redis, settings: Settings):
    settings.JOB_SIZE = 5_000
    queues.enqueue_distribute("system", 0, range(2**63 - 5_000, 2**63), is_urgent=True)
    queues.enqueue_send("group", 2, [1], app_key_id=3)
    queues.enqueue_send("private", 1, [1])
    queues.enqueue_expansion(2**63 - 1)
    queues.enqueue_export(1)
    keys: Any = redis_client.keys("rq:job:*")
    assert len(keys) == 5
    for key in keys:
        raw: Any = redis_client.hgetall(key)
        checked_call(raw, raw[b"origin"].decode())


def test_the_database_being_away_loses_no_count(redis_client: Redis, monkeypatch: pytest.MonkeyPatch):
    put(redis_client, QUEUE, ["os.system", None, [], {}])

    def away(**_options: object) -> None:
        raise OperationalError(2002, "Can't connect")

    with monkeypatch.context() as patch:
        patch.setattr(RefusedJob.objects, "get_or_create", away)
        make_worker(redis_client).work(burst=True)
    assert not RefusedJob.objects.exists()
    refused_jobs.store()
    assert RefusedJob.objects.get().count == 1
    refused_jobs.store()
    assert RefusedJob.objects.get().count == 1
