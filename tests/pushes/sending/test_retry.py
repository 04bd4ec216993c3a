"""What follows from an outcome: every verdict × scope × policy × attempts × time left, against a plain table."""

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.names import Reason, Status
from pushes.sending.retry import Attempt, NextState, Schedule, next_state
from pushes.values import Outcome, Scope, Verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SCHEDULE = Schedule(base_seconds=2.0, most_seconds=300.0, max_attempts=6)
FAR, NEAR = NOW + timedelta(days=1), NOW + timedelta(seconds=0.5)


def after(outcome: Outcome, *, attempts: int = 1, expires_at: datetime = FAR, policy: str = "keep") -> NextState:
    return next_state(outcome, Attempt(attempts, expires_at, policy), SCHEDULE, NOW, lambda: 0.0)


def expected(outcome: Outcome, attempts: int, is_near: bool, policy: str) -> tuple[Status, Reason | None, bool]:
    """Status, reason and whether the attempt counts, from the rules as issue and docstring state them."""
    throttled = outcome.reason is Reason.THROTTLED
    if outcome.verdict is Verdict.ACCEPTED:
        return Status.ACCEPTED, None, True
    if outcome.verdict is Verdict.FAILED and outcome.scope is Scope.KEY:
        return Status.RETRYING, outcome.reason, False
    if outcome.verdict in (Verdict.FAILED, Verdict.BAD_TARGET):
        return Status.FAILED, outcome.reason, True
    if outcome.verdict is Verdict.UNKNOWN and policy == "keep":
        return Status.UNKNOWN, outcome.reason, True
    given_up = Status.UNKNOWN if outcome.verdict is Verdict.UNKNOWN else Status.FAILED
    if attempts >= SCHEDULE.max_attempts and not throttled:
        return given_up, Reason.TOO_MANY_ATTEMPTS, True
    if is_near:
        late = (Status.UNKNOWN, outcome.reason) if given_up is Status.UNKNOWN else (Status.EXPIRED, Reason.TOO_LATE)
        return *late, True
    return Status.RETRYING, outcome.reason, not throttled


def test_every_combination_leads_where_the_table_says():
    reasons = (Reason.THROTTLED, Reason.PROVIDER_BUSY, Reason.NO_ANSWER, Reason.BAD_CREDENTIALS)
    attempts = range(1, SCHEDULE.max_attempts + 2)
    seen = set()
    for verdict, scope, reason, attempt, is_near, policy in itertools.product(
        Verdict, Scope, reasons, attempts, (False, True), ("keep", "resend")
    ):
        outcome = Outcome(verdict, None if verdict is Verdict.ACCEPTED else reason, scope)
        state = after(outcome, attempts=attempt, expires_at=NEAR if is_near else FAR, policy=policy)
        wanted = expected(outcome, attempt, is_near, policy)
        assert (state.status, state.reason, state.counts) == wanted, (outcome, attempt, is_near, policy)
        seen.add(state.status)
    assert seen == {
        Status.ACCEPTED,
        Status.FAILED,
        Status.UNKNOWN,
        Status.RETRYING,
        Status.EXPIRED,
    }


# --- with a call key ----------------------------------------------------------------------------


def keyed(outcome: Outcome, *, is_open: bool = False, attempts: int = 1, expires_at: datetime = FAR) -> NextState:
    attempt = Attempt(attempts, expires_at, "keep", has_call_key=True, is_call_open=is_open)
    return next_state(outcome, attempt, SCHEDULE, NOW, lambda: 0.0)


SILENCE = Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER)
ERROR_503 = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, http_status=503)
THROTTLED = Outcome(Verdict.RETRY, Reason.THROTTLED, Scope.KEY, http_status=429)
UNREACHABLE = Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY)
REFUSED_KEY = Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)


@pytest.mark.parametrize("outcome", [SILENCE, ERROR_503])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_call_whose_fate_is_open_is_made_again(outcome: Outcome, is_open: bool):
    state = keyed(outcome, is_open=is_open)
    assert (state.status, state.keeps_call_key, state.may_have_arrived) == (Status.RETRYING, True, False)


@pytest.mark.parametrize("outcome", [THROTTLED, UNREACHABLE, REFUSED_KEY])
def test_only_what_says_nothing_of_an_earlier_call_keeps_its_key(outcome: Outcome):
    assert keyed(outcome, is_open=True).keeps_call_key
    assert not keyed(outcome).keeps_call_key


@pytest.mark.parametrize("outcome", [SILENCE, ERROR_503, UNREACHABLE])
def test_what_can_be_found_out_is_not_given_up(outcome: Outcome):
    assert keyed(outcome, is_open=True, attempts=99).status is Status.RETRYING


@pytest.mark.parametrize("outcome", [SILENCE, ERROR_503, THROTTLED, UNREACHABLE])
def test_what_ends_while_it_is_open_may_have_arrived(outcome: Outcome):
    state = keyed(outcome, is_open=True, expires_at=NEAR)
    wanted = Status.UNKNOWN if outcome is SILENCE else Status.EXPIRED
    assert (state.status, state.may_have_arrived, state.keeps_call_key) == (wanted, True, False)


