"""One send job: claim a window, call the provider concurrently, hand the outcomes to `results`.

The order of steps is what makes the promises hold: claim (nobody else sends it), ask who has come online
meanwhile, ask the key's gate, write `begin` (from here on a crash means "unknown"), call, settle.
"""

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings

from pushes import vault
from pushes.keys import gate, pausing
from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, DeliveryResult, MultiPush, PushRecord, policies
from pushes.names import Reason
from pushes.providers import hosts
from pushes.providers.base import HttpRequest, MessageTooLargeError, PreparedMessage, Provider, TransportFailure
from pushes.providers.http import HttpWindow
from pushes.providers.registry import UnknownProviderError, provider
from pushes.sending import compose, list_outcomes, recheck
from pushes.sending import outcomes as results
from pushes.storage import batches, clocks
from pushes.values import Content, Credentials, Outcome, Policy, Scope, Verdict
from pushes.workers import pulse

log = logging.getLogger(__name__)
T = TypeVar("T", bound=Hashable)
#: A record and a count of coalesced messages: the same words.
Wording = tuple[int, int]

COLLECT_SECONDS = 0.25
SETTLE_SIZE = 256
#: How soon pushes whose key's endpoint is not allowed are looked at again.
NOT_ALLOWED_SECONDS = 30
#: Until other machines, or this one with a clock that has been set, look again.
CLOCK_PAUSE_SECONDS = 5.0


@dataclass(slots=True)
class Call:
    """One provider call and the deliveries whose fate it decides; several rows make it a list call."""

    rows: list[Claimed]
    message: PreparedMessage
    is_list: bool = False
    push_id: str = ""
    is_created_earlier: bool = False


@dataclass(slots=True)
class KeyWork:
    """Everything that the calls under one app key share during one job."""

    key: AppKey
    credentials: Credentials
    provider: Provider
    policies: dict[int, Policy]
    claim: str = ""
    contents: dict[int, Content] = field(default_factory=dict)
    messages: dict[Wording, PreparedMessage] = field(default_factory=dict)
    is_halted: bool = False
    #: Deliveries of the present claim whose calls may have left.
    left: set[int] = field(default_factory=set)


class _Connections(threading.local):
    """Each sending thread's own connections; they outlive the job, so that they stay alive."""

    window: HttpWindow | None = None


_connections = _Connections()


