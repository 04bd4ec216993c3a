import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, ResponseError

from higo_push.running import embedded
from pushes.inbound.raw_list import RawList
from pushes.lanes import RAW_LIST


def state_of(client: Redis) -> tuple[Any, Any]:
    """What the list holds, and the number of unfinished batches."""
    return client.lrange(RAW_LIST, 0, -1), client.hlen(f"{RAW_LIST}:taken")


def test_an_empty_list_gives_no_batch(redis_client: Redis):
    assert RawList(redis_client).take(10) is None
    assert state_of(redis_client) == ([], 0)


def test_a_batch_is_the_oldest_messages_in_their_order(redis_client: Redis):
    redis_client.rpush(RAW_LIST, *"abcde")
    batch = RawList(redis_client).take(3)
    assert batch
    assert batch.raws == [b"a", b"b", b"c"]
    assert state_of(redis_client) == ([b"d", b"e"], 1)


def test_the_largest_configurable_batch_moves_at_once(redis_client: Redis):
    redis_client.rpush(RAW_LIST, *range(6000))
    batch = RawList(redis_client).take(5000)
    assert batch
    assert len(batch.raws) == 5000
    assert redis_client.llen(RAW_LIST) == 1000


def test_a_finished_batch_leaves_nothing_behind(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    raw_list = RawList(redis_client)
    batch = raw_list.take(1)
    assert batch
    raw_list.finish(batch)
    raw_list.retire()
    assert redis_client.keys("*") == []


def test_waiting_takes_nothing_and_keeps_the_order(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a", "b")
    assert RawList(redis_client).wait(1)
    assert state_of(redis_client) == ([b"a", b"b"], 0)


def test_waiting_ends_empty_handed_after_its_time(redis_client: Redis):
    started = time.monotonic()
    assert not RawList(redis_client).wait(1)
    assert 0.9 < time.monotonic() - started < 3


def test_every_waiting_intake_wakes_when_something_arrives(redis_client: Redis):
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(RawList(redis_client).wait(5))) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    redis_client.rpush(RAW_LIST, "a")
    for thread in threads:
        thread.join(timeout=3)
    assert woken == [True, True, True]


def test_a_living_intakes_batch_is_never_taken_over(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    RawList(redis_client).take(1)
    assert RawList(redis_client).orphans() == []


def test_a_batch_is_taken_over_once_its_owners_heartbeat_ran_out(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    batch = RawList(redis_client, heartbeat_seconds=0.05).take(1)
    time.sleep(0.1)
    assert RawList(redis_client).orphans() == [batch]


def test_a_heartbeat_keeps_the_batch(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    owner = RawList(redis_client)
    owner.take(1)
    heartbeat = owner._heartbeat_key(owner.owner)
    redis_client.pexpire(heartbeat, 100)
    owner.beat()
    left: Any = redis_client.pttl(heartbeat)
    assert left > 1_000
    assert RawList(redis_client).orphans() == []


def test_an_orphan_goes_to_one_new_owner_only(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    dead = RawList(redis_client)
    batch = dead.take(1)
    dead.retire()
    assert RawList(redis_client).orphans() == [batch]
    assert RawList(redis_client).orphans() == []


def test_a_batch_whose_answer_was_lost_comes_back_to_its_owner(redis_client: Redis):
    redis_client.rpush(RAW_LIST, "a")
    raw_list = RawList(redis_client)
    batch = raw_list.take(1)
    assert raw_list.orphans() == [batch]


@pytest.mark.parametrize("raw", [b"\x00\xff\r\n", "中文 😀".encode()])
def test_raw_bytes_come_through_unchanged(redis_client: Redis, raw: bytes):
    redis_client.rpush(RAW_LIST, raw)
    batch = RawList(redis_client).take(1)
    assert batch
    assert batch.raws == [raw]


# --- a Redis that is full ------------------------------------------------------------------------


@pytest.fixture
def full_redis(tmp_path: Path) -> Iterator[Redis]:
    """A server of its own that refuses whatever needs memory, as when producers were faster than the intake."""
    with (
        embedded.running(embedded.Valkey(tmp_path / "valkey")) as server,
        Redis.from_url(server.url) as client,
    ):
        client.rpush(RAW_LIST, *"abc")
        client.config_set("maxmemory", 1)
        with pytest.raises(ResponseError):
            client.set("key", "value")
        yield client


def test_a_full_redis_can_be_emptied(full_redis: Redis):
    """What fills it is the list itself: an intake that could not take from it would stand still for ever."""
    raw_list = RawList(full_redis)
    raw_list.beat()
    batch = raw_list.take(2)
    assert batch
    assert batch.raws == [b"a", b"b"]
    raw_list.finish(batch)
    assert state_of(full_redis) == ([b"c"], 0)


def test_a_batch_of_a_dead_intake_can_be_taken_over_in_a_full_redis(full_redis: Redis):
    dead, heir = RawList(full_redis), RawList(full_redis)
    dead.take(2)
    assert heir.orphans() == []
    dead.retire()
    assert [batch.raws for batch in heir.orphans()] == [[b"a", b"b"]]
