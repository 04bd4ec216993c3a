from collections import Counter

import pytest

from pushes.sandbox.faults import PROFILES, Fault, Faults, ProfileError, profile_from


def test_without_a_profile_all_is_well():
    assert Faults().pick(1)[0] is Fault.OK


def test_a_profile_is_for_its_key():
    faults = Faults()
    faults.set(profile_from({"profile": "cut"}), 1)
    assert (faults.pick(1)[0], faults.pick(2)[0], faults.pick(None)[0]) == (Fault.CUT, Fault.OK, Fault.OK)


def test_a_profile_for_all():
    faults = Faults()
    faults.set(profile_from({"profile": "hang"}))
    assert faults.pick(5)[0] is Fault.HANG


def test_a_profile_may_be_for_some_calls_only():
    faults = Faults()
    faults.set(profile_from({"profile": "cut", "times": 2}))
    assert [faults.pick(1)[0] for _ in range(3)] == [Fault.CUT, Fault.CUT, Fault.OK]


def test_resetting_returns_to_the_start():
    faults = Faults(profile_from({"profile": "slow"}))
    faults.set(profile_from({"profile": "cut"}), 1)
    faults.set(profile_from({"profile": "hang"}))
    faults.reset()
    assert (faults.pick(1)[0], faults.pick(2)[0]) == (Fault.SLOW, Fault.SLOW)


def test_flaky_keeps_to_its_rates():
    profile = profile_from({"profile": "flaky", "rates": {"cut": 20, "busy503": 30}})
    found = Counter(profile.next_fault() for _ in range(10_000))
    assert set(found) == {Fault.CUT, Fault.BUSY503, Fault.OK}
    assert 0.18 < found[Fault.CUT] / 10_000 < 0.22
    assert 0.28 < found[Fault.BUSY503] / 10_000 < 0.32


def test_flaky_repeats_itself_with_the_same_seed():
    first, second = (profile_from({"profile": "flaky", "seed": 5}) for _ in range(2))
    assert [first.next_fault() for _ in range(100)] == [second.next_fault() for _ in range(100)]


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_set(name):
    assert profile_from({"profile": name}).next_fault() in Fault


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "profile=None"),
        ({"profile": "broken"}, "profile='broken': it must be one of ok, slow"),
        ({"profile": "slow", "latency_ms": "x"}, "latency_ms='x'"),
        ({"profile": "slow", "latency_ms": -1}, "latency_ms=-1"),
        ({"profile": "ok", "times": True}, "times=True"),
        ({"profile": "error500", "status": 200}, "status=200: a number of at least 400"),
        ({"profile": "flaky", "rates": [1]}, r"rates=\[1\]: an object"),
        ({"profile": "flaky", "rates": {"boom": 1}}, "'boom' is no fault"),
        ({"profile": "flaky", "rates": {"cut": 60, "hang": 50}}, "together they exceed 100"),
        ({"profile": "ok", "colour": 1}, r"\['colour'\]: no such fields"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused(body, message):
    with pytest.raises(ProfileError, match=message):
        profile_from(body)
