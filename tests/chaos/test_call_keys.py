"""A provider that pushes once for each call key: whatever happens to a call, its phone rings once, for certain."""

import pytest

from tests.chaos.case import Case, Verdict
from tests.chaos.family import SENDERS
from tests.chaos.producers import GROUP_SIZE, KEEPING, Plan
from tests.chaos.world import KEYED_KEY, World

pytestmark = pytest.mark.chaos

#: Single pushes, and lists to the members of a group. Types that keep what is unknown: nothing may be sent twice.
PLAN = Plan(system=300, group=30, private=60, seconds=3.5, types=KEEPING)
DELIVERIES = PLAN.system + PLAN.group * (GROUP_SIZE - 1) + PLAN.private
#: In per cent. Half of the calls go wrong in some way.
RATES = {"cut_after": 10, "hang_after": 5, "half_after": 10, "cut": 10, "garbage": 5, "error500": 5, "busy503": 5}


def assert_each_phone_rang_once(world: World, verdict: Verdict) -> None:
    assert verdict.faults == {}, world.family.logs()
    numbers = verdict.audit.numbers
    assert numbers["accepted"] == numbers["deliveries"] == numbers["receipts"] == DELIVERIES
    assert numbers["may_have_arrived"] == 0


def calls_made_again(world: World) -> int:
    """How many calls there were beyond those that the provider pushed for."""
    pushed = world.sandbox.counts(by="push_id")["distinct"]
    return int(world.sandbox.stats()["by_path"]["/v3/push"]) - int(pushed)


def test_an_answer_lost_on_the_way_back_is_asked_for_again(world: World, seed: int) -> None:
    case = Case(world, "keys-lost", PLAN, seed, is_keyed=True)
    for number, profile in enumerate(("cut_after", "hang_after", "half_after")):
        case.misbehave(profile, access_id=KEYED_KEY, calls=20, after=1.1 * number, seconds=0.8)
    verdict = case.run()
    assert_each_phone_rang_once(world, verdict)
    assert calls_made_again(world) > 0


def test_a_provider_that_fails_in_every_way_pushes_once(world: World, seed: int) -> None:
    case = Case(world, "keys-flaky", PLAN, seed, is_keyed=True)
    case.misbehave("flaky", access_id=KEYED_KEY, calls=10_000, after=0, seconds=4, rates=RATES, seed=seed)
    verdict = case.run()
    assert_each_phone_rang_once(world, verdict)
    assert calls_made_again(world) > 0


def test_senders_killed_during_their_calls_leave_nothing_in_doubt(world: World, seed: int) -> None:
    case = Case(world, "keys-killed", PLAN, seed, latency_ms=300, is_keyed=True)
    for name in SENDERS:
        case.kill(name)
    verdict = case.run()
    assert_each_phone_rang_once(world, verdict)
    assert verdict.kills == dict.fromkeys(SENDERS, 1)
    assert calls_made_again(world) > 0
