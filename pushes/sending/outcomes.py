"""Write outcomes to rows: delivery states in one statement per group, dead tokens, halted messages, paused keys."""

import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from zlib import crc32

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F
from redis import RedisError

from pushes.keys import belief, gate, pausing
from pushes.ledger import claims, counters, endings, tallies
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, BroadcastTally, DeliveryResult
from pushes.names import CLAIMABLE, TERMINAL, Kind, Reason, Status
from pushes.sending.retry import Attempt, NextState, Schedule, next_state
from pushes.storage import clocks, conflicts, outages
from pushes.storage.each import of_each
from pushes.values import Blame, Content, Outcome, Policy, Scope, Verdict
from pushes.workers import pulse

log = logging.getLogger(__name__)
T = TypeVar("T")

#: What the columns hold.
MAX_CODE, MAX_PUSH_ID = 40, 63
Finished = Sequence[tuple[Claimed, Outcome]]
#: What one statement writes: the next state and the provider's words, and the record where records are counted.
Group = tuple[NextState, str, int | None, str, str, int]
#: The deliveries of a group, each with the id that the provider gave its push.
PushIds = dict[int, str]


def settle(
    key: AppKey,
    claim: str,
    finished: Finished,
    policies: dict[int, Policy],
    contents: Mapping[int, Content],
    *,
    is_begun: bool = True,
) -> bool:
    """Write the outcomes of these claimed rows. Returns whether the key may continue sending.

    `is_begun` says whether `claims.begin` has already counted the attempt.
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
        pausing.pause_for_doubt(key, weighed.doubted_since)
        return False
    return judge(key, [outcome for _, outcome in finished])


def _told_apart(finished: Finished) -> Finished:
    """When this machine's clock is known to be wrong, a refusal of the call's timestamp says nothing about the key:
    other machines can still send under it."""
    if all(outcome.blame is not Blame.CLOCK for _, outcome in finished):
        return finished
    return [(row, by_this_clock(outcome)) for row, outcome in finished]


def by_this_clock(outcome: Outcome) -> Outcome:
    """Return the outcome with another reason if only this machine's clock is to blame."""
    is_ours = outcome.blame is Blame.CLOCK and clocks.is_wrong()
    return replace(outcome, reason=Reason.WRONG_CLOCK) if is_ours else outcome


def _groups(finished: Finished, policies: dict[int, Policy]) -> dict[Group, PushIds]:
    schedule = Schedule(settings.RETRY_BASE_SECONDS, settings.RETRY_MOST_SECONDS, settings.MAX_ATTEMPTS)
    now = clocks.now()
    groups: dict[Group, PushIds] = defaultdict(dict)
    # Retries of one settlement share a random spread of a few steps, so that they need few statements.
    steps = [random.random() for _ in range(8)]
    for row, outcome in finished:
        policy = policies[row.push_type].unknown_policy
        call_key = row.call_key or row.new_call_key
        attempt = Attempt(row.attempts + 1, row.expires_at, policy, bool(call_key), bool(row.call_key))
        # The rows of a call that may be made again have to be due together.
        step = (crc32(call_key.encode()) if call_key else row.id) % len(steps)
        state = next_state(outcome, attempt, schedule, now, partial(steps.__getitem__, step))
        tallied = row.record_id if row.kind == Kind.BROADCAST else 0
        code, text = outcome.code[:MAX_CODE], outcome.text[:200]
        groups[state, row.kind, outcome.http_status, code, text, tallied][row.id] = outcome.push_id[:MAX_PUSH_ID]
    return groups


