"""Outcomes → rows: delivery states in one statement per group, dead tokens, halted messages, paused keys."""

import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F
from redis import RedisError

from pushes.keys import belief, gate, pausing
from pushes.ledger import claims, counters, endings, tallies
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, BroadcastTally, DeliveryResult
from pushes.names import CLAIMABLE, TERMINAL, Kind, PauseCode, Reason, Status
from pushes.sending.retry import Attempt, NextState, Schedule, next_state
from pushes.storage import clocks, outages
from pushes.values import Blame, Content, Outcome, Policy, Scope, Verdict
from pushes.workers import pulse

log = logging.getLogger(__name__)
T = TypeVar("T")

#: The log's, and the row's for whoever reads it without the console; `PauseCode` has the words for people.
TOKENS_DOUBTED = "the provider refuses nearly every device token"
Finished = Sequence[tuple[Claimed, Outcome]]
#: What one statement can write: the next state and the provider's words; and of which record, where that is counted.
Group = tuple[NextState, str, int | None, str, str, int]


def settle(
    key: AppKey,
    claim: str,
    finished: Finished,
    policies: dict[int, Policy],
    contents: Mapping[int, Content],
    *,
    is_begun: bool = True,
) -> bool:
    """Write what became of these claimed rows. Returns whether the key may go on sending.

    `is_begun` says whether `claims.begin` has counted the attempt already.
    """
    weighed = outlast_outage(partial(belief.weigh, key, finished))
    finished = _told_apart(weighed.finished)
    now = clocks.now()
    latencies = [
        (row.kind, (now - contents[row.record_id].created_at).total_seconds())
        for row, outcome in finished
        if outcome.verdict is Verdict.ACCEPTED
    ]
    groups = _groups(finished, policies)
    outlast_outage(lambda: _write(groups, claim, key, latencies, is_begun))
    if weighed.believed:
        outlast_outage(partial(belief.act_on, key, weighed.believed))
    _halt_poisoned_records(key, finished)
    if weighed.doubted_since is not None:
        pausing.pause_key(key, TOKENS_DOUBTED, PauseCode.TOKENS_DOUBTED, doubted_since=weighed.doubted_since)
        return False
    return _judge_key(key, finished)


def _told_apart(finished: Finished) -> Finished:
    """A refusal for the time of the call is this machine's own affair when its clock is known to be wrong: the key is
    good, and other machines send under it."""
    if all(outcome.blame is not Blame.CLOCK for _, outcome in finished) or not clocks.is_wrong():
        return finished
    return [
        (row, replace(outcome, reason=Reason.WRONG_CLOCK) if outcome.blame is Blame.CLOCK else outcome)
        for row, outcome in finished
    ]


def _groups(finished: Finished, policies: dict[int, Policy]) -> dict[Group, list[int]]:
    schedule = Schedule(settings.RETRY_BASE_SECONDS, settings.RETRY_MOST_SECONDS, settings.MAX_ATTEMPTS)
    now = clocks.now()
    groups: dict[Group, list[int]] = defaultdict(list)
    # Retries of one settlement share a random spread of some steps, so that they stay few statements.
    steps = [random.random() for _ in range(8)]
    for row, outcome in finished:
        attempt = Attempt(row.attempts + 1, row.expires_at, policies[row.push_type].unknown_policy)
        state = next_state(outcome, attempt, schedule, now, partial(steps.__getitem__, row.id % len(steps)))
        tallied = row.record_id if row.kind == Kind.BROADCAST else 0
        groups[state, row.kind, _stored_code(outcome), outcome.text[:200], outcome.push_id, tallied].append(row.id)
    return groups


def _stored_code(outcome: Outcome) -> int | None:
    """The provider's own code; the status of a server that refused without one stands in its column."""
    is_refusal = outcome.http_status is not None and not 200 <= outcome.http_status < 300
    return outcome.http_status if outcome.code is None and is_refusal else outcome.code