@pytest.mark.parametrize("is_open", [True, False])
def test_an_acceptance_and_a_refusal_tell_the_fate(is_open: bool):
    assert keyed(Outcome(Verdict.ACCEPTED), is_open=is_open) == NextState(Status.ACCEPTED)
    state = keyed(Outcome(Verdict.BAD_TARGET, Reason.BAD_TOKEN), is_open=is_open)
    assert state == NextState(Status.FAILED, Reason.BAD_TOKEN)


# --- without ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", Scope)
def test_accepted_ends_it(scope: Scope):
    assert after(Outcome(Verdict.ACCEPTED, scope=scope)) == NextState(Status.ACCEPTED)


def test_refused_credentials_wait_without_burning_an_attempt():
    state = after(Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY), attempts=99)
    assert state == NextState(Status.RETRYING, Reason.BAD_CREDENTIALS, NOW, counts=False)


def test_throttled_is_not_failed_however_often_it_happens():
    throttled = Outcome(Verdict.RETRY, Reason.THROTTLED, Scope.KEY)
    state = after(throttled, attempts=1_000)
    assert (state.status, state.counts) == (Status.RETRYING, False)


def test_throttled_still_ends_at_the_expiry():
    throttled = Outcome(Verdict.RETRY, Reason.THROTTLED, Scope.KEY, retry_after_seconds=90_000)
    assert after(throttled).status is Status.EXPIRED


def test_the_providers_own_delay_is_honoured():
    busy = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, retry_after_seconds=77)
    assert after(busy).due_at == NOW + timedelta(seconds=77)


def test_the_back_off_is_kept_when_the_provider_asks_for_less():
    busy = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, retry_after_seconds=0.1)
    assert after(busy, attempts=4).due_at == NOW + timedelta(seconds=8)


def test_a_back_off_below_a_second_is_kept_when_the_provider_asks_for_nothing():
    schedule = Schedule(base_seconds=0.2, most_seconds=300.0, max_attempts=6)
    busy = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY)
    state = next_state(busy, Attempt(1, FAR, "keep"), schedule, NOW, lambda: 0.0)
    assert state.due_at is not None
    assert state.due_at - NOW < timedelta(seconds=1)


def test_a_push_that_may_have_arrived_never_ends_as_failed_or_expired():
    lost = Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER)
    for attempts, expires_at, policy in itertools.product((1, 6, 7), (FAR, NEAR), ("keep", "resend")):
        state = after(lost, attempts=attempts, expires_at=expires_at, policy=policy)
        assert state.status in (Status.UNKNOWN, Status.RETRYING)
        assert state.may_have_arrived


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.UNKNOWN}, key=str))
def test_only_an_unknown_fate_leaves_a_doubt(verdict: Verdict):
    assert not after(Outcome(verdict, Reason.PROVIDER_BUSY)).may_have_arrived


def test_nothing_is_put_off_to_its_expiry_or_later():
    busy = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY)
    assert after(busy, expires_at=NOW + timedelta(seconds=1)).status is Status.EXPIRED
    assert after(busy, expires_at=NOW + timedelta(seconds=1, microseconds=1)).status is Status.RETRYING


@given(st.integers(1, 500), st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_between_half_and_all_of_the_doubled_base(attempt: int, chance: float):
    longest = min(300.0, 2.0 * 2 ** (attempt - 1))
    assert longest / 2 <= SCHEDULE.delay(attempt, lambda: chance) <= longest


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_a_delay_never_shrinks_with_the_attempts(attempt: int, chance: float):
    assert SCHEDULE.delay(attempt, lambda: chance) <= SCHEDULE.delay(attempt + 1, lambda: chance)


def test_delays_double_up_to_the_most():
    assert [SCHEDULE.delay(n, lambda: 0.0) * 2 for n in range(1, 11)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


OUTCOMES: st.SearchStrategy[Any] = st.builds(
    Outcome,
    st.sampled_from(Verdict),
    st.sampled_from([Reason.THROTTLED, Reason.PROVIDER_BUSY, Reason.NO_ANSWER]),
    st.sampled_from(Scope),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
)


@given(OUTCOMES, st.integers(1, 20), st.integers(0, 200_000), st.sampled_from(["keep", "resend"]))
def test_whatever_happens_a_retry_is_due_in_the_future_and_before_the_expiry(
    outcome: Outcome, attempts: int, seconds_left: int, policy: str
):
    expires_at = NOW + timedelta(seconds=seconds_left)
    state = after(outcome, attempts=attempts, expires_at=expires_at, policy=policy)
    assert (state.due_at is not None) == (state.status is Status.RETRYING)
    if state.due_at and outcome.verdict is not Verdict.FAILED:
        assert NOW < state.due_at < expires_at
