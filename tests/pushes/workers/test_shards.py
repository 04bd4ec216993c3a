"""Worker processes, real ones: each shard served by one of them, handed over when its owner is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import Queue

from higo_push.env import BASE_DIR
from higo_push.running import processes
from pushes import lanes
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, RecordStatus, Status
from pushes.submit import submit
from pushes.upkeep.sweep import sweep
from pushes.workers import queues, shards
from pushes.workers.shards import LEASE_KEY, ShardLeases, assignments
from pushes.workers.worker import ALIVE_SECONDS, BUSY_SECONDS, ShardWorker
from tests.pushes.rows import make_message

LEASE_SECONDS = 2


# --- which queues -----------------------------------------------------------------------------


@pytest.mark.parametrize("lane", lanes.SHARDED)
@pytest.mark.parametrize("queue_max", [1, 4, 7])
@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_every_shards_queues_are_served_by_one_process(settings: Settings, lane: str, queue_max: int, number: int):
    settings.QUEUE_MAX = queue_max
    parts = assignments(lane, number)
    assert sorted(name for part in parts for name in part) == sorted(lanes.queue_names(lane, queue_max))
    for shard in lanes.shards(lane, queue_max):
        both = {lanes.send_queue(lane, shard), lanes.distribute_queue(lane, shard)}
        assert [both <= set(part) for part in parts].count(True) == 1


@pytest.mark.parametrize("number", [1, 2, 3, 4, 9])
def test_shards_are_divided_evenly_and_nobody_has_none(settings: Settings, number: int):
    settings.QUEUE_MAX = 4
    sizes = [len(part) for part in assignments("group", number)]
    assert len(sizes) == min(number, 4)
    assert max(sizes) - min(sizes) <= 2
    assert min(sizes) >= 2


@pytest.mark.parametrize("lane", ["system", "broadcast"])
def test_a_lane_without_shards_is_shared_by_all_its_processes(lane: str):
    assert assignments(lane, 3) == [lanes.queue_names(lane, 4)] * 3


def test_a_process_sends_before_it_distributes():
    for part in assignments("private", 2):
        is_send = ["xinge" in name for name in part]
        assert is_send == sorted(is_send, reverse=True)


def first_looks(redis_client: Redis, lane: str, times: int) -> list[list[str]]:
    """Into which queues a worker of the whole lane looks, in which order, each time."""
    [names] = assignments(lane, 1)
    leases = ShardLeases(redis_client, names if lane in lanes.SHARDED else [])
    leases.renew()
    made = [Queue(name, connection=redis_client, serializer="json") for name in names]
    worker = ShardWorker(made, connection=redis_client, serializer="json")
    worker.leases = leases
    return [[one.name for one in worker._ordered_queues] for _ in range(times)]


def test_every_shard_has_its_turn_at_being_first_and_sending_always_comes_first(
    redis_client: Redis, settings: Settings
):
    settings.QUEUE_MAX = 4
    looks = first_looks(redis_client, "group", 8)
    sending = {lanes.send_queue("group", n) for n in range(1, 5)}
    assert all(set(look[:4]) == sending for look in looks)
    for place in (0, 4):
        firsts = [look[place] for look in looks]
        assert {firsts.count(name) for name in firsts} == {2}
        assert len(set(firsts)) == 4


def test_a_lane_without_shards_keeps_sending_first(redis_client: Redis):
    assert first_looks(redis_client, "system", 3) == [lanes.queue_names("system", 4)] * 3


# --- leases -----------------------------------------------------------------------------------


def leases(client: Redis, *names: str, holder: str = "one") -> ShardLeases:
    made = ShardLeases(client, names)
    made.holder = holder
    return made


def test_a_free_shard_is_taken_and_kept(redis_client: Redis):
    one = leases(redis_client, "a", "b")
    for _ in range(2):
        one.renew()
        assert one.owned == {"a", "b"}


def test_a_shard_that_another_holds_is_left_alone(redis_client: Redis):
    one, other = leases(redis_client, "a"), leases(redis_client, "a", "b", holder="other")
    one.renew()
    other.renew()
    assert (one.owned, other.owned) == ({"a"}, {"b"})


def test_a_lease_ends_by_itself(redis_client: Redis, settings: Settings):
    leases(redis_client, "a").renew()
    milliseconds: Any = redis_client.pttl(LEASE_KEY.format(name="a"))
    assert 0 < milliseconds <= settings.SHARD_LEASE_SECONDS * 1_000


def test_a_released_shard_is_free_at_once(redis_client: Redis):
    one, other = leases(redis_client, "a"), leases(redis_client, "a", holder="other")
    one.renew()
    one.release()
    other.renew()
    assert other.owned == {"a"}


def test_nobody_releases_what_another_has_taken_meanwhile(redis_client: Redis):
    one = leases(redis_client, "a")
    one.renew()
    redis_client.set(LEASE_KEY.format(name="a"), "other")
    one.release()
    assert redis_client.get(LEASE_KEY.format(name="a")) == b"other"


def test_a_lost_lease_is_noticed(redis_client: Redis):
    one = leases(redis_client, "a", "b")
    one.renew()
    redis_client.set(LEASE_KEY.format(name="a"), "other", px=30_000)
    one.renew()
    assert one.owned == {"b"}


def test_two_processes_of_one_host_name_and_pid_are_two(redis_client: Redis):
    """A container that starts anew is called like its predecessor, which may live a little longer."""
    one, other = ShardLeases(redis_client, ["a"]), ShardLeases(redis_client, ["a"])
    one.renew()
    other.renew()
    assert (one.owned, other.owned) == ({"a"}, set())
    other.release()
    assert redis_client.get(LEASE_KEY.format(name="a")) == one.holder.encode()


def test_a_lease_that_could_not_be_renewed_in_time_is_nobody_s(redis_client: Redis, monkeypatch: pytest.MonkeyPatch):
    now = time.monotonic()
    monkeypatch.setattr(shards, "time", SimpleNamespace(monotonic=lambda: now))
    one = ShardLeases(redis_client, ["a"])
    one.renew()
    assert one.owned == {"a"}
    now += settings.SHARD_LEASE_SECONDS
    assert one.owned == set()
    one.renew()
    assert one.owned == {"a"}


def test_without_redis_nothing_is_taken_and_nothing_raised(settings: Settings):
    with Redis(port=processes.free_port()) as nowhere:
        one = ShardLeases(nowhere, ["a"])
        one.start()
        assert not one.stand_by(burst=True)
        one.release()


def test_a_worker_is_not_seen_for_longer_than_it_takes_to_miss_it(redis_client: Redis):
    worker = ShardWorker(
        [Queue("hg_xinge_queue", connection=redis_client)], name="system-x", connection=redis_client, worker_ttl=25
    )
    worker.birth_date = timezone.now()
    worker.heartbeat()
    assert (queues.worker_names(), queues.serving("system", queues.worker_names())) == (["system-x"], 1)
    alive: Any = redis_client.ttl(worker.key)
    assert 0 < alive <= ALIVE_SECONDS
    # In a job of ten minutes, RQ would show a killed one for eleven.
    worker.heartbeat(660)
    busy: Any = redis_client.ttl(worker.key)
    assert 0 < busy <= BUSY_SECONDS


def test_a_redis_that_has_forgotten_a_worker_learns_of_it_again(redis_client: Redis):
    worker = ShardWorker(
        [Queue("hg_xinge_queue", connection=redis_client)], name="system-x", connection=redis_client, worker_ttl=25
    )
    worker.birth_date = timezone.now()
    worker.heartbeat()
    redis_client.delete(worker.key, "rq:workers", "rq:workers:hg_xinge_queue")
    assert queues.worker_names() == []
    worker.heartbeat()
    assert queues.worker_names() == ["system-x"]
    assert ShardWorker.count(queue=worker.queues[0]) == 1


def test_without_shards_there_is_nothing_to_wait_for(redis_client: Redis):
    assert leases(redis_client).stand_by(burst=False)


def test_in_burst_mode_nobody_waits_for_a_shard(redis_client: Redis):
    one = leases(redis_client, "a")
    assert not one.stand_by(burst=True)
    one.renew()
    assert one.stand_by(burst=True)


# --- the command's refusals -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("sms",), "LANE 'sms'"), (("system", "--processes=0"), "--processes 0"), (("system", "--processes=-1"), "-1")],
)
def test_the_command_refuses_by_name_and_value(arguments: tuple[str, ...], said: str):
    with pytest.raises(CommandError, match=said):
        call_command("runworkers", *arguments)


def test_the_command_needs_a_redis_of_its_own(settings: Settings):
    settings.REDIS_URL = ""
    with pytest.raises(CommandError, match="REDIS_URL is not set"):
        call_command("runworkers", "all")


# --- real processes ---------------------------------------------------------------------------

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(process_environment: dict[str, str], redis_client: Redis, tmp_path: Path) -> Iterator[Start]:
    """`start("group", …)` runs `manage.py runworkers`; all are ended with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*arguments: object, **variables: object) -> subprocess.Popen[bytes]:
        environment = process_environment | {"QUEUE_MAX": "2", "SHARD_LEASE_SECONDS": str(LEASE_SECONDS)}
        environment |= {name: str(value) for name, value in variables.items()}
        with (tmp_path / f"log-{len(running)}").open("wb") as log:
            command = [sys.executable, BASE_DIR / "manage.py", "runworkers", *arguments]
            running.append(processes.start(command, log=log, environment=environment, folder=BASE_DIR))
        return running[-1]

    yield run
    for process in running:
        processes.stop(process)


