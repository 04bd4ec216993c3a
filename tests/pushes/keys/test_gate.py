"""The gate of an app key on a real Redis: the shared rate, the breaker, the provider's own wishes."""

import threading
import time
from typing import Any

import pytest
from pytest_django import Settings
from redis import Redis, RedisError

from pushes.keys import gate
from pushes.keys.gate import admit, forget, report, seconds_shut, state, states
from tests.pushes.rows import leave_redis
from tests.together import together

KEY, OTHER = 7, 8


@pytest.fixture(autouse=True)
def breaker(redis_client: Redis, settings: Settings) -> None:
    settings.BREAKER_FAILURES, settings.BREAKER_BASE_SECONDS, settings.BREAKER_MOST_SECONDS = 3, 5.0, 18.0


def trip(failures: int = 3) -> None:
    assert report(KEY, answered=0, failed=failures)


def let_time_pass(redis_client: Redis) -> None:
    """The breaker's time is over."""
    redis_client.hset(gate.KEY.format(key_id=KEY), "open_until", "1")


# --- rate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [None, 0])
def test_a_key_without_a_rate_lets_everything_through(rate: int | None):
    assert [admit(KEY, 1_000, rate).granted for _ in range(3)] == [1_000] * 3


def test_a_full_bucket_holds_one_seconds_calls():
    admission = admit(KEY, 25, 10)
    assert admission.granted == 10
    assert admission.spacing_seconds == pytest.approx(0.1)
    assert 0 < admission.wait_seconds <= 0.11


def test_without_a_rate_there_is_nothing_to_spread():
    assert admit(KEY, 5, None) == gate.Admission(granted=5, wait_seconds=0.0, spacing_seconds=0.0)


def test_the_bucket_fills_at_the_keys_rate():
    admit(KEY, 20, 20)
    started = time.monotonic()
    time.sleep(0.25)
    granted = admit(KEY, 100, 20).granted
    assert 4 <= granted <= 20 * (time.monotonic() - started) + 1


def test_what_is_postponed_later_waits_behind_what_was_postponed_before():
    waits = [admit(KEY, 10, 10).wait_seconds for _ in range(4)]
    assert waits[0] == 0
    assert waits[1] == pytest.approx(0.1, abs=0.05)
    assert waits[2] - waits[1] > 0.5
    assert waits[3] - waits[2] > 0.5


def test_keys_do_not_share_a_bucket():
    admit(KEY, 10, 10)
    assert admit(OTHER, 10, 10).granted == 10


def test_asking_for_nothing_takes_nothing():
    assert admit(KEY, 0, 10).granted == 0
    assert admit(KEY, 10, 10).granted == 10


def test_a_lowered_rate_holds_at_once():
    admit(KEY, 1, 100)
    assert admit(KEY, 100, 10).granted <= 10


def test_many_workers_together_never_exceed_the_rate():
    rate, seconds = 50, 2.0
    granted: list[int] = []
    started = time.monotonic()

    def work() -> None:
        while time.monotonic() - started < seconds:
            granted.append(admit(KEY, 7, rate).granted)
            time.sleep(0.002)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    elapsed = time.monotonic() - started
    # What the bucket held, and what flowed into it meanwhile.
    assert rate * seconds * 0.9 <= sum(granted) <= rate * (1 + elapsed)


# --- breaker ----------------------------------------------------------------------------------


def test_the_breaker_trips_after_a_run_of_failures():
    assert [report(KEY, answered=0, failed=1) for _ in range(3)] == [False, False, True]
    admission = admit(KEY, 10, None)
    assert admission.granted == 0
    assert 4 < admission.wait_seconds <= 5
    assert 4 < seconds_shut(KEY) <= 5


def test_an_answer_in_between_ends_the_run():
    report(KEY, answered=0, failed=2)
    report(KEY, answered=1, failed=2)
    assert not report(KEY, answered=0, failed=2)
    assert admit(KEY, 10, None).granted == 10


def test_one_keys_breaker_is_no_other_keys():
    trip()
    assert admit(OTHER, 10, None).granted == 10


def test_the_failures_of_one_outage_trip_it_once():
    """A window under way when the breaker trips fails as well: that is no reason to stay shut for longer."""
    trip()
    for _ in range(10):
        report(KEY, answered=0, failed=128)
    assert 4 < seconds_shut(KEY) <= 5


def test_when_its_time_is_over_one_probe_is_let_through(redis_client: Redis, settings: Settings):
    trip()
    let_time_pass(redis_client)
    assert admit(KEY, 10, None).granted == 1
    assert admit(KEY, 10, None).granted == 0
    assert settings.CALL_TIMEOUT_SECONDS - 1 < seconds_shut(KEY) <= settings.CALL_TIMEOUT_SECONDS


def test_many_workers_together_send_one_probe(redis_client: Redis):
    trip()
    let_time_pass(redis_client)
    granted = together([lambda: admit(KEY, 50, 100).granted] * 6)
    assert sorted(granted) == [0, 0, 0, 0, 0, 1]


def test_a_probe_whose_answer_never_comes_is_followed_by_another(redis_client: Redis):
    trip()
    for _ in range(3):
        let_time_pass(redis_client)
        assert admit(KEY, 10, None).granted == 1


def test_an_answered_probe_closes_the_breaker(redis_client: Redis):
    trip()
    let_time_pass(redis_client)
    admit(KEY, 1, None)
    assert not report(KEY, answered=1, failed=0)
    assert admit(KEY, 10, None).granted == 10
    assert not state(KEY).is_tripped


