"""SIGKILL of every kind of process, at random moments, while messages of all kinds come in."""

import pytest

from tests.chaos.case import Case
from tests.chaos.family import SENDERS
from tests.chaos.producers import Plan
from tests.chaos.world import World

pytestmark = pytest.mark.chaos

ALL_KINDS = Plan(system=400, group=30, private=100, seconds=3)


def test_killed_intakes_lose_and_double_nothing(world: World, seed: int) -> None:
    case = Case(world, "intake", Plan(system=900, seconds=3), seed)
    case.kill("intake", times=2)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.kills == {"intake": 2}
    assert verdict.audit.numbers["accepted"] == verdict.audit.numbers["records"] == 900


def test_killed_senders_leave_at_most_a_window_each_in_doubt(world: World, seed: int) -> None:
    case = Case(world, "senders", ALL_KINDS, seed, latency_ms=20)
    for name in SENDERS:
        case.kill(name)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.kills == dict.fromkeys(SENDERS, 1)


def test_killed_scanners_and_sweepers_lose_and_double_nothing(world: World, seed: int) -> None:
    case = Case(world, "scanners", ALL_KINDS, seed)
    for name in ("scanner-group", "scanner-private", "sweeper"):
        case.kill(name)
    verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["records"] == 530
    assert verdict.audit.numbers.get("unknown", 0) == 0