def wait_until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def children(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def holders(client: Redis, lane: str = "group") -> list[bytes | None]:
    """Who holds each of the lane's leases."""
    values: Any = client.mget([LEASE_KEY.format(name=name) for name in lanes.queue_names(lane, 2)])
    return list(values)


def is_served_by(client: Redis, pid: int) -> bool:
    return all(holder is not None and f":{pid}:".encode() in holder for holder in holders(client))


def workers_up(client: Redis) -> int:
    number: Any = client.scard("rq:workers")
    return int(number)


def has_workers(number: int) -> bool:
    """Those that were killed count as long as nobody can know."""
    return len(queues.worker_names()) == number


def chat(number: int = 1) -> list[int]:
    """Messages to nobody: distributing them needs no device and no provider."""
    messages = [make_message(kind=Kind.GROUP, conversation=f"group:{n}") for n in range(number)]
    return submit(messages).record_ids


def are_distributed(ids: list[int]) -> bool:
    return PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() == len(ids)


@pytest.fixture(autouse=True)
def two_shards(settings: Settings) -> None:
    """The processes' QUEUE_MAX, here too."""
    settings.QUEUE_MAX = 2


def test_burst_mode_ends_when_every_lanes_queues_are_empty(start: Start):
    ids = chat(6) + submit([make_message(), make_message(kind=Kind.PRIVATE, conversation="p")]).record_ids
    assert start("all", "--burst", "--processes", 2).wait(timeout=60) == 0
    assert are_distributed(ids)
    assert DeliveryResult.objects.filter(status=Status.SKIPPED).count() == 8
    assert sum(queues.lane_depth(lane) for lane in lanes.LANES) == 0


def test_a_second_worker_stands_by_and_takes_over_when_the_first_is_killed(start: Start, redis_client: Redis):
    first = start("group")
    wait_until(lambda: is_served_by(redis_client, first.pid))
    second = start("group")
    ids = chat(4)
    wait_until(lambda: are_distributed(ids))
    time.sleep(1)
    assert is_served_by(redis_client, first.pid)
    assert second.poll() is None

    os.kill(first.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    first.wait()
    ids = chat(4)
    wait_until(lambda: are_distributed(ids))
    assert is_served_by(redis_client, second.pid)
    assert time.monotonic() - killed_at < LEASE_SECONDS + 8


@pytest.mark.parametrize("lane", ["system", "group"])
def test_killed_and_started_anew_in_a_container_a_worker_works_at_once(
    process_environment: dict[str, str], redis_client: Redis, lane: str
):
    """Each is process 1 of its own, on the same host."""
    own = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a PID namespace")
    command = [*own, sys.executable, BASE_DIR / "manage.py", "runworkers", lane]
    environment = process_environment | {"QUEUE_MAX": "2", "SHARD_LEASE_SECONDS": str(LEASE_SECONDS)}
    for number in (1, 2):
        process = processes.start(command, environment=environment, folder=BASE_DIR)
        wait_until(partial(has_workers, number), seconds=15)
        ids = chat(3) if lane == "group" else submit([make_message("nobody")]).record_ids
        wait_until(partial(are_distributed, ids), seconds=15)
        [inner] = children(process)
        inner.kill()
        process.wait()
    # The killed ones are still there, under other names.
    names = queues.worker_names()
    assert len(set(names)) == 2
    assert {name.rpartition("-")[0] for name in names} == {names[0].rpartition("-")[0]}


def test_a_worker_leaves_the_shards_of_another_alone(start: Start, redis_client: Redis):
    for name in (lanes.send_queue("group", 2), lanes.distribute_queue("group", 2)):
        redis_client.set(LEASE_KEY.format(name=name), "another", px=60_000)
    ids = chat(8)
    assert start("group", "--burst").wait(timeout=60) == 0
    served = PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED)
    assert set(served.values_list("shard", flat=True)) == {1}
    assert queues.depths([lanes.distribute_queue("group", 2)]) == {lanes.distribute_queue("group", 2): 1}


def test_a_worker_that_ends_in_good_order_hands_over_at_once(start: Start, redis_client: Redis):
    first = start("group", SHARD_LEASE_SECONDS=600)
    wait_until(lambda: is_served_by(redis_client, first.pid))
    first.terminate()
    assert first.wait(timeout=20) == 0
    assert holders(redis_client) == [None] * 4


def test_idle_workers_end_promptly_and_cleanly_on_sigterm(start: Start, redis_client: Redis):
    process = start("system", "--processes", 2)
    wait_until(lambda: workers_up(redis_client) == 2)
    time.sleep(0.3)  # let them reach their wait for a job, which lasts 10 s
    asked_at = time.monotonic()
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - asked_at < 5
    assert workers_up(redis_client) == 0


def test_when_one_process_is_killed_all_end_so_that_the_supervisor_starts_anew(start: Start, redis_client: Redis):
    process = start("system", "--processes", 2)
    wait_until(lambda: workers_up(redis_client) == 2)
    others = children(process)
    others[0].kill()
    assert process.wait(timeout=20) == 1
    wait_until(lambda: not any(other.is_running() for other in others))


def test_no_process_outlives_its_killed_parent(start: Start, redis_client: Redis):
    process = start("group", "--processes", 2)
    wait_until(lambda: workers_up(redis_client) == 2)
    left = children(process)
    assert len(left) == 2
    process.kill()
    process.wait()
    wait_until(lambda: not any(child.is_running() for child in left), seconds=10)


def test_a_job_under_way_is_finished_before_the_end(start: Start, redis_client: Redis, settings: Settings):
    process = start("system")
    wait_until(lambda: workers_up(redis_client) == 1)
    ids = submit([make_message() for _ in range(300)]).record_ids
    process.terminate()
    process.wait(timeout=20)
    # Either the job was not begun, or it is done: nothing in between.
    assert PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() in (0, 300)
    # RQ may have taken it from its queue the moment before: then it is the sweeper that brings it back.
    sweep(now=timezone.now() + timedelta(seconds=settings.STUCK_SECONDS))
    assert start("system", "--burst").wait(timeout=60) == 0
    assert are_distributed(ids)
