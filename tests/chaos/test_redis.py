"""Redis forgets everything, dies, refuses or holds a stranger's jobs, while messages of all kinds come in."""

import pytest

from tests.chaos.case import Case
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos

ALL_KINDS = Plan(system=400, group=30, private=100, seconds=2.5)


def test_a_flush_loses_only_what_had_not_left_the_producers_list(world: World, seed: int) -> None:
    case = Case(world, "flush", ALL_KINDS, seed)
    case.flush_redis(times=3)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] >= 530 - verdict.destroyed


def test_a_redis_that_keeps_its_data_loses_nothing_when_killed(world: World, seed: int) -> None:
    case = Case(world, "redis-kept", ALL_KINDS, seed)
    case.restart_redis(with_data=True)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.destroyed == 0
    assert verdict.audit.numbers["records"] == 530


def test_a_redis_that_forgets_loses_only_what_had_not_been_accepted(world: World, seed: int) -> None:
    case = Case(world, "redis-lost", ALL_KINDS, seed)
    case.restart_redis(with_data=False)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] >= 530 - verdict.destroyed


def test_a_redis_that_is_full_for_a_while_loses_nothing(world: World, seed: int) -> None:
    case = Case(world, "redis-full", ALL_KINDS, seed)
    case.fill_redis(seconds=1)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == 530
    assert verdict.audit.numbers.get("unknown", 0) == verdict.audit.numbers["resent"] == 0


def test_a_redis_that_refuses_for_a_while_ends_no_process_and_loses_nothing(world: World, seed: int) -> None:
    case = Case(world, "redis-refuses", ALL_KINDS, seed)
    case.refuse_redis(seconds=3, times=2)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == 530
    assert verdict.restarts == 0, world.family.logs()
    assert verdict.audit.numbers.get("unknown", 0) == verdict.audit.numbers["resent"] == 0


def test_planted_jobs_run_nothing_and_hold_up_nothing(world: World, seed: int) -> None:
    case = Case(world, "planted", ALL_KINDS, seed)
    case.plant_jobs(100, times=3)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == 530
    assert verdict.restarts == 0, world.family.logs()
    world.pause(3)  # the workers count them within a second
    assert world.database.rows("SELECT SUM(count) FROM pushes_refusedjob")[0][0] > 200
