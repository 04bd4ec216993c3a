"""Decide the next state of a delivery from an outcome. Pure, and the only place that decides on another attempt."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from pushes.names import Reason, Status, UnknownPolicy
from pushes.values import Outcome, Scope, Verdict


@dataclass(frozen=True, slots=True)
class Schedule:
    """Exponential back-off: `base_seconds`, doubled with every attempt up to `most_seconds`, with a jitter of 50 to
    100 % of that, so that deliveries that failed together do not retry together."""

    base_seconds: float
    most_seconds: float
    max_attempts: int

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after the `attempt`-th attempt (from 1); `random` gives 0 ≤ x < 1."""
        longest: float = min(self.most_seconds, self.base_seconds * 2 ** min(attempt - 1, 40))
        return longest * (0.5 + 0.5 * random())


class Attempt(NamedTuple):
    """The facts of one finished attempt that the decision needs. `attempts` counts this one. `has_call_key` says that
    the same call can be made again, and pushes once however often it is made; `is_call_open` says that this attempt
    did so, because the fate of the first was open."""

    attempts: int
    expires_at: datetime
    unknown_policy: str
    has_call_key: bool = False
    is_call_open: bool = False


class NextState(NamedTuple):
    """The state that a delivery takes. `counts` is False when the attempt does not count against the delivery.
    `may_have_arrived` stays with the delivery, whatever its later attempts return. `keeps_call_key`: the fate of the
    call is open, and the next attempt makes the same call."""

    status: Status
    reason: Reason | None = None
    due_at: datetime | None = None
    counts: bool = True
    may_have_arrived: bool = False
    keeps_call_key: bool = False


_ACCEPTED = NextState(Status.ACCEPTED)


def next_state(
    outcome: Outcome, attempt: Attempt, schedule: Schedule, now: datetime, random: Callable[[], float]
) -> NextState:
    """Return the state that `outcome` leads to.

    - accepted → accepted; a bad target or a refused message → failed;
    - refused credentials → retrying, uncounted: the key is paused, its pushes wait;
    - throttled → retrying, uncounted, after the provider's own delay: throttled is not failed;
    - busy or unreachable → retrying until the attempts or the time run out;
    - unknown → unknown, or by the type's policy like busy;
    - unknown or a server's error, with a call key → retrying with the same key, as long as there is time. Then only an
      acceptance or a refusal tells the fate of the call: a call that was throttled or did not leave says nothing of
      an earlier one.
    """
    is_unknown = outcome.verdict is Verdict.UNKNOWN
    is_open = attempt.is_call_open or (attempt.has_call_key and (is_unknown or (outcome.http_status or 0) >= 500))
    if not is_open:
        return _next(outcome, attempt, schedule, now, random)
    if is_unknown:
        state = _again(outcome, attempt, schedule, now, random)
    else:
        state = _next(outcome, attempt, schedule, now, random)
    if state.status is Status.RETRYING:
        return state._replace(keeps_call_key=True)
    return state._replace(may_have_arrived=outcome.verdict in (Verdict.UNKNOWN, Verdict.RETRY))


def _next(
    outcome: Outcome, attempt: Attempt, schedule: Schedule, now: datetime, random: Callable[[], float]
) -> NextState:
    if outcome.verdict is Verdict.ACCEPTED:
        return _ACCEPTED
    if outcome.verdict is Verdict.FAILED and outcome.scope is Scope.KEY:
        return NextState(Status.RETRYING, outcome.reason, now, counts=False)
    if outcome.verdict in (Verdict.BAD_TARGET, Verdict.FAILED):
        return NextState(Status.FAILED, outcome.reason)
    if outcome.verdict is not Verdict.UNKNOWN:
        return _again(outcome, attempt, schedule, now, random)
    if attempt.unknown_policy != UnknownPolicy.RESEND:
        return NextState(Status.UNKNOWN, outcome.reason, may_have_arrived=True)
    return _again(outcome, attempt, schedule, now, random)._replace(may_have_arrived=True)


def _again(
    outcome: Outcome, attempt: Attempt, schedule: Schedule, now: datetime, random: Callable[[], float]
) -> NextState:
    is_throttled = outcome.reason is Reason.THROTTLED
    # What can still be found out is not given up.
    is_patient = attempt.is_call_open or (attempt.has_call_key and outcome.verdict is Verdict.UNKNOWN)
    if attempt.attempts >= schedule.max_attempts and not is_throttled and not is_patient:
        # A push that may have arrived ends as unknown, not as failed.
        status = Status.UNKNOWN if outcome.verdict is Verdict.UNKNOWN else Status.FAILED
        return NextState(status, Reason.TOO_MANY_ATTEMPTS)
    wait = schedule.delay(attempt.attempts, random)
    due_at = now + timedelta(seconds=max(wait, outcome.retry_after_seconds or 0.0))
    if due_at >= attempt.expires_at:
        if outcome.verdict is Verdict.UNKNOWN:
            return NextState(Status.UNKNOWN, outcome.reason)
        return NextState(Status.EXPIRED, Reason.TOO_LATE)
    return NextState(Status.RETRYING, outcome.reason, due_at, counts=not is_throttled)