def test_every_failed_probe_doubles_the_time_up_to_the_most(redis_client: Redis):
    trip()
    shut = []
    for _ in range(4):
        shut.append(seconds_shut(KEY))
        let_time_pass(redis_client)
        admit(KEY, 1, None)
        report(KEY, answered=0, failed=1)
    shut.append(seconds_shut(KEY))
    assert shut == [pytest.approx(expected, abs=1) for expected in (5, 10, 18, 18, 18)]


def test_after_an_answer_the_doubling_starts_anew(redis_client: Redis):
    trip()
    let_time_pass(redis_client)
    admit(KEY, 1, None)
    report(KEY, answered=0, failed=1)
    report(KEY, answered=1, failed=0)
    trip()
    assert 4 < seconds_shut(KEY) <= 5


# --- the provider's wishes --------------------------------------------------------------------


def test_a_pause_that_the_provider_asks_for_is_kept_without_tripping():
    assert not report(KEY, answered=0, failed=0, pause_seconds=30)
    assert admit(KEY, 1, None).granted == 0
    assert state(KEY).is_tripped is False
    assert 29 < state(KEY).seconds_left <= 30


def test_a_shorter_wish_does_not_end_a_longer_pause():
    report(KEY, answered=0, failed=0, pause_seconds=30)
    report(KEY, answered=0, failed=0, pause_seconds=1)
    assert seconds_shut(KEY) > 28


def test_after_a_pause_everything_goes_on(redis_client: Redis):
    report(KEY, answered=0, failed=0, pause_seconds=30)
    let_time_pass(redis_client)
    assert admit(KEY, 10, None).granted == 10


# --- soft state -------------------------------------------------------------------------------


def test_a_key_that_nothing_is_known_of_is_open():
    assert state(KEY) == gate.GateState(is_tripped=False, seconds_left=0.0)
    assert seconds_shut(KEY) == 0


def test_forgetting_opens_the_gate():
    trip()
    forget(KEY)
    assert admit(KEY, 10, None).granted == 10


def test_losing_redis_data_costs_nothing_but_a_few_calls(redis_client: Redis):
    trip()
    redis_client.delete(gate.KEY.format(key_id=KEY))
    redis_client.script_flush()
    assert admit(KEY, 10, None).granted == 10


def test_what_is_known_of_a_key_is_forgotten_after_an_hour(redis_client: Redis):
    admit(KEY, 1, 10)
    seconds: Any = redis_client.ttl(gate.KEY.format(key_id=KEY))
    assert 0 < seconds <= 3_600


@pytest.mark.parametrize("rate", [None, 10])
def test_a_clock_that_was_put_back_by_a_day_shuts_no_key_for_a_day(redis_client: Redis, rate: int | None):
    admit(KEY, 1, rate)
    tomorrow = str(time.time() + 86_400)
    redis_client.hset(gate.KEY.format(key_id=KEY), mapping=dict.fromkeys(("open_until", "at", "line"), tomorrow))
    assert seconds_shut(KEY) == 0
    admission = admit(KEY, 100, rate)
    assert admission.granted >= 9
    assert admission.wait_seconds < 10


def test_the_longest_pause_is_kept_and_none_is_longer(settings: Settings):
    report(KEY, answered=0, failed=0, pause_seconds=gate.STATE_SECONDS)
    assert seconds_shut(KEY) > gate.STATE_SECONDS - 10
    forget(KEY)
    settings.BREAKER_BASE_SECONDS = settings.BREAKER_MOST_SECONDS = 100_000.0
    trip()
    assert seconds_shut(KEY) > gate.STATE_SECONDS - 10


@pytest.mark.parametrize("strange", ["soon", "", "-5", "nan"])
def test_a_time_that_nobody_can_read_shuts_nothing(redis_client: Redis, strange: str):
    redis_client.hset(gate.KEY.format(key_id=KEY), mapping={"open_until": strange, "tripped": "1"})
    assert state(KEY) == gate.GateState(is_tripped=True, seconds_left=0.0)


def test_what_somebody_else_wrote_in_its_place_counts_as_nothing(redis_client: Redis):
    redis_client.set(gate.KEY.format(key_id=KEY), "not a gate")
    assert state(KEY) == gate.GateState(is_tripped=False, seconds_left=0.0)
    assert admit(KEY, 3, None).granted == 3


def test_the_states_of_many_keys_are_told_at_once_whatever_stands_in_one_s_place(redis_client: Redis):
    trip()
    redis_client.set(gate.KEY.format(key_id=OTHER), "not a gate")
    found = states([OTHER, KEY, 9])
    assert found[KEY].is_tripped
    assert 0 < found[KEY].seconds_left <= 5
    assert found[OTHER] == found[9] == gate.GateState(is_tripped=False, seconds_left=0.0)
    assert states([]) == {}


def test_what_was_reported_of_a_key_is_forgotten_after_an_hour(redis_client: Redis):
    report(KEY, answered=0, failed=1)
    seconds: Any = redis_client.ttl(gate.KEY.format(key_id=KEY))
    assert 3_590 < seconds <= 3_600


def test_without_redis_the_gate_says_so(settings: Settings):
    leave_redis(settings)
    for ask in (lambda: admit(KEY, 1, 1), lambda: report(KEY, answered=1, failed=0), lambda: seconds_shut(KEY)):
        with pytest.raises(RedisError):
            ask()