@conflicts.repeated
@transaction.atomic
def _write(
    groups: dict[Group, PushIds], claim: str, key: AppKey, latencies: Sequence[tuple[str, float]], is_begun: bool
) -> None:
    now = clocks.now()
    events: Counter[tuple[str, str, str, int]] = Counter()
    ends: Counter[tuple[int, str, str]] = Counter()
    for (state, kind, http_status, code, text, record_id), push_ids in groups.items():
        changes: dict[str, Any] = {
            "status": state.status,
            "reason": state.reason or "",
            "http_status": http_status,
            "provider_code": code,
            "provider_text": text,
            "provider_push_id": of_each(push_ids),
        }
        if state.status in TERMINAL:
            changes |= {"order_key": None, "finished_at": now}
        if state.due_at:
            changes["due_at"] = state.due_at
            changes |= {} if state.keeps_call_key else {"call_key": ""}
        if state.may_have_arrived:
            changes["may_have_arrived"] = True
        if state.counts != is_begun:
            changes["attempts"] = F("attempts") + (1 if state.counts else -1)
        settled = claims.settle(list(push_ids), claim, **changes)
        events[kind, state.status, state.reason or "", key.pk] += settled
        end = BroadcastTally.DOUBTED if state.reason is Reason.TOKENS_DOUBTED else state.status
        ends[record_id, end, state.reason or ""] += settled if record_id else 0
    counters.add_latencies(latencies, now)
    counters.add(events, now)
    tallies.add(ends, now)


def outlast_outage(write: Callable[[], T]) -> T:
    """Run a database write whose loss would leave pushes in doubt. Repeat it for up to half a lease while the
    database is away (restarted, deadlocked). Inside a caller's transaction it runs once."""
    deadline = time.monotonic() + settings.LEASE_SECONDS / 2
    while True:
        try:
            return write()
        except DatabaseError as error:
            if not outages.passes(error) or connection.in_atomic_block or time.monotonic() > deadline:
                raise
            log.warning("the outcomes could not be stored; trying again (%s)", error)
            connection.close()
            time.sleep(0.2)


def _halt_poisoned_records(key: AppKey, finished: Finished) -> None:
    """Stop a record whose message the provider refuses: it would be refused for every device. Tokens and other
    records are not affected."""
    poisoned: dict[int, Outcome] = {}
    for row, outcome in finished:
        if outcome.verdict is Verdict.FAILED and outcome.scope is Scope.MESSAGE:
            poisoned[row.record_id] = outcome
    for record_id, outcome in poisoned.items():
        rest = DeliveryResult.objects.filter(record_id=record_id, app_key_id=key.pk, status__in=CLAIMABLE)
        words: dict[str, Any] = {
            "http_status": outcome.http_status,
            "provider_code": outcome.code[:MAX_CODE],
            "provider_text": outcome.text[:200],
        }
        outlast_outage(partial(endings.end, rest, Status.FAILED, Reason.BAD_PAYLOAD, now=clocks.now(), **words))


def judge(key: AppKey, found: Sequence[Outcome]) -> bool:
    """Act on what outcomes say of their key: pause it, fall back to its old secret, tell its breaker. Returns whether
    the key may continue sending."""
    refusals = [o for o in found if o.verdict is Verdict.FAILED and o.scope is Scope.KEY]
    if refusals and refusals[0].reason is Reason.WRONG_CLOCK:
        pulse.stop_sending()
        return False
    if refusals:
        pausing.answer_refusal(key, refusals[0])
        return False
    outcomes = {id(o): o for o in found}.values()  # one per call, however many rows it is for
    failures = [o for o in outcomes if _is_failure_of_provider(o)]
    throttled = [o for o in failures if o.reason is Reason.THROTTLED]
    pause = max((o.retry_after_seconds or settings.BREAKER_BASE_SECONDS for o in throttled), default=0.0)
    answered, failed = len(outcomes) - len(failures), len(failures) - len(throttled)
    try:
        tripped = gate.report(key.pk, answered=answered, failed=failed, pause_seconds=pause)
    except RedisError as error:
        # The calls are made and stored; the gate is soft state, and further answers are still coming in.
        log.warning("app key %s: the gate could not be updated with the results (%s)", key, error)
        return True
    if tripped:
        log.warning("app key %s: the breaker is open; its pushes wait", key)
    return not tripped and not pause


def _is_failure_of_provider(outcome: Outcome) -> bool:
    """Whether the outcome is no answer, or concerns every call alike; a busy target says nothing about the provider."""
    return outcome.verdict is Verdict.UNKNOWN or (outcome.verdict is Verdict.RETRY and outcome.scope is Scope.KEY)


def refuse(delivery_ids: Sequence[int], reason: Reason) -> int:
    """Skip rows that can no longer be sent (their key was removed or disabled)."""
    waiting = DeliveryResult.objects.filter(id__among=set(delivery_ids), status__in=CLAIMABLE)
    return endings.end(waiting, Status.SKIPPED, reason, now=clocks.now())
