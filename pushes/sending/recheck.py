"""Check a claimed batch once more before it is sent: what has changed since its deliveries were decided?

A fresh delivery costs one look at its account's presence, if its push type cares about presence; the claim has already
read who owns the device. A delivery that has waited (held, retried, behind a backlog) gets the whole verdict again:
its account may have logged out, and its message may have been recalled (`standing`). A delivery that is no longer
wanted ends, or waits, with its reason.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from pushes import lanes
from pushes.broadcasts.rows import FAR_FUTURE_DAYS, states
from pushes.distribution import eligibility, windows
from pushes.ledger import claims, counters, tallies
from pushes.ledger.claims import Claimed
from pushes.models import PushRecord
from pushes.names import BroadcastStatus, Kind, Reason, Status
from pushes.people.directory import directory, read_positions
from pushes.sending import standing
from pushes.storage import conflicts
from pushes.values import Policy, Recipient

#: A verdict younger than this still holds, unless the delivery has been tried before.
FRESH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed batch's claim token, app and key, and the time of the check."""

    token: str
    app: str
    key_id: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """The new state of a delivery that is not sent now."""

    status: Status
    reason: Reason
    due_at: datetime | None = None


Judge = Callable[[Sequence[Claimed], Claim, Mapping[int, Policy]], dict[int, Change]]


def still_wanted(rows: Sequence[Claimed], claim: Claim, policies: Mapping[int, Policy]) -> list[Claimed]:
    """Return the claimed rows that are to be sent now, and settle the others. Raises redis.RedisError."""
    wanted = _without_halted_broadcasts(rows, claim)
    for judge in (_outside_window, _refused, _read):
        wanted = apart_from(judge(wanted, claim, policies), wanted, claim)
    return _without_taken_back(wanted, claim, policies)


def _without_taken_back(rows: Sequence[Claimed], claim: Claim, policies: Mapping[int, Policy]) -> list[Claimed]:
    found = standing.look(rows, policies, claim.now)
    if not found.gone:
        return list(rows)
    changes = {row_id: Change(Status.CANCELLED, reason) for row_id, reason in found.ended.items()}
    with transaction.atomic():
        counts = standing.part(found, claim.token, claim.now)
        left = apart_from(changes, rows, claim)
    return [row._replace(stands_for=counts.get(row.id, row.stands_for)) for row in left]


def apart_from(changes: Mapping[int, Change], rows: Sequence[Claimed], claim: Claim) -> list[Claimed]:
    """Give the rows that are not sent now their new states, and return the others."""
    if changes:
        _settle(changes, rows, claim)
    return [row for row in rows if row.id not in changes]


@conflicts.repeated
@transaction.atomic
def _settle(changes: Mapping[int, Change], rows: Sequence[Claimed], claim: Claim) -> None:
    by_change: dict[tuple[Change, str, int, bool], list[int]] = defaultdict(list)
    for row in rows:
        if row.id in changes:
            tallied = row.record_id if row.kind == Kind.BROADCAST else 0
            by_change[changes[row.id], row.kind, tallied, bool(row.call_key)].append(row.id)
    events: Counter[tuple[str, str, str, int]] = Counter()
    ends: Counter[tuple[int, str, str]] = Counter()
    for (change, kind, record_id, is_open), delivery_ids in by_change.items():
        after: dict[str, Any] = {"due_at": change.due_at} if change.due_at else _ended(claim, is_open=is_open)
        settled = claims.settle(delivery_ids, claim.token, status=change.status, reason=change.reason, **after)
        events[kind, change.status, change.reason, claim.key_id] += settled
        ends[record_id, change.status, change.reason] += settled if record_id else 0
    counters.add(events, claim.now)
    tallies.add(ends, claim.now)


def _ended(claim: Claim, *, is_open: bool) -> dict[str, Any]:
    """Return the columns of a row that ends now; `is_open`: the fate of its last call is not known."""
    ended = {"order_key": None, "finished_at": claim.now}
    return ended | {"may_have_arrived": True} if is_open else ended


def _without_halted_broadcasts(rows: Sequence[Claimed], claim: Claim) -> list[Claimed]:
    """Stop rows of paused and cancelled broadcasts. `pause` and `cancel` stop the waiting rows; a row that was being
    sent at that moment and came back stops here."""
    record_ids = {row.record_id for row in rows if row.kind == Kind.BROADCAST}
    if not record_ids or not _halted(states(record_ids), claim):
        return list(rows)
    with transaction.atomic():
        # Once more under the broadcasts' locks: a `resume` at the same time then finds the rows that are held here.
        halted = _halted(states(record_ids, lock=True), claim)
        changes = {row.id: halted[row.record_id] for row in rows if row.record_id in halted}
        return apart_from(changes, rows, claim)


def _halted(states: Mapping[int, str], claim: Claim) -> dict[int, Change]:
    by_state: dict[str, Change] = {
        BroadcastStatus.PAUSED: Change(
            Status.HELD, Reason.BROADCAST_PAUSED, claim.now + timedelta(days=FAR_FUTURE_DAYS)
        ),
        BroadcastStatus.CANCELLED: Change(Status.CANCELLED, Reason.CANCELLED),
    }
    return {record_id: by_state[state] for record_id, state in states.items() if state in by_state}