def concurrency() -> int:
    """Calls under way at once in one thread: its share of the process's SEND_CONCURRENCY."""
    return max(1, int(settings.SEND_CONCURRENCY) // int(settings.SEND_THREADS))


def _window() -> HttpWindow:
    if _connections.window is None:
        _connections.window = HttpWindow(concurrency(), settings.CALL_TIMEOUT_SECONDS, guard=hosts.guard)
    return _connections.window


def deliver(delivery_ids: Sequence[int]) -> int:
    """Send those of the deliveries that are due. Safe to run twice. Returns how many were attempted."""
    by_key = _by_key(sorted(set(delivery_ids)))
    rules = policies()
    keys = AppKey.objects.in_bulk(by_key)
    return sum(_deliver_under(keys.get(key_id), ids, rules) for key_id, ids in by_key.items())


def _by_key(delivery_ids: list[int]) -> dict[int, list[int]]:
    """The deliveries of each app key; those of a job are all of one, unless they were enqueued by hand."""
    known = DeliveryResult.objects.filter(id__among=delivery_ids, app_key_id__isnull=False)
    key_ids = list(known.values_list("app_key_id", flat=True).distinct())
    if len(key_ids) == 1:
        return {key_ids[0] or 0: delivery_ids}
    return {
        key_id or 0: list(known.filter(app_key_id=key_id).order_by("id").values_list("id", flat=True))
        for key_id in key_ids
    }


def _deliver_under(key: AppKey | None, delivery_ids: list[int], rules: dict[int, Policy]) -> int:
    """Send under one key, a window at a time, until the rows are through or the key says no."""
    if key is None or not key.is_enabled:
        return results.refuse(delivery_ids, Reason.NO_APP_KEY)
    if _is_shut(key, delivery_ids):
        return 0
    if not pulse.may_send():
        due_at = clocks.now() + timedelta(seconds=CLOCK_PAUSE_SECONDS)
        claims.postpone(delivery_ids, due_at=due_at, reason=Reason.WRONG_CLOCK)
        return 0
    try:
        work = KeyWork(key, key.credentials(), provider(key.provider), rules)
        hosts.guard(work.provider.check(work.credentials, now=0).url)
    except hosts.HostRefusedError as refusal:
        return _not_allowed(key, delivery_ids, refusal)
    except (vault.SecretUnreadableError, UnknownProviderError, ValueError) as error:
        # Unreadable, no such provider, or an address without a host: no push of this key could be written.
        pausing.pause_key(key, str(error))
        _is_shut(key, delivery_ids)
        return 0
    waiting, attempted = deque(delivery_ids), 0
    while waiting and not work.is_halted:
        ids = [waiting.popleft() for _ in range(min(len(waiting), concurrency()))]
        rows = _claim(work, ids)
        attempted += _send_window(work, rows) if rows else 0
        waiting.extendleft(reversed(claims.waited_for(rows, ids)))
    if waiting and not _is_shut(key, list(waiting)):
        # Halted, but open again by now. No job is about the rest any more: the sweeper brings it back at once.
        claims.postpone(list(waiting), due_at=clocks.now(), reason=Reason.THROTTLED)
    return attempted


def _not_allowed(key: AppKey, delivery_ids: list[int], refusal: hosts.HostRefusedError) -> int:
    """Calls to the key's endpoint may not be made from here. Its pushes wait, for PROVIDER_HOSTS or the key to be
    corrected; the key is not paused, since another machine may be allowed what this one is not. Returns 0."""
    log.error("app key %s: %s", key, refusal)
    due_at = clocks.now() + timedelta(seconds=NOT_ALLOWED_SECONDS)
    claims.postpone(delivery_ids, due_at=due_at, reason=Reason.ENDPOINT_REFUSED)
    return 0


def _is_shut(key: AppKey, delivery_ids: list[int]) -> bool:
    """Whether the key lets nothing through just now. The deliveries then wait, and say why; no job is about
    them any more, so the sweeper brings them back."""
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
        missing = {row.record_id for row in rows} - work.contents.keys()
        found = PushRecord.objects.filter(id__among=missing).values_list(*Content._fields)
        work.contents.update((content.id, content) for content in map(Content._make, found))
    except BaseException:
        # They may be ours all the same: only the answer was lost.
        results.surely(lambda: claims.give_back(ids, token, now=clocks.now()))
        raise
    return rows


def _send_window(work: KeyWork, rows: list[Claimed]) -> int:
    """One claimed window from presence to settled rows; whatever goes wrong, rows whose call was not made go back."""
    pulse.moves_on()
    work.left, begun = set(), set[int]()
    try:
        window = recheck.Claim(work.claim, work.key.app, work.key.pk, clocks.now())
        calls = _calls(work, recheck.still_wanted(rows, window, work.policies))
        calls = _created(work, _admitted(work, calls))
        wanted = [row.id for call in calls for row in call.rows]
        begun = claims.begin(wanted, work.claim, now=clocks.now(), lease_seconds=settings.LEASE_SECONDS)
        for call in calls:
            call.rows = [row for row in call.rows if row.id in begun]
        _perform(work, [call for call in calls if call.rows])
    except BaseException:
        here = [row.id for row in rows if row.id not in work.left]
        if here:
            results.surely(lambda: claims.give_back(here, work.claim, now=clocks.now()))
        raise
    unbegun = [row.id for row in rows if row.id not in begun]
    if unbegun:
        claims.release(unbegun, work.claim, due_at=clocks.now(), reason=Reason.CUT_OFF)
    return len(begun)


def _calls(work: KeyWork, rows: Iterable[Claimed]) -> list[Call]:
    """Group rows of one message into list calls; the few and the many different go one by one, and so does what
    asks for it."""
    by_wording: dict[Wording, list[Claimed]] = defaultdict(list)
    for row in rows:
        by_wording[row.wording].append(row)
    calls: list[Call] = []
    now = clocks.now()
    for wording, group in by_wording.items():
        message = _prepared(work, wording, group, now)
        if message is None:
            continue
        is_listed = work.provider.list_limit and not work.contents[wording[0]].one_by_one
        if is_listed and len(group) >= settings.MULTI_PUSH_LEAST:
            calls += [Call(part, message, is_list=True) for part in batches.chunks(group, work.provider.list_limit)]
        else:
            calls += [Call([row], message) for row in group]
    return calls


def _prepared(work: KeyWork, wording: Wording, group: list[Claimed], now: datetime) -> PreparedMessage | None:
    """The record's message in the provider's format. One that cannot be written fails that record alone."""
    if wording in work.messages:
        return work.messages[wording]
    record_id, stands_for = wording
    content = work.contents[record_id]
    policy = work.policies[content.push_type]
    try:
        notification = compose.compose(content, policy, now, stands_for=stands_for)
        work.messages[wording] = work.provider.prepare(work.credentials, notification)
    except Exception as error:  # one message must never stop the others
        outcome = _unwritable(error, Scope.MESSAGE)
        _settle(work, [(row, outcome) for row in group], is_begun=False)
        return None
    return work.messages[wording]


def _unwritable(error: Exception, scope: Scope) -> Outcome:
    """A fault of the message, or of the program with this message: either way it can never be sent."""
    if isinstance(error, MessageTooLargeError):
        return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=str(error))
    log.error("a push cannot be written for its provider", exc_info=error)
    return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=f"{type(error).__name__}: {error}")


