"""A record that no waiting job is about, twice, has lost its own."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import RedisError

from pushes import lanes
from pushes.models import PushRecord
from pushes.names import Kind, RecordStatus
from pushes.upkeep.lost_jobs import Watch
from pushes.workers import queues
from tests.pushes.rows import leave_redis, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
Look = Callable[..., list[int]]


@pytest.fixture
def start() -> datetime:
    return timezone.now()


@pytest.fixture
def look(start: datetime) -> Look:
    """One watch's look, so many seconds after the start; the ids that it found lost."""
    watch = Watch()

    def at(seconds: float, *busy: str, most: int = 100) -> list[int]:
        found = watch.look(busy or ("system",), start + timedelta(seconds=seconds), most=most)
        return [record_id for _, _, record_id in found]

    return at


def pending(at: datetime, kind: Kind = Kind.SYSTEM, shard: int = 0) -> PushRecord:
    return make_record(kind=kind, shard=shard, status=RecordStatus.PENDING, created_at=at)


def give_job(record: PushRecord) -> None:
    name = lanes.distribute_queue(record.kind, record.shard)
    queues.queue(name).enqueue(queues.DISTRIBUTE_JOB, [record.pk])


def test_it_takes_two_looks_and_a_minute_at_most(start: datetime, look: Look):
    record = pending(start)
    assert next(seconds for seconds in range(0, 120, 5) if look(seconds)) <= 60
    assert record.status == RecordStatus.PENDING


def test_a_look_too_soon_after_the_last_is_none(start: datetime, look: Look):
    record = pending(start)
    assert [look(seconds) for seconds in (40, 41, 54, 55)] == [[], [], [], [record.pk]]


def test_what_has_a_job_is_never_lost_however_old_it_is(start: datetime, look: Look):
    give_job(pending(start))
    assert [look(seconds) for seconds in (60, 120, 600)] == [[], [], []]


def test_what_a_worker_has_just_taken_is_distributed_by_the_second_look(start: datetime, look: Look):
    record = pending(start)
    assert look(60) == []
    record.status = RecordStatus.DISTRIBUTED
    record.save()
    assert look(120) == []


def test_what_was_enqueued_again_is_left_in_peace_unless_it_is_lost_again(start: datetime, look: Look):
    record = pending(start)
    assert [look(seconds) for seconds in (60, 80)] == [[], [record.pk]]
    give_job(record)
    assert [look(seconds) for seconds in (100, 120)] == [[], []]
    queues.queue("hg_message_queue").empty()
    assert [look(seconds) for seconds in (140, 160)] == [[], [record.pk]]


def test_quiet_lanes_are_none_of_its_business(start: datetime, look: Look):
    private = pending(start, Kind.PRIVATE, 2)
    pending(start)
    assert [look(seconds, "private", "group") for seconds in (60, 80)] == [[], [private.pk]]


def test_of_very_many_the_oldest_come_first(start: datetime, look: Look):
    first, *_rest = [pending(start) for _ in range(3)]
    assert [look(seconds, most=1) for seconds in (60, 80)] == [[], [first.pk]]


def test_without_redis_nobody_knows(start: datetime, look: Look, settings: Settings):
    pending(start)
    leave_redis(settings)
    with pytest.raises(RedisError):
        look(60)


def test_without_a_candidate_no_job_is_read(look: Look, settings: Settings):
    leave_redis(settings)
    assert look(60) == []
