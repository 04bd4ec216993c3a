"""One send job: claim a batch, call the provider concurrently, hand the outcomes to `outcomes`.

The guarantees rest on the order of the steps: claim (no other worker sends it), check who has come online meanwhile,
ask the key's gate, write `begin` (from here on a crash means "unknown"), call, settle.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial

from django.conf import settings

from pushes import vault
from pushes.keys import gate, pausing
from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, DeliveryResult, PushRecord, policies
from pushes.names import ProviderKind, Reason
from pushes.providers import hosts
from pushes.providers.registry import UnknownProviderError, provider
from pushes.sending import access, call_keys, list_outcomes, outcomes, recheck, transport
from pushes.sending.calls import Call, KeyWork, created, forgotten, is_poison, planned, requests_of, settle
from pushes.storage import clocks
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Content, Outcome, Policy, Verdict
from pushes.workers import pulse, threads

log = logging.getLogger(__name__)

SETTLE_SIZE = 256
#: After how long pushes are tried again whose key's endpoint is not allowed.
NOT_ALLOWED_SECONDS = 30
#: Until other machines, or this one with a clock that has been set, look again.
CLOCK_PAUSE_SECONDS = 5.0


def deliver(delivery_ids: Sequence[int]) -> int:
    """Send the deliveries that are due. Safe to run twice. Returns how many were attempted."""
    by_key = _by_key(sorted(set(delivery_ids)))
    rules = policies()
    keys = AppKey.objects.in_bulk(by_key)
    return sum(_deliver_under(keys.get(key_id), ids, rules) for key_id, ids in by_key.items())


def _by_key(delivery_ids: list[int]) -> dict[int, list[int]]:
    """Group the deliveries by app key. A job's deliveries all have the same key, unless it was enqueued by hand."""
    known = DeliveryResult.objects.filter(id__among=delivery_ids, app_key_id__isnull=False)
    key_ids = list(known.values_list("app_key_id", flat=True).distinct())
    if len(key_ids) == 1:
        return {key_ids[0] or 0: delivery_ids}
    return {
        key_id or 0: list(known.filter(app_key_id=key_id).order_by("id").values_list("id", flat=True))
        for key_id in key_ids
    }


def _deliver_under(key: AppKey | None, delivery_ids: list[int], rules: dict[int, Policy]) -> int:
    """Send under one key, a batch at a time, until all rows are done, the key must stop, or the process is to end."""
    if key is None or not key.is_enabled:
        return outcomes.refuse(delivery_ids, Reason.NO_APP_KEY)
    if _is_shut(key, delivery_ids):
        return 0
    if not pulse.may_send():
        due_at = clocks.now() + timedelta(seconds=CLOCK_PAUSE_SECONDS)
        claims.postpone(delivery_ids, due_at=due_at, reason=Reason.WRONG_CLOCK)
        return 0
    try:
        work = KeyWork(key, key.credentials(), provider(key.provider), rules)
        hosts.guard(work.provider.check(work.credentials, now=0).url)
        outcome = access.in_vain(work)
    except hosts.HostRefusedError as refusal:
        return _not_allowed(key, delivery_ids, refusal)
    except (vault.SecretUnreadableError, UnknownProviderError, ValueError) as error:
        # Unreadable, no such provider, or an address without a host: no push of this key could be written.
        pausing.pause_key(key, _fault(key, error))
        _is_shut(key, delivery_ids)
        return 0
    waiting, attempted = deque(delivery_ids), 0
    while waiting and not work.is_halted and not threads.is_ending():
        if outcome is not None:
            _without_token(key, list(waiting), outcome)
            return attempted
        ids = [waiting.popleft() for _ in range(min(len(waiting), transport.concurrency()))]
        rows = _claim(work, ids)
        attempted += _send_batch(work, rows) if rows else 0
        waiting.extendleft(reversed(claims.waited_for(rows, ids)))
        outcome = access.in_vain(work) if waiting else None
    if waiting and not _is_shut(key, list(waiting)):
        # Halted, but open again by now; or the process ends. The rest has no job any more: the sweeper enqueues it at
        # once.
        claims.postpone(list(waiting), due_at=clocks.now(), reason=Reason.THROTTLED)
    return attempted