@transaction.atomic
def _write(
    groups: dict[Group, list[int]], claim: str, key: AppKey, latencies: Sequence[tuple[str, float]], is_begun: bool
) -> None:
    now = clocks.now()
    events: Counter[tuple[str, str, str, int]] = Counter()
    ends: Counter[tuple[int, str, str]] = Counter()
    for (state, kind, code, text, push_id, record_id), delivery_ids in groups.items():
        changes: dict[str, Any] = {
            "status": state.status,
            "reason": state.reason or "",
            "provider_code": code,
            "provider_text": text,
            "provider_push_id": push_id[:32],
        }
        if state.status in TERMINAL:
            changes |= {"order_key": None, "finished_at": now}
        if state.due_at:
            changes["due_at"] = state.due_at
        if state.may_have_arrived:
            changes["may_have_arrived"] = True
        if state.counts != is_begun:
            changes["attempts"] = F("attempts") + (1 if state.counts else -1)
        settled = claims.settle(delivery_ids, claim, **changes)
        events[kind, state.status, state.reason or "", key.pk] += settled
        end = BroadcastTally.DOUBTED if state.reason is Reason.TOKENS_DOUBTED else state.status
        ends[record_id, end, state.reason or ""] += settled if record_id else 0
    counters.add_latencies(latencies, now)
    counters.add(events, now)
    tallies.add(ends, now)


def outlast_outage(write: Callable[[], T]) -> T:
    """Run a database write whose loss would leave pushes in doubt, again for up to half a lease while
    the database is away (restarted, deadlocked). Inside a caller's transaction it runs once."""
    deadline = time.monotonic() + settings.LEASE_SECONDS / 2
    while True:
        try:
            return write()
        except DatabaseError as error:
            if not outages.passes(error) or connection.in_atomic_block or time.monotonic() > deadline:
                raise
            log.warning("the database did not take the outcomes; trying again (%s)", error)
            connection.close()
            time.sleep(0.2)


def _halt_poisoned_records(key: AppKey, finished: Finished) -> None:
    """A message that the provider refuses is refused for every device: spare it the rest. No token is
    touched, and no other record."""
    poisoned: dict[int, Outcome] = {}
    for row, outcome in finished:
        if outcome.verdict is Verdict.FAILED and outcome.scope is Scope.MESSAGE:
            poisoned[row.record_id] = outcome
    for record_id, outcome in poisoned.items():
        rest = DeliveryResult.objects.filter(record_id=record_id, app_key_id=key.pk, status__in=CLAIMABLE)
        words: dict[str, Any] = {"provider_code": _stored_code(outcome), "provider_text": outcome.text[:200]}
        outlast_outage(partial(endings.end, rest, Status.FAILED, Reason.BAD_PAYLOAD, now=clocks.now(), **words))


def _judge_key(key: AppKey, finished: Finished) -> bool:
    refusals = [o for _, o in finished if o.verdict is Verdict.FAILED and o.scope is Scope.KEY]
    if refusals and refusals[0].reason is Reason.WRONG_CLOCK:
        pulse.stop_sending()
        return False
    if refusals:
        pausing.answer_refusal(key, refusals[0])
        return False
    outcomes = {id(o): o for _, o in finished}.values()  # one a call, however many rows it decided
    failures = [o for o in outcomes if _is_failure_of_provider(o)]
    throttled = [o for o in failures if o.reason is Reason.THROTTLED]
    pause = max((o.retry_after_seconds or settings.BREAKER_BASE_SECONDS for o in throttled), default=0.0)
    answered, failed = len(outcomes) - len(failures), len(failures) - len(throttled)
    try:
        tripped = gate.report(key.pk, answered=answered, failed=failed, pause_seconds=pause)
    except RedisError as error:
        # The calls are made and written down; the gate is soft state, and the rest of the answers still come.
        log.warning("app key %s: its gate could not be told how the calls went (%s)", key, error)
        return True
    if tripped:
        log.warning("app key %s: the breaker is open, its pushes wait", key)
    return not tripped and not pause


def _is_failure_of_provider(outcome: Outcome) -> bool:
    """No answer, or one that concerns every call alike; a busy phone says nothing about the provider."""
    return outcome.verdict is Verdict.UNKNOWN or (outcome.verdict is Verdict.RETRY and outcome.scope is Scope.KEY)


def refuse(delivery_ids: Sequence[int], reason: Reason) -> int:
    """Skip rows that can no longer be sent at all (their key was removed or disabled)."""
    waiting = DeliveryResult.objects.filter(id__among=set(delivery_ids), status__in=CLAIMABLE)
    return endings.end(waiting, Status.SKIPPED, reason, now=clocks.now())
