"""The provider calls of a claimed batch: which rows share a call, its content, and what its outcome means for them."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.conf import settings

from pushes.ledger.claims import Claimed
from pushes.models import AppKey, MultiPush
from pushes.names import Reason
from pushes.providers.base import HttpRequest, MessageTooLargeError, PreparedMessage, Provider
from pushes.sending import compose, list_outcomes, outcomes, transport
from pushes.storage import batches, clocks
from pushes.values import Content, Credentials, Outcome, Policy, Scope, Verdict
from pushes.workers import pulse

log = logging.getLogger(__name__)


#: A record and a count of coalesced messages: together they determine the text.
Wording = tuple[int, int]


@dataclass(slots=True)
class Call:
    """One provider call and the deliveries that it is for; with several rows it is a list call. `is_made_again`: its
    rows had the same call, with the same key, before."""

    rows: list[Claimed]
    message: PreparedMessage
    is_list: bool = False
    push_id: str = ""
    is_created_earlier: bool = False
    is_made_again: bool = False


@dataclass(slots=True)
class KeyWork:
    """The state that all calls under one app key share during one job."""

    key: AppKey
    credentials: Credentials
    provider: Provider
    policies: dict[int, Policy]
    claim: str = ""
    contents: dict[int, Content] = field(default_factory=dict)
    messages: dict[Wording, PreparedMessage] = field(default_factory=dict)
    is_halted: bool = False
    #: Deliveries of the current claim whose calls may have left.
    left: set[int] = field(default_factory=set)


def planned(work: KeyWork, rows: Iterable[Claimed]) -> list[Call]:
    """Group rows of one message into list calls. Small groups and records marked `one_by_one` get a call per row. Rows
    whose call is made again share one call as before."""
    by_wording: dict[Wording, list[Claimed]] = defaultdict(list)
    by_call_key: dict[str, list[Claimed]] = defaultdict(list)
    for row in rows:
        (by_call_key[row.call_key] if row.call_key else by_wording[row.wording]).append(row)
    now = clocks.now()
    calls = [call for group in by_call_key.values() for call in _made_again(work, group, now)]
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


def _made_again(work: KeyWork, group: list[Claimed], now: datetime) -> list[Call]:
    """Return the call of rows that had it before: as a list however few they are by now, since they may have been more.
    Some of their messages may have been recalled since, so the least count is told."""
    message = _prepared(work, min(row.wording for row in group), group, now)
    return [] if message is None else [Call(group, message, is_list=True, is_made_again=True)]


def _prepared(work: KeyWork, wording: Wording, group: list[Claimed], now: datetime) -> PreparedMessage | None:
    """Encode the record's message in the provider's format. A message that cannot be encoded fails only its record."""
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
        settle(work, [(row, outcome) for row in group], is_begun=False)
        return None
    return work.messages[wording]


def _unwritable(error: Exception, scope: Scope) -> Outcome:
    """Return the outcome of a message that cannot be encoded: by its own fault or by a bug, it can never be sent."""
    if isinstance(error, MessageTooLargeError):
        return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=str(error))
    log.error("a push cannot be encoded for its provider", exc_info=error)
    return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=f"{type(error).__name__}: {error}")


def created(work: KeyWork, calls: list[Call]) -> list[Call]:
    """Give every list call the id of its message at the provider, creating the messages that no earlier job created.
    When a message cannot be created, settle its rows and drop its call."""
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
    with closing(transport.outcomes_of(work.provider, requests)) as found:
        answers = list(found)
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
    settle(work, unsent, is_begun=False)
    for call in lists:
        wording = call.rows[0].wording
        call.push_id, call.is_created_earlier = known.get(wording, ""), wording in earlier
    return [call for call in calls if not call.is_list or call.push_id]


def is_poison(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.FAILED and outcome.scope is Scope.MESSAGE


def forgotten(work: KeyWork, call: Call, outcome: Outcome) -> Outcome:
    """Forget the message id of a refused list call. The provider may no longer know an old id, or not under the key's
    current access id, so the refusal says nothing about the message. The next attempt creates the message again."""
    record_id, stands_for = call.rows[0].wording
    made = MultiPush.objects.filter(record_id=record_id, stands_for=stands_for, app_key=work.key, push_id=call.push_id)
    outcomes.outlast_outage(made.delete)
    return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, scope=Scope.TARGET)


def requests_of(
    sender: Provider, calls: Sequence[Call]
) -> tuple[dict[int, HttpRequest], list[tuple[Claimed, Outcome]]]:
    """Return the calls' requests by number, and the outcomes of the rows whose call cannot be encoded."""
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


def settle(work: KeyWork, finished: list[tuple[Claimed, Outcome]], *, is_begun: bool = True) -> None:
    if not finished:
        return
    pulse.moves_on()
    goes_on = outcomes.settle(work.key, work.claim, finished, work.policies, work.contents, is_begun=is_begun)
    work.is_halted |= not goes_on