def _fault(key: AppKey, error: Exception) -> Note:
    if isinstance(error, vault.SecretUnreadableError):
        return Note(Sentence.SECRET_UNREADABLE)
    if isinstance(error, UnknownProviderError):
        choices = ", ".join(ProviderKind.values)
        return Note(Sentence.UNKNOWN_PROVIDER, provider=repr(key.provider), choices=choices)
    return Note(Sentence.NO_CALL, error=str(error))


def _not_allowed(key: AppKey, delivery_ids: list[int], refusal: hosts.HostRefusedError) -> int:
    """Postpone the key's pushes because this machine may not call its endpoint. They wait until PROVIDER_HOSTS or the
    key is corrected. The key is not paused, since another machine may be allowed to call the endpoint. Returns 0."""
    log.error("app key %s: %s", key, refusal)
    due_at = clocks.now() + timedelta(seconds=NOT_ALLOWED_SECONDS)
    claims.postpone(delivery_ids, due_at=due_at, reason=Reason.ENDPOINT_REFUSED)
    return 0


def _without_token(key: AppKey, delivery_ids: list[int], outcome: Outcome) -> None:
    """Let the key's pushes wait because there is no access token: nothing was called, so no attempt is counted."""
    outcome = outcomes.by_this_clock(outcome)
    outcomes.judge(key, [outcome])
    if _is_shut(key, delivery_ids):
        return
    # Refused, and not paused: the key fell back to its old secret, which may be tried at once.
    is_refused = outcome.verdict is Verdict.FAILED
    seconds = 0.0 if is_refused else max(settings.RETRY_BASE_SECONDS, outcome.retry_after_seconds or 0.0)
    due_at = clocks.now() + timedelta(seconds=seconds)
    claims.postpone(delivery_ids, due_at=due_at, reason=outcome.reason or Reason.PROVIDER_BUSY)


def _is_shut(key: AppKey, delivery_ids: list[int]) -> bool:
    """Whether the key currently lets nothing through. The deliveries then wait with a reason. They have no job any
    more, so the sweeper enqueues them again."""
    now = clocks.now()
    if AppKey.objects.filter(pk=key.pk, paused_at__isnull=False).exists():
        claims.postpone(delivery_ids, due_at=now, reason=Reason.KEY_PAUSED)
        return True
    seconds = gate.seconds_shut(key.pk)
    if seconds:
        claims.postpone(delivery_ids, due_at=now + timedelta(seconds=seconds), reason=Reason.THROTTLED)
    return seconds > 0


def _claim(work: KeyWork, ids: list[int]) -> list[Claimed]:
    now, token = clocks.now(), claims.new_token()
    try:
        work.claim, rows = claims.claim(ids, now=now, lease_seconds=settings.LEASE_SECONDS, token=token)
        rows = call_keys.whole_calls(work, rows)
        missing = {row.record_id for row in rows} - work.contents.keys()
        found = PushRecord.objects.filter(id__among=missing).values_list(*Content._fields)
        work.contents.update((content.id, content) for content in map(Content._make, found))
    except BaseException:
        # They may be ours all the same: only the answer was lost.
        outcomes.outlast_outage(lambda: claims.give_back(ids, token, now=clocks.now()))
        raise
    return rows


def _send_batch(work: KeyWork, rows: list[Claimed]) -> int:
    """Send one claimed batch, from the presence check to settled rows. On any error, rows without a call go back."""
    pulse.moves_on()
    work.left, begun = set(), set[int]()
    try:
        claim = recheck.Claim(work.claim, work.key.app, work.key.pk, clocks.now())
        wanted = recheck.still_wanted(rows, claim, work.policies)
        calls = planned(work, call_keys.without_forgotten(work, wanted, claim))
        calls = created(work, _admitted(work, calls))
        begun = _begin(work, calls)
        _perform(work, [call for call in calls if call.rows])
    except BaseException:
        _give_back(work, [row for row in rows if row.id not in work.left])
        raise
    unbegun = [row.id for row in rows if row.id not in begun]
    if unbegun:
        claims.release(unbegun, work.claim, due_at=clocks.now(), reason=Reason.CUT_OFF)
    return len(begun)


