"""Connections to MariaDB that stay open and say nothing any more: a power cut, a forgotten NAT entry, a hung proxy."""

import pytest

from tests.chaos.case import Case
from tests.chaos.dumb import DumbProxy
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos


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
