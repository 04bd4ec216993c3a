"""Connections to MariaDB that stay open and say nothing any more: a power cut, a forgotten NAT entry, a hung proxy."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes
from pushes import lanes
from pushes.workers import pulse
from pushes.workers.shards import LEASE_KEY
from tests.chaos.case import Case
from tests.chaos.conftest import NAME
from tests.chaos.databases import MariaDb, MariaDbDatabase
from tests.chaos.dumb import DumbProxy, dumb_proxy
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos

MANAGE = (sys.executable, BASE_DIR / "manage.py")


def plan(world: World) -> Plan:
    """Of every kind that this world has processes for."""
    return Plan(system=400, group=20, private=60, seconds=3) if world.mongod else Plan(system=400, seconds=3)


@pytest.mark.parametrize("new_too", [False, True])
def test_dumb_connections_lose_and_double_nothing(
    mariadb_world: World, mariadb_proxy: DumbProxy, seed: int, new_too: bool
) -> None:
    world = mariadb_world
    case = Case(world, f"dumb{int(new_too)}", plan(world), seed, latency_ms=20)
    case.go_dumb(mariadb_proxy, seconds=4, new_too=new_too)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == sum((case.plan.system, case.plan.group, case.plan.private))
    assert verdict.seconds_to_end < 40


def test_a_machine_without_its_database_gives_its_shards_to_the_other(
    mariadb_world: World, mariadb: MariaDb, tmp_path: Path
) -> None:
    """Two machines, both of which reach Redis: one of them loses its way to the database."""
    world, names = mariadb_world, lanes.send_queues(lanes.GROUP, 2)
    with dumb_proxy(mariadb.port) as proxy, embedded.running(embedded.Valkey(tmp_path / "valkey")) as valkey:
        own = {**world.environment, "REDIS_URL": valkey.url}
        cut_off = {**own, "DATABASE_URL": MariaDbDatabase(mariadb.url, NAME, through=proxy.port).url}
        first = processes.start([*MANAGE, "runworkers", "group"], environment=cut_off, folder=BASE_DIR)
        try:
            with redis.Redis.from_url(valkey.url, socket_timeout=5) as client:
                wait_until(lambda: all(holders(client, names)))
                proxy.go_dumb()
                second = processes.start([*MANAGE, "runworkers", "group"], environment=own, folder=BASE_DIR)
                try:
                    wait_until(lambda: all(f":{second.pid}" in holder for holder in holders(client, names)))
                    wait_until(lambda: client.smembers(pulse.NAMES_KEY))
                finally:
                    processes.stop(second)
        finally:
            processes.stop(first)


def holders(client: "redis.Redis", names: list[str]) -> list[str]:
    found: Any = client.mget([LEASE_KEY.format(name=name) for name in names])
    return [(holder or b"").decode() for holder in found]


def wait_until(is_so: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
