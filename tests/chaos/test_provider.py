"""The provider misbehaves for a while, and is well again."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.chaos.case import Case, Verdict
from tests.chaos.producers import Plan
from tests.chaos.world import ANDROID_KEY, World

pytestmark = pytest.mark.chaos

CALLS = 40


def misbehaved(world: World, seed: int, *profiles: str) -> Verdict:
    """A run during which the provider shows one profile after the other, under the key of most devices."""
    case = Case(world, f"provider-{profiles[0]}", Plan(system=300 * len(profiles), seconds=1.2 * len(profiles)), seed)
    for number, profile in enumerate(profiles):
        case.misbehave(profile, access_id=ANDROID_KEY, calls=CALLS, after=1.2 * number, seconds=0.7)
    return case.run()


def test_a_provider_that_says_no_gets_every_push_later(world: World, seed: int) -> None:
    verdict = misbehaved(world, seed, "busy503", "throttle")
    assert verdict.faults == {}, world.family.logs()
    assert verdict.audit.numbers["accepted"] == 600
    assert verdict.audit.numbers["resent"] == 0


def test_a_call_that_was_never_answered_ends_unknown_or_is_made_again(world: World, seed: int) -> None:
    verdict = misbehaved(world, seed, "error500", "hang", "cut", "garbage")
    assert verdict.faults == {}, world.family.logs()
    numbers = verdict.audit.numbers
    assert 0 < numbers["unknown"] <= 4 * CALLS
    assert numbers["accepted"] + numbers["unknown"] == 1_200
    # None of these profiles takes a push, so what is unknown did not arrive, and nothing arrived twice.
    assert numbers["unknown_received"] == numbers["resent"] == 0


def test_an_answer_lost_on_the_way_back_is_sent_twice_only_where_the_type_wants_it(world: World, seed: int) -> None:
    verdict = misbehaved(world, seed, "cut_after")
    assert verdict.faults == {}, world.family.logs()
    numbers = verdict.audit.numbers
    assert 0 < numbers["unknown"] == numbers["unknown_received"]
    assert numbers["accepted"] + numbers["unknown"] == 300
    assert 0 < numbers["resent"] <= CALLS


@contextlib.contextmanager
def living(world: World, push_type: int, seconds: int) -> Iterator[None]:
    """Give a push type another time to live, as an operator would."""
    policy = f"UPDATE pushes_pushtypepolicy SET ttl_seconds = %d WHERE push_type = {push_type}"
    world.database.change(policy % seconds)
    yield
    world.database.change(policy % 86_400)


def test_nothing_is_sent_after_its_expiry(world: World, seed: int) -> None:
    case = Case(world, "expiry", Plan(system=200, seconds=1.5, types=(17, 5)), seed)
    case.misbehave("busy503", access_id=ANDROID_KEY, calls=10_000, after=0, seconds=3)
    with living(world, push_type=17, seconds=2):
        verdict = case.run()
    assert verdict.faults == {}, world.family.logs()
    numbers = verdict.audit.numbers
    assert numbers["expired"] > 0
    assert numbers["accepted"] + numbers["expired"] == 200
