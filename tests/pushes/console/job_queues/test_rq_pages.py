"""RQ's own pages over a Redis in which somebody has planted jobs: looking at them runs nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_rq.settings import get_queues_list
from redis import Redis
from rq import Queue
from rq.worker import SimpleWorker

from pushes import lanes
from pushes.workers import queues
from tests.planted import PLANTS, SEND, put, unpickled

QUEUE = lanes.send_queue(lanes.SYSTEM)
LISTS = ("jobs", "finished_jobs", "failed_jobs", "scheduled_jobs", "started_jobs", "deferred_jobs", "workers")
pytestmark = pytest.mark.django_db


@pytest.fixture
def number() -> int:
    """The queue's in the library's addresses."""
    return next(place for place, one in enumerate(get_queues_list()) if one["name"] == QUEUE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "left"
    made.mkdir()
    return made


def address(page: str, *arguments: object) -> str:
    return reverse(f"admin:django_rq_{page}", args=arguments)


def planted(client: Redis, folder: Path, state: str, **fields: object) -> str:
    """A job that is code in every way, in RQ's registry of that state."""
    data = {"meta": unpickled(folder), "result": unpickled(folder), "failure_callback_name": "os.system"}
    job_id = put(client, QUEUE, ["os.system", None, [f"touch {folder / 'x'}"], {}], status=state, **(data | fields))
    registry = {"started": "wip", "finished": "finished", "failed": "failed"}.get(state, state)
    entry = f"{job_id}:execution" if state == "started" else job_id
    client.zadd(f"rq:{registry}:{QUEUE}", {entry: 1 if state == "started" else 2**33})
    return job_id


@pytest.mark.parametrize("page", LISTS)
def test_a_list_of_planted_jobs_runs_none(
    administrator: Client, redis_client: Redis, folder: Path, number: int, page: str
):
    for state in ("started", "finished", "failed", "scheduled", "deferred"):
        planted(redis_client, folder, state)
    worker: Any = {"birth": "2026-01-01T00:00:00.000000Z", "queues": QUEUE, "pid": "1", "state": "busy"}
    redis_client.hset("rq:worker:x", mapping=worker)
    redis_client.sadd("rq:workers", "rq:worker:x")
    assert administrator.get(address(page, number)).status_code == 200
    assert list(folder.iterdir()) == []


def test_the_list_of_queues_runs_nothing(administrator: Client, redis_client: Redis, folder: Path):
    for state in ("started", "finished", "failed", "scheduled", "deferred"):
        planted(redis_client, folder, state)
    assert administrator.get(address("home")).status_code == 200
    assert list(folder.iterdir()) == []


def test_they_are_in_english_whatever_the_reader_s_language(administrator: Client, redis_client: Redis):
    page = administrator.get(address("home"), headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "Queued Jobs" in page
    assert 'lang="en' in page


def test_their_heading_is_no_markup(administrator: Client, redis_client: Redis):
    page = administrator.get(address("home")).content.decode()
    assert re.search(r'aria-current="page">\s*Queues\s*<', page)


def test_the_desk_has_the_page_before_them(administrator: Client, redis_client: Redis):
    assert address("home") == "/admin/django_rq/dashboard/rq/"
    assert address("home") in administrator.get(reverse("admin:django_rq_dashboard_changelist")).content.decode()


def test_a_planted_job_s_page_runs_nothing(administrator: Client, redis_client: Redis, folder: Path, number: int):
    job_id = planted(redis_client, folder, "failed")
    assert administrator.get(address("job_detail", number, job_id)).status_code == 404
    redis_client.hdel(f"rq:job:{job_id}", "result")
    page = administrator.get(address("job_detail", number, job_id))
    assert page.status_code == 200
    assert "os.system" in page.content.decode()
    assert list(folder.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Composite key")
@pytest.mark.parametrize("kind", PLANTS)
def test_no_planted_job_makes_a_page_fail(
    administrator: Client, redis_client: Redis, folder: Path, number: int, kind: str
):
    PLANTS[kind](redis_client, QUEUE, folder)
    ids: Any = redis_client.lrange(f"rq:queue:{QUEUE}", 0, -1)
    pages = [address(page, number) for page in ("jobs", "queue_details")]
    pages += [address("job_detail", number, one.decode(errors="replace")) for one in ids if one and b"/" not in one]
    assert {administrator.get(page).status_code for page in pages} <= {200, 404}
    assert list(folder.iterdir()) == []


def test_a_worker_s_page_does_not_unpickle_its_job(
    administrator: Client, redis_client: Redis, folder: Path, number: int
):
    job_id = planted(redis_client, folder, "started")
    data: Any = unpickled(folder)
    redis_client.hset(f"rq:job:{job_id}", "data", data)
    worker: Any = {"birth": "2026-01-01T00:00:00.000000Z", "queues": QUEUE, "pid": "1", "state": "busy"}
    redis_client.hset("rq:worker:x", mapping=worker)
    execution: Any = {"job_id": job_id, "created_at": 1, "last_heartbeat": 1, "worker_name": "x"}
    redis_client.hset(f"rq:execution:{job_id}:e", mapping=execution)
    redis_client.sadd("rq:worker:x:executions", f"{job_id}:e")
    administrator.get(address("worker_details", number, "rq:worker:x"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("page", ["delete_failed_jobs", "requeue_all", "clear"])
def test_an_action_on_all_planted_jobs_runs_none(
    administrator: Client, redis_client: Redis, folder: Path, number: int, page: str
):
    planted(redis_client, folder, "failed")
    administrator.post(address(page, number), {"post": "yes"})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("action", ["delete", "requeue", "stop"])
def test_an_action_on_chosen_planted_jobs_runs_none(
    administrator: Client, redis_client: Redis, folder: Path, number: int, action: str
):
    job_id = planted(redis_client, folder, "started", worker_name="x")
    administrator.post(address("actions", number), {"action": action, "job_ids": [job_id], "next_url": "/admin/"})
    administrator.post(address("stop_job", number, job_id))
    assert list(folder.iterdir()) == []


def test_rq_s_own_worker_runs_nothing_either(redis_client: Redis, folder: Path):
    """Whoever starts one beside ours, by the library's command."""
    for kind in ("a shell command", "a success callback", "a failure callback", "pickles beside the call"):
        PLANTS[kind](redis_client, QUEUE, folder)
    SimpleWorker([Queue(QUEUE, connection=redis_client)], connection=redis_client).work(burst=True)
    assert list(folder.iterdir()) == []


def test_what_the_producers_are_not_allowed_is_still_possible_for_us(redis_client: Redis):
    """A job of ours keeps its meaning under the same rules."""
    put(redis_client, QUEUE, [SEND, None, [[1, 2]], {}], meta='{"app_key_id": 3}')
    [job] = queues.queue(QUEUE).get_jobs()
    assert (job.func_name, job.args, job.meta) == (SEND, [[1, 2]], {"app_key_id": 3})
