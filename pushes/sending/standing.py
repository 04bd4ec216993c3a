"""Check once more, before a claimed batch is sent, whether its pushes were withdrawn or recalled.

A push that was withdrawn during its call is not retried. For a chat push that has waited (for its burst, its reader,
its delivery window, a retry, or behind a backlog), the source is asked whether its message, or any message of its
burst, was recalled. A push that is sent at once costs nothing here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pushes import lanes
from pushes.distribution import distribute, message_sources, take_backs
from pushes.distribution.take_backs import Rest, Waiting
from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Reason, Status
from pushes.values import Policy, SourceMessage

#: A push that was accepted longer ago than this has waited, even if it was never held.
WAITED_SECONDS = 2.0


@dataclass(slots=True)
class Findings:
    """For claimed rows: why some must not be sent, and for how many messages others stand now."""

    ended: dict[int, Reason] = field(default_factory=dict)
    stands_for: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    messages: list[int] = field(default_factory=list)
    bursts: list[Waiting] = field(default_factory=list)


def look(rows: Sequence[Claimed], policies: Mapping[int, Policy], now: datetime) -> Findings:
    """Find what has happened to the rows that have waited. Changes nothing."""
    waited = [row for row in rows if _has_waited(row, policies[row.push_type], now)]
    found = Findings()
    if not waited:
        return found
    facts = _facts({row.record_id for row in waited})
    found.gone = {pk for pk, (_message, is_withdrawn) in facts.items() if is_withdrawn}
    found.ended = {row.id: Reason.WITHDRAWN for row in waited if row.record_id in found.gone}
    chats = [row for row in waited if row.kind in lanes.SHARDED and row.record_id in facts]
    if found.ended or any(message_sources.can_be_asked(facts[row.record_id][0].source) for row in chats):
        _ask(found, chats, [facts[row.record_id][0] for row in chats])
    return found


def _has_waited(row: Claimed, policy: Policy, now: datetime) -> bool:
    """Whether the row has waited: a row that was held, retried or woken is due at another time than it was created."""
    if row.attempts or row.due_at > row.created_at:
        return True
    if row.kind not in lanes.SHARDED:
        return False
    # Chat messages bring no expiry of their own.
    accepted_at = row.expires_at - timedelta(seconds=policy.ttl_seconds)
    return (now - min(accepted_at, row.created_at)).total_seconds() > WAITED_SECONDS


def _facts(record_ids: Iterable[int]) -> dict[int, tuple[SourceMessage, bool]]:
    """Return for each record what its source needs to know, and whether the record was withdrawn."""
    records = PushRecord.objects.filter(id__among=set(record_ids))
    found = records.values_list(*SourceMessage._fields[1:], "withdrawn_at", "id")
    return {pk: (SourceMessage(pk, *message), at is not None) for *message, at, pk in found}


def _ask(found: Findings, chats: Sequence[Claimed], messages: Sequence[SourceMessage]) -> None:
    """Ask about the rows' own messages and the messages merged into them, in one question."""
    found.bursts = [
        Waiting(row.id, row.record_id, row.account_id, row.burst, row.stands_for)
        for row in chats
        if row.stands_for > 1 and row.burst is not None
    ]
    found.messages = take_backs.messages_of(found.bursts) if found.bursts else []
    asked = {message.record_id: message for message in messages}
    others = _facts(set(found.messages) - asked.keys())
    asked |= {pk: message for pk, (message, _) in others.items()}
    recalled = message_sources.taken_back(message for pk, message in asked.items() if pk not in found.gone)
    found.ended |= {row.id: Reason.RECALLED for row in chats if row.record_id in recalled}
    found.gone |= recalled


def part(found: Findings, claim_token: str, now: datetime) -> dict[int, int]:
    """Remove the recalled messages from the bursts, in the caller's transaction, which also settles the ended rows.
    Returns for how many messages the remaining rows stand."""
    if not found.gone or not found.bursts:
        return {}
    ours = claims.still_held([row.id for row in found.bursts], claim_token)
    rows = {row.id: row for row in found.bursts if row.id in ours}
    rests = take_backs.leave(list(rows.values()), found.gone, found.messages, Reason.RECALLED, now)
    counts: dict[int, int] = {}
    heirs: list[int] = []
    for row_id, rest in rests.items():
        if row_id in found.ended:
            heirs += _succeed(row_id, rest, now)
        else:
            counts[row_id] = max(1, rest.stands_for)
            claims.recount(row_id, claim_token, counts[row_id])
    pending = DeliveryResult.objects.filter(id__among=heirs, status=Status.PENDING).order_by("id")
    distribute.enqueue_by_key(pending.values_list("kind", "shard", "app_key_id", "id"))
    return counts


def _succeed(row_id: int, rest: Rest, now: datetime) -> list[int]:
    if rest.heir is None or rest.stands_for < 1:
        return []
    order_key = DeliveryResult.objects.values_list("order_key", flat=True).get(pk=row_id)
    take_backs.revive(rest.heir, stands_for=rest.stands_for, order_key=order_key, status=Status.PENDING, due_at=now)
    return [rest.heir]