def _admitted(work: KeyWork, calls: list[Call], *, is_begun: bool = False) -> list[Call]:
    """Those calls that the key's gate lets through; the rest goes back, spread over time at its rate."""
    if not calls:
        return []
    admission = gate.admit(work.key.pk, len(calls), work.key.rate_per_second)
    refused: dict[int, list[int]] = defaultdict(list)
    for position, call in enumerate(calls[admission.granted :]):
        refused[int(position * admission.spacing_seconds)] += [row.id for row in call.rows]
    for seconds, delivery_ids in refused.items():
        due_at = clocks.now() + timedelta(seconds=admission.wait_seconds + seconds)
        claims.release(delivery_ids, work.claim, due_at=due_at, reason=Reason.THROTTLED, is_begun=is_begun)
    return calls[: admission.granted]


def _created(work: KeyWork, calls: list[Call]) -> list[Call]:
    """Give every list call the id under which its message was created at the provider, creating those
    that no earlier job has. A message that could not be created settles its rows and leaves the list."""
    lists = [call for call in calls if call.is_list]
    if not lists or not work.provider.lists_need_creation:
        return calls
    wordings = {call.rows[0].wording for call in lists}
    made = MultiPush.objects.filter(record_id__in={record_id for record_id, _ in wordings}, app_key=work.key)
    known = {
        (record_id, stands_for): push_id
        for record_id, stands_for, push_id in made.values_list("record_id", "stands_for", "push_id")
    }
    earlier = set(known)
    to_create = {wording: work.messages[wording] for wording in sorted(wordings - known.keys())}
    now = int(time.time())
    requests = {pk: work.provider.create_list(message, now=now) for pk, message in to_create.items()}
    failed: dict[Wording, Outcome] = {}
    with closing(_outcomes(work, requests)) as outcomes:
        answers = list(outcomes)
    for wording, outcome in answers:
        if list_outcomes.is_created(outcome):
            known[wording] = outcome.push_id
        else:
            failed[wording] = list_outcomes.not_created(outcome)
    MultiPush.objects.bulk_create(
        [
            MultiPush(record_id=wording[0], stands_for=wording[1], app_key=work.key, push_id=known[wording])
            for wording in to_create
            if wording in known
        ],
        ignore_conflicts=True,
    )
    unsent = [(row, failed[row.wording]) for call in lists for row in call.rows if row.wording in failed]
    _settle(work, unsent, is_begun=False)
    for call in lists:
        wording = call.rows[0].wording
        call.push_id, call.is_created_earlier = known.get(wording, ""), wording in earlier
    return [call for call in calls if not call.is_list or call.push_id]