def _begin(work: KeyWork, calls: list[Call]) -> set[int]:
    """Record that these calls are about to be made, and leave in them the rows that they are to be made for."""
    keys = call_keys.named(work, calls)
    ids = [row.id for call in calls for row in call.rows]
    now, lease_seconds = clocks.now(), settings.LEASE_SECONDS
    begun = claims.begin(ids, work.claim, now=now, lease_seconds=lease_seconds, call_keys=keys)
    for call in calls:
        call.rows = call_keys.begun(work, call, begun)
    return begun


def _give_back(work: KeyWork, rows: Sequence[Claimed]) -> None:
    """Put back rows that never left. Their call keys are those of before."""
    for is_new_call in (True, False):
        ids = [row.id for row in rows if is_new_call == (not row.call_key)]
        if ids:
            give_back = partial(claims.give_back, ids, work.claim, now=clocks.now(), is_new_call=is_new_call)
            outcomes.outlast_outage(give_back)


def _admitted(work: KeyWork, calls: list[Call], *, is_begun: bool = False) -> list[Call]:
    """Return the calls that the key's gate admits; the rows of the rest go back, spread over time at the key's rate."""
    if not calls:
        return []
    admission = gate.admit(work.key.pk, len(calls), work.key.rate_per_second)
    refused: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for position, call in enumerate(calls[admission.granted :]):
        for row in call.rows:
            refused[int(position * admission.spacing_seconds), bool(row.call_key)].append(row.id)
    for (seconds, is_call_open), delivery_ids in refused.items():
        due_at = clocks.now() + timedelta(seconds=admission.wait_seconds + seconds)
        release = partial(claims.release, is_begun=is_begun, is_call_open=is_call_open)
        release(delivery_ids, work.claim, due_at=due_at, reason=Reason.THROTTLED)
    return calls[: admission.granted]


def _perform(work: KeyWork, calls: list[Call], *, is_second: bool = False) -> None:
    """Make the calls and settle their rows as the answers come in. `is_second`: with a new access token."""
    requests, finished = requests_of(work.provider, calls)
    refused_lists: list[Call] = []
    stale: list[tuple[Call, Outcome]] = []
    with closing(
        transport.outcomes_of(work.provider, requests, lambda number: _leaves(work, calls[number]))
    ) as answers:
        for number, outcome in answers:
            call = calls[number]
            if outcome.is_token_stale and not is_second:
                stale.append((call, outcome))
                work.left.difference_update(row.id for row in call.rows)
                continue
            if outcome.is_token_stale:
                outcome = access.lasting(outcome)
            if call.is_created_earlier and is_poison(outcome):
                outcome = forgotten(work, call, outcome)
            if call.is_list and list_outcomes.is_refused_whole(work.provider, outcome):
                refused_lists.append(call)
                work.left.difference_update(row.id for row in call.rows)
                continue
            if call.is_list:
                outcome = list_outcomes.weighed(work.provider, outcome)
            finished += [(row, list_outcomes.of_token(row.token, outcome)) for row in call.rows]
            if len(finished) >= SETTLE_SIZE:
                settle(work, finished)
                finished = []
    settle(work, finished)
    if refused_lists:
        # The provider refused whole lists for a token in them without saying which: ask one by one.
        # Nothing was pushed under the list's key, so each has a new one.
        singles = [Call([row._replace(call_key="")], call.message) for call in refused_lists for row in call.rows]
        singles = _admitted(work, singles, is_begun=True)
        if keys := call_keys.named(work, singles):
            claims.name_calls(keys, work.claim)
        _perform(work, singles, is_second=is_second)
    if stale:
        _once_more(work, [call for call, _ in stale], stale[0][1])


def _once_more(work: KeyWork, calls: list[Call], refusal: Outcome) -> None:
    """Renew the access token, which the provider refused as too old, and make the calls once more, as one attempt."""
    outcome = access.renewal_in_vain(work, calls, refusal)
    if outcome is not None:
        settle(work, [(row, outcome) for call in calls for row in call.rows])
        return
    begun = [row.id for call in calls for row in call.rows]
    ours = claims.prolong(begun, work.claim, now=clocks.now(), lease_seconds=settings.LEASE_SECONDS)
    for call in calls:
        call.rows = call_keys.begun(work, call, ours)
    _perform(work, _admitted(work, [call for call in calls if call.rows], is_begun=True), is_second=True)


def _leaves(work: KeyWork, call: Call) -> None:
    work.left.update(row.id for row in call.rows)
