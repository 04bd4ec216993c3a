"""Remove a recalled message from its burst: the count goes down, and the remaining messages are still pushed.

The waiting delivery of a burst shows the latest message; the earlier deliveries are `skipped` as `coalesced` under the
same burst number. When an earlier message is recalled, the waiting delivery stands for one message less. When the
latest message is recalled, the latest of the others takes its place. So nobody reads a recalled text, and no other
message is missed.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet

from pushes.ledger import endings
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Reason, Status
from pushes.storage import batches

#: How many messages before a waiting one are looked at, per conversation.
MAX_MESSAGES = 1_000
CHUNK = 50


class Waiting(NamedTuple):
    """A live delivery of a burst, in the caller's hands: claimed, or locked."""

    id: int
    record_id: int
    account_id: str
    burst: int
    stands_for: int


@dataclass(frozen=True, slots=True)
class Rest:
    """What remains of a burst: the number of messages and, when the waiting delivery's own message was recalled, the
    delivery that takes its place (None: nothing remains to be sent)."""

    stands_for: int
    heir: int | None = None


def messages_of(rows: Sequence[Waiting]) -> list[int]:
    """Return the ids of the records that may be part of these bursts, newest first."""
    most = max((row.stands_for for row in rows), default=0)
    newest: dict[str, int] = {}
    conversations = PushRecord.objects.filter(id__among={row.record_id for row in rows}).exclude(conversation="")
    for pk, conversation in conversations.values_list("id", "conversation"):
        newest[conversation] = max(pk, newest.get(conversation, 0))
    found: list[int] = []
    for conversation, pk in newest.items():
        before = PushRecord.objects.filter(conversation=conversation, id__lte=pk).order_by("-id")
        # Not every message of the conversation is in every burst: senders get no push of their own messages.
        found += before.values_list("id", flat=True)[: min(MAX_MESSAGES, 2 * most + CHUNK)]
    return sorted(found, reverse=True)


def leave(
    rows: Sequence[Waiting], gone: Collection[int], messages: Sequence[int], reason: Reason, now: datetime
) -> dict[int, Rest]:
    """Remove the records `gone` from the bursts of `rows`. Returns what remains by delivery id, without the bursts
    that have none of these records. `messages` is the answer of `messages_of`. Runs in the caller's transaction:
    merged deliveries of `gone` end here as recalled; the caller changes the rows and their heirs."""
    merged = DeliveryResult.objects.filter(
        burst__among={row.burst for row in rows},
        account_id__among={row.account_id for row in rows},
        status=Status.SKIPPED,
        reason=Reason.COALESCED,
    )
    parting = merged.filter(record__id__among=set(gone))
    parted = Counter(parting.values_list("burst", flat=True))
    endings.end(parting, Status.CANCELLED, reason, now=now)
    orphaned = [row for row in rows if row.record_id in gone]
    heirs = _heirs(merged.filter(expires_at__gt=now), orphaned, [pk for pk in messages if pk not in gone])
    return {
        row.id: Rest(row.stands_for - parted[row.burst] - (row.record_id in gone), heirs.get(row.burst))
        for row in rows
        if parted[row.burst] or row.record_id in gone
    }


def _heirs(
    merged: "QuerySet[DeliveryResult]", orphaned: Sequence[Waiting], messages: Sequence[int]
) -> Mapping[int, int]:
    """Return the latest remaining delivery of each burst."""
    left = {row.burst for row in orphaned}
    found: dict[int, int] = {}
    for chunk in batches.chunks(messages, CHUNK):
        if not left:
            break
        rows = merged.filter(record__id__among=chunk, burst__among=left).order_by("record_id")
        found |= {burst: pk for burst, pk in rows.values_list("burst", "id") if burst is not None}
        left -= found.keys()
    return found


def revive(
    heir: int, *, stands_for: int, order_key: int | None, status: Status, due_at: datetime, reason: str = ""
) -> None:
    """Let a merged delivery wait, or be sent, in place of the recalled one."""
    DeliveryResult.objects.filter(pk=heir, status=Status.SKIPPED, reason=Reason.COALESCED).update(
        status=status, reason=reason, stands_for=stands_for, order_key=order_key, due_at=due_at, finished_at=None
    )
