"""The desk of the job queues: what waits, who works, what failed, and what is done about it."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from redis import Redis

from pushes.console.operators import roles
from pushes.workers import failed_jobs, queues
from tests.jobs import make_failed_job
from tests.planted import PLANTS, SEND, put
from tests.pushes.console.conftest import SignIn

QUEUE = "hg_xinge_queue"
KEY = f"rq:failed:{QUEUE}"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def address(page: str, *parts: str) -> str:
    return reverse(f"admin:django_rq_dashboard_{page}", args=parts)


def text(client: Client, page: str, *parts: str, language: str = "en") -> str:
    answer = client.get(address(page, *parts), headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_stands_in_the_theme(administrator: Client):
    assert "nav-sidebar" in text(administrator, "changelist")


def test_a_queue_with_jobs_is_listed_with_their_number_and_age(administrator: Client, redis_client: Redis):
    put(redis_client, QUEUE, [SEND, None, [[1]], {}], enqueued_at="2026-01-01T00:00:00.000000Z")
    put(redis_client, QUEUE, [SEND, None, [[2]], {}])
    row = next(row for row in administrator.get(address("changelist")).context["queues"] if row.name == QUEUE)
    assert (row.jobs, row.failed) == (2, 0)
    assert row.oldest.endswith(" d")


def test_empty_queues_are_only_counted(administrator: Client, settings: Any):
    page = text(administrator, "changelist")
    assert f"{len(settings.RQ_QUEUES)} queues are empty" in page
    assert QUEUE not in page


def test_a_lane_says_how_many_workers_it_has(administrator: Client, redis_client: Redis):
    put(redis_client, QUEUE, [SEND, None, [[1]], {}])
    worker: Any = {"state": "idle"}
    redis_client.hset("rq:worker:system-1", mapping=worker)
    redis_client.sadd("rq:workers", "rq:worker:system-1")
    lanes = {row.name: row for row in administrator.get(address("changelist")).context["lanes"]}
    assert [(row.jobs, row.workers) for row in lanes.values()] == [(1, 1), (0, 0), (0, 0), (0, 0)]


def test_a_worker_says_what_it_does(administrator: Client, redis_client: Redis):
    worker: Any = {"state": "busy", "hostname": "box"}
    redis_client.hset("rq:worker:system-1", mapping=worker)
    redis_client.sadd("rq:workers", "rq:worker:system-1")
    job_id = put(redis_client, QUEUE, [SEND, None, [[1, 2]], {}])
    redis_client.sadd("rq:worker:system-1:executions", f"{job_id}:e")
    assert "send to 2 devices" in text(administrator, "changelist")
    assert "发送到 2 台设备" in text(administrator, "changelist", language="zh-hans")


def test_failed_jobs_are_listed_with_their_error(administrator: Client):
    job_id = make_failed_job(QUEUE, [1], "Traceback\nValueError: <no such row>")
    page = text(administrator, "failed", QUEUE)
    assert "send to 1 device" in page
    assert "ValueError: &lt;no such row&gt;" in page
    assert address("job", QUEUE, job_id) in page


def test_of_many_the_newest_are_listed(administrator: Client, redis_client: Redis):
    redis_client.zadd(KEY, {f"job{number}": number for number in range(60)})
    page = text(administrator, "failed", QUEUE)
    assert "Showing the newest 50 of 60." in page
    assert "/jobs/job59/" in page
    assert "/jobs/job9/" not in page


def test_a_failed_job_s_page_has_the_whole_error(administrator: Client):
    job_id = make_failed_job(QUEUE, [1], "Traceback\n  of many lines\nValueError: no such row")
    assert "  of many lines\nValueError: no such row" in text(administrator, "job", QUEUE, job_id)


def test_looking_at_the_question_does_nothing(administrator: Client):
    job_id = make_failed_job(QUEUE, [1])
    for page in ("requeue", "delete_job"):
        text(administrator, page, QUEUE, job_id)
    for page in ("requeue_all", "delete_all"):
        text(administrator, page, QUEUE)
    assert len(failed_jobs.entries(QUEUE)) == 1


def test_a_failed_job_is_run_again(administrator: Client):
    job_id = make_failed_job(QUEUE, [7])
    answer = administrator.post(address("requeue", QUEUE, job_id))
    assert answer["Location"] == address("failed", QUEUE)
    assert list(queues.waiting_ids([QUEUE], queues.SEND_JOB)) == [[7]]


def test_a_failed_job_is_deleted(administrator: Client, redis_client: Redis):
    job_id = make_failed_job(QUEUE, [7])
    administrator.post(address("delete_job", QUEUE, job_id))
    assert failed_jobs.entries(QUEUE) == []
    assert redis_client.llen(f"rq:queue:{QUEUE}") == 0


def test_all_of_a_queue_are_run_again(administrator: Client):
    for pk in (7, 8):
        make_failed_job(QUEUE, [pk])
    administrator.post(address("requeue_all", QUEUE))
    assert sorted(queues.waiting_ids([QUEUE], queues.SEND_JOB)) == [[7], [8]]


def test_all_of_a_queue_are_deleted_and_no_other_s(administrator: Client):
    make_failed_job(QUEUE, [7])
    make_failed_job("hg_message_queue", [8])
    administrator.post(address("delete_all", QUEUE))
    assert failed_jobs.entries(QUEUE) == []
    assert len(failed_jobs.entries("hg_message_queue")) == 1


def test_what_was_done_is_written_down_and_shown(administrator: Client):
    job_id = make_failed_job(QUEUE, [7])
    administrator.post(address("delete_job", QUEUE, job_id))
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.object_id, entry.user.is_staff) == (QUEUE, job_id, True)
    assert "Failed job deleted." in text(administrator, "changelist")


def test_what_was_refused_is_not_written_down(administrator: Client):
    administrator.post(address("requeue_all", QUEUE))
    administrator.post(address("delete_all", QUEUE))
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("page", ["job", "requeue", "delete_job"])
def test_a_job_that_is_gone_is_not_found(administrator: Client, page: str):
    assert administrator.get(address(page, QUEUE, "gone")).status_code == 404
    assert administrator.post(address(page, QUEUE, "gone")).status_code == 404


@pytest.mark.parametrize("page", ["failed", "requeue_all", "delete_all"])
def test_a_queue_that_is_none_of_ours_is_not_found(administrator: Client, redis_client: Redis, page: str):
    redis_client.zadd("rq:failed:default", {"x": 1})
    assert administrator.get(address(page, "default")).status_code == 404


def test_who_may_not_look_may_not_act(sign_in: SignIn):
    job_id = make_failed_job(QUEUE, [7])
    operator = sign_in(roles.OPERATOR)
    assert operator.post(address("delete_job", QUEUE, job_id)).status_code == 403
    assert operator.post(address("delete_all", QUEUE)).status_code == 403
    assert len(failed_jobs.entries(QUEUE)) == 1


@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_job_is_shown_and_goes_nowhere(administrator: Client, redis_client: Redis, tmp_path: Path, kind: str):
    PLANTS[kind](redis_client, QUEUE, tmp_path)
    ids: Any = redis_client.lrange(f"rq:queue:{QUEUE}", 0, -1)
    text(administrator, "changelist")
    redis_client.delete(f"rq:queue:{QUEUE}")
    if ids:
        redis_client.zadd(KEY, dict.fromkeys(ids, 2e9))
    page = text(administrator, "failed", QUEUE)
    for one in ids:
        if f"/jobs/{one.decode(errors='replace')}/" in page:
            assert "never runs" in text(administrator, "job", QUEUE, one.decode())
            administrator.post(address("requeue", QUEUE, one.decode()))
    administrator.post(address("requeue_all", QUEUE))
    assert redis_client.llen(f"rq:queue:{QUEUE}") == 0
    assert list(tmp_path.iterdir()) == []