def _outside_window(rows: Sequence[Claimed], claim: Claim, policies: Mapping[int, Policy]) -> dict[int, Change]:
    """Deliveries whose window has shut since they were distributed."""
    zone = ZoneInfo(settings.TIME_ZONE)
    own = _own_window_policies(rows)
    rules = {row.id: (own.get(row.record_id) or policies[row.push_type].window_policy, row.push_type) for row in rows}
    decisions = {
        (policy, number): windows.decide(policy, policies[number].window, claim.now, zone)
        for policy, number in set(rules.values())
    }
    if all(decision == windows.SEND_NOW for decision in decisions.values()):
        return {}
    return {
        row.id: _put_off(decision, row) for row in rows if (decision := decisions[rules[row.id]]) != windows.SEND_NOW
    }


def _own_window_policies(rows: Sequence[Claimed]) -> dict[int, str]:
    """Return the window policies of records that have their own: only broadcasts can."""
    record_ids = {row.record_id for row in rows if row.kind == Kind.BROADCAST}
    if not record_ids:
        return {}
    chosen = PushRecord.objects.filter(id__in=record_ids).exclude(window_policy="")
    return dict(chosen.values_list("id", "window_policy"))


def _put_off(decision: windows.Decision, row: Claimed) -> Change:
    if decision.hold_until is None or decision.hold_until >= row.expires_at:
        return Change(Status.SKIPPED, Reason.OUTSIDE_WINDOW)
    return Change(Status.HELD, Reason.OUTSIDE_WINDOW, decision.hold_until)


def _refused(rows: Sequence[Claimed], claim: Claim, policies: Mapping[int, Policy]) -> dict[int, Change]:
    asked = dict.fromkeys(row.account_id for row in rows if policies[row.push_type].skips_online)
    online = directory().online(list(asked)) if asked else set()
    oldest = claim.now - timedelta(seconds=FRESH_SECONDS)
    waited = [row for row in rows if row.attempts or row.created_at < oldest]
    reasons = _verdicts(waited, claim.app, policies, online) if waited else {}
    for row in rows:
        if row.id not in reasons and row.has_left_its_owner:
            reasons[row.id] = Reason.NO_DEVICE
        # The reader sees the message in the app: a push would be redundant.
        if row.id not in reasons and row.account_id in online and policies[row.push_type].skips_online:
            reasons[row.id] = Reason.ONLINE
    return {row_id: Change(Status.SKIPPED, reason) for row_id, reason in reasons.items()}


def _read(rows: Sequence[Claimed], _claim: Claim, _policies: Mapping[int, Policy]) -> dict[int, Change]:
    """Return chat pushes whose message was read: its sequence number is not beyond the account's read position."""
    chats = [row for row in rows if row.kind in lanes.SHARDED] if settings.READ_POSITION_KEY else []
    if not chats:
        return {}
    records = {
        pk: (conversation, data.get("seq"))
        for pk, conversation, data in PushRecord.objects.filter(id__in={row.record_id for row in chats}).values_list(
            "id", "conversation", "data"
        )
    }
    read = read_positions([(row.account_id, records[row.record_id][0]) for row in chats])
    found: dict[int, Change] = {}
    for row in chats:
        conversation, sequence = records[row.record_id]
        position = read.get((row.account_id, conversation))
        # Some chat servers write their sequence numbers as text.
        if isinstance(sequence, str) and sequence.isascii() and sequence.isdecimal():
            sequence = int(sequence)
        if position is not None and isinstance(sequence, int) and sequence <= position:
            found[row.id] = Change(Status.SKIPPED, Reason.READ)
    return found


def _verdicts(rows: Sequence[Claimed], app: str, policies: Mapping[int, Policy], online: set[str]) -> dict[int, Reason]:
    """Return the reasons of the rows whose account would be refused now."""
    ids = list(dict.fromkeys(row.account_id for row in rows))
    known = directory()
    facts, devices = known.accounts(ids), known.devices(ids, app)
    chats = {
        pk: (conversation, sender_id)
        for pk, conversation, sender_id in PushRecord.objects.filter(
            id__in={row.record_id for row in rows}
        ).values_list("id", "conversation", "sender_id")
    }
    reasons: dict[int, Reason] = {}
    for row in rows:
        conversation, sender_id = chats.get(row.record_id, ("", ""))
        person = Recipient(
            row.account_id, facts.get(row.account_id), row.account_id in online, tuple(devices.get(row.account_id, ()))
        )
        # Only this device counts, not others that the account has by now.
        person = person._replace(devices=tuple(d for d in person.devices if d.token == row.token))
        reason = eligibility.verdict(person, policies[row.push_type], conversation=conversation, sender_id=sender_id)
        if reason is not None:
            reasons[row.id] = reason
    return reasons