def _perform(work: KeyWork, calls: list[Call]) -> None:
    """Make the calls and settle their rows as the answers come in."""
    requests, finished = _requests(work.provider, calls)
    refused_lists: list[Call] = []
    with closing(_outcomes(work, requests, lambda number: _leaves(work, calls[number]))) as outcomes:
        for number, outcome in outcomes:
            call = calls[number]
            if call.is_created_earlier and _is_poison(outcome):
                outcome = _forgotten(work, call, outcome)
            if call.is_list and list_outcomes.is_refused_whole(work.provider, outcome):
                refused_lists.append(call)
                work.left.difference_update(row.id for row in call.rows)
                continue
            if call.is_list:
                outcome = list_outcomes.weighed(work.provider, outcome)
            finished += [(row, list_outcomes.of_token(row.token, outcome)) for row in call.rows]
            if len(finished) >= SETTLE_SIZE:
                _settle(work, finished)
                finished = []
    _settle(work, finished)
    if refused_lists:
        # The provider refused whole lists for a token in them without saying which: ask one by one.
        singles = [Call([row], call.message) for call in refused_lists for row in call.rows]
        _perform(work, _admitted(work, singles, is_begun=True))


def _is_poison(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.FAILED and outcome.scope is Scope.MESSAGE


def _forgotten(work: KeyWork, call: Call, outcome: Outcome) -> Outcome:
    """A list that is refused under an id of long ago says nothing about the message: the provider may not know the
    id any more, or not under the key's present access id. The next attempt creates the message anew."""
    record_id, stands_for = call.rows[0].wording
    made = MultiPush.objects.filter(record_id=record_id, stands_for=stands_for, app_key=work.key, push_id=call.push_id)
    results.surely(made.delete)
    return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, scope=Scope.TARGET)


def _leaves(work: KeyWork, call: Call) -> None:
    work.left.update(row.id for row in call.rows)


def _requests(sender: Provider, calls: Sequence[Call]) -> tuple[dict[int, HttpRequest], list[tuple[Claimed, Outcome]]]:
    """The calls' requests by their number, and what becomes of the rows of those that cannot be written."""
    now, requests = int(time.time()), dict[int, HttpRequest]()
    unwritable: list[tuple[Claimed, Outcome]] = []
    for number, call in enumerate(calls):
        try:
            requests[number] = _request(sender, call, now)
        except Exception as error:  # one token must never stop the others
            outcome = _unwritable(error, Scope.TARGET)
            unwritable += [(row, outcome) for row in call.rows]
    return requests, unwritable


def _request(sender: Provider, call: Call, now: int) -> HttpRequest:
    if call.is_list:
        return sender.to_list(call.message, call.push_id, [row.token for row in call.rows], now=now)
    return sender.to_device(call.message, call.rows[0].token, now=now)


def _outcomes(
    work: KeyWork, requests: dict[T, HttpRequest], leaves: Callable[[T], None] = lambda _: None
) -> Generator[tuple[T, Outcome], None, None]:
    """Run the requests, as many at once as the window holds, and read each answer as it comes. To be closed.

    `leaves` is told of each before it is handed to the window: of the others nothing has left.
    """
    window = _window()
    waiting = deque(requests.items())
    try:
        while waiting or window.in_flight:
            while waiting and window.free:
                number, request = waiting.popleft()
                leaves(number)
                try:
                    window.add(number, request)
                except ValueError as error:  # an address that is none
                    yield number, work.provider.read(TransportFailure(False, str(error)))
            for tag, answer in window.collect(COLLECT_SECONDS):
                yield tag, work.provider.read(answer)
    finally:
        if window.in_flight:
            # Left by an error: the next job must not take these calls' answers for those to its own.
            _connections.window = None
            window.close()


def _settle(work: KeyWork, finished: list[tuple[Claimed, Outcome]], *, is_begun: bool = True) -> None:
    if not finished:
        return
    pulse.moves_on()
    goes_on = results.settle(work.key, work.claim, finished, work.policies, work.contents, is_begun=is_begun)
    work.is_halted |= not goes_on
