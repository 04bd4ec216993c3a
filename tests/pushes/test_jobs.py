"""RQ finds its jobs by their dotted paths: what is wrong with one shows only in a worker, or here."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes import jobs
from pushes.distribution.distribute import distribute
from pushes.models import DeliveryResult, PushRecord
from pushes.names import App, BroadcastStatus, Kind, RecordStatus, Status
from pushes.submit import submit
from pushes.workers import queues
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.rows import make_delivery, make_message


@pytest.mark.django_db(transaction=True)
def test_a_distribute_job_makes_deliveries(redis_client: Redis, run_jobs: Callable[..., int]):
    submit([make_message("nobody")])
    assert run_jobs() == 1
    assert PushRecord.objects.get().status == RecordStatus.DISTRIBUTED
    assert DeliveryResult.objects.get().status == Status.SKIPPED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("lane", "shard"), [("system", 0), ("group", 2)])
def test_a_send_job_sends(redis_client: Redis, run_jobs: Callable[..., int], lane: str, shard: int):
    # Under a key that is disabled, sending ends with a reason and needs no provider.
    row = make_delivery(app_key_id=make_app_key(is_enabled=False).pk)
    queues.enqueue_send(lane, shard, [row.pk])
    assert run_jobs() == 1
    row.refresh_from_db()
    assert row.status == Status.SKIPPED


@pytest.mark.django_db(transaction=True)
def test_an_expansion_job_expands(redis_client: Redis, run_jobs: Callable[..., int]):
    device = make_device(make_account())
    broadcast = make_broadcast(app=device.app, status=BroadcastStatus.SENDING, started_at=timezone.now())
    from_it = make_message(broadcast_id=broadcast.pk, kind=Kind.BROADCAST)
    submit([from_it])
    assert run_jobs() >= 2
    assert DeliveryResult.objects.get().token == device.token


@pytest.mark.django_db(transaction=True)
def test_small_jobs_that_wait_together_are_done_as_one(redis_client: Redis, run_jobs: Callable[..., int]):
    for number in range(7):
        submit([make_message(f"nobody{number}")])
    assert run_jobs() == 1
    assert set(PushRecord.objects.values_list("status", flat=True)) == {RecordStatus.DISTRIBUTED}
    assert DeliveryResult.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_jobs_of_another_app_key_stay_apart(redis_client: Redis, run_jobs: Callable[..., int]):
    rows = [make_delivery(app_key_id=make_app_key(app=app, is_enabled=False).pk) for app in App]
    for row in rows:
        queues.enqueue_send("system", 0, [row.pk], app_key_id=row.app_key_id)
    assert run_jobs() == 2


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each distribution was about, in their order."""
    found: list[int] = []

    def noted(record_ids: list[int]) -> int:
        found.append(len(record_ids))
        return distribute(record_ids)

    monkeypatch.setattr(jobs, "distribute_records", noted)
    return found


@pytest.mark.django_db(transaction=True)
def test_a_batch_takes_in_no_more_than_the_size_of_a_job(
    redis_client: Redis, run_jobs: Callable[..., int], settings: Settings, batch_sizes: list[int]
):
    settings.JOB_SIZE = 4
    for number in range(7):
        submit([make_message(f"nobody{number}")])
    assert run_jobs() == 1
    assert batch_sizes == [4, 3]
    assert DeliveryResult.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_full_jobs_that_wait_together_are_run_together_up_to_a_few(
    redis_client: Redis, run_jobs: Callable[..., int], settings: Settings, batch_sizes: list[int]
):
    settings.JOB_SIZE = 2
    for number in range(0, 12, 2):
        submit([make_message(f"nobody{number}"), make_message(f"nobody{number + 1}")])
    assert run_jobs() == 2
    assert batch_sizes == [2] * 6
    assert list(PushRecord.objects.order_by("id").values_list("status", flat=True)) == [RecordStatus.DISTRIBUTED] * 12
