"""Clusters change their leaders while messages come in: the master of Redis fails, whose replicas do not have
everything yet, and other members of MongoDB's replica set become the primary.

In one module, since their world is costly to make, and costs as much again while the suite's other tests run.
"""

import pytest

from tests.chaos.case import Case
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos

ALL_KINDS = Plan(system=400, group=30, private=100, seconds=3)
CHATS = Plan(group=40, private=160, seconds=3)
#: Within which everything goes on, without a process being started anew.
MAX_SECONDS = 30


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_fail_over_loses_and_doubles_nothing(cluster_world: World, seed: int, how: str) -> None:
    case = Case(cluster_world, f"master-{how}", ALL_KINDS, seed)
    case.fail_over(how)
    verdict = case.run()
    assert verdict.faults == {}, cluster_world.family.logs()
    assert verdict.audit.numbers["records"] == 530
    assert verdict.restarts == 0, cluster_world.family.logs()
    assert verdict.seconds_to_end < MAX_SECONDS


def test_a_step_down_and_a_killed_primary_lose_and_double_no_message(cluster_world: World, seed: int) -> None:
    case = Case(cluster_world, "primaries", CHATS, seed)
    case.elect_primary("step down")
    case.elect_primary("kill")
    verdict = case.run()
    assert verdict.faults == {}, cluster_world.family.logs()
    assert verdict.audit.numbers["records"] == 200
    assert verdict.restarts == 0, cluster_world.family.logs()
    # Nobody waits for the next poll for good.
    cluster_world.wait_until_ready(doorbell=True)
