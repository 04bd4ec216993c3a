"""The calls of a claimed batch: which rows share one, what each says, and what follows from its outcome."""

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


#: A record and a count of coalesced messages: the same words.
Wording = tuple[int, int]


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


def planned(work: KeyWork, rows: Iterable[Claimed]) -> list[Call]:
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
        settle(work, [(row, outcome) for row in group], is_begun=False)
        return None
    return work.messages[wording]


def _unwritable(error: Exception, scope: Scope) -> Outcome:
    """A fault of the message, or of the program with this message: either way it can never be sent."""
    if isinstance(error, MessageTooLargeError):
        return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=str(error))
    log.error("a push cannot be written for its provider", exc_info=error)
    return Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, scope, text=f"{type(error).__name__}: {error}")


def created(work: KeyWork, calls: list[Call]) -> list[Call]:
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
    """A list that is refused under an id of long ago says nothing about the message: the provider may not know the
    id any more, or not under the key's present access id. The next attempt creates the message anew."""
    record_id, stands_for = call.rows[0].wording
    made = MultiPush.objects.filter(record_id=record_id, stands_for=stands_for, app_key=work.key, push_id=call.push_id)
    outcomes.outlast_outage(made.delete)
    return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, scope=Scope.TARGET)


def requests_of(
    sender: Provider, calls: Sequence[Call]
) -> tuple[dict[int, HttpRequest], list[tuple[Claimed, Outcome]]]:
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


def settle(work: KeyWork, finished: list[tuple[Claimed, Outcome]], *, is_begun: bool = True) -> None:
    if not finished:
        return
    pulse.moves_on()
    goes_on = outcomes.settle(work.key, work.claim, finished, work.policies, work.contents, is_begun=is_begun)
    work.is_halted |= not goes_on
