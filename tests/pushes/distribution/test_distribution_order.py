"""A record whose job was lost is not overtaken by the next message of its conversation."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from pushes.distribution import distribute
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, RecordStatus
from tests.make import make_app_key, make_device
from tests.needs import needs
from tests.pushes.rows import make_record

pytestmark = pytest.mark.django_db


def waiting(kind: Kind = Kind.GROUP, *, shard: int = 1) -> PushRecord:
    """A chat message to one member, stored but not distributed."""
    account = make_device().account_id
    return make_record(
        kind=kind, push_type=1, shard=shard, conversation="c", accounts=[account], status=RecordStatus.PENDING
    )


def distributed() -> list[int]:
    return list(DeliveryResult.objects.order_by("id").values_list("record_id", flat=True))


def test_earlier_records_of_the_shard_are_distributed_first(redis_client: redis.Redis) -> None:
    make_app_key()
    lost, later = waiting(), waiting()
    distribute.distribute([later.pk])
    assert distributed() == [lost.pk, later.pk]


def test_later_records_wait_for_their_own_job(redis_client: redis.Redis) -> None:
    make_app_key()
    first, _second = waiting(), waiting()
    distribute.distribute([first.pk])
    assert distributed() == [first.pk]


def test_other_shards_and_lanes_are_left_alone(redis_client: redis.Redis) -> None:
    make_app_key()
    _other_shard, _other_lane = waiting(shard=2), waiting(Kind.PRIVATE)
    mine = waiting()
    distribute.distribute([mine.pk])
    assert distributed() == [mine.pk]


def test_a_lane_without_conversations_distributes_what_it_was_asked_for(redis_client: redis.Redis) -> None:
    make_app_key()
    _other, mine = (waiting(Kind.SYSTEM, shard=0) for _ in range(2))
    distribute.distribute([mine.pk])
    assert distributed() == [mine.pk]


def test_more_than_a_job_holds_is_taken_from_the_oldest_on(redis_client: redis.Redis, settings: Settings) -> None:
    settings.JOB_SIZE = 2
    make_app_key()
    records = [waiting() for _ in range(3)]
    distribute.distribute([records[2].pk])
    assert distributed() == [record.pk for record in records[:2]]
    distribute.distribute([records[2].pk])
    assert distributed() == [record.pk for record in records]


def test_rows_are_locked_by_their_key_alone(redis_client: redis.Redis) -> None:
    # Searching under lock would lock other lanes' rows on the way, and they would be left out there.
    needs("mariadb")
    record = waiting()
    with CaptureQueriesContext(connection) as captured:
        distribute.distribute([record.pk])
    locking = [query["sql"] for query in captured.captured_queries if "FOR UPDATE" in query["sql"]]
    assert locking
    assert [sql for sql in locking if f"WHERE `pushes_pushrecord`.`id` IN ({record.pk}) ORDER BY" not in sql] == []


@pytest.mark.django_db(transaction=True)
def test_an_earlier_record_that_somebody_holds_is_waited_for(redis_client: redis.Redis) -> None:
    needs("mariadb")
    make_app_key()
    held, later = waiting(), waiting()
    is_held, seconds = threading.Event(), 0.5

    def hold() -> None:
        with transaction.atomic():
            PushRecord.objects.select_for_update().get(pk=held.pk)
            is_held.set()
            threading.Event().wait(seconds)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        is_held.wait(5)
        distribute.distribute([later.pk])
        holding.result()
    assert distributed() == [held.pk, later.pk]
