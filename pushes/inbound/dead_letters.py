"""Dead letters: read them again, corrected or not, or put them aside."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db import transaction

from pushes import submit
from pushes.inbound import intake, orders, payload
from pushes.ledger import same_push
from pushes.ledger.same_push import Conflict
from pushes.models import DeadLetter
from pushes.names import CONFLICT, DeadLetterStatus
from pushes.storage import clocks
from pushes.values import PushMessage

log = logging.getLogger(__name__)

#: Whose raw bytes are producers' orders. What other sources keep is read by themselves.
REPLAYABLE = (intake.SOURCE,)


@dataclass(frozen=True, slots=True)
class StillBad:
    """A dead letter that still cannot become a push; of a conflict, `record_id` is the push that has its msg_id."""

    dead_letter_id: int
    reason: str
    detail: str
    record_id: int = 0


@dataclass(slots=True)
class ReplayCounts:
    """`duplicates` were received in another way meanwhile; `skipped` are not new (or not there) any more. What
    conflicts with another push is among `still_bad`."""

    accepted: int = 0
    duplicates: int = 0
    skipped: int = 0
    still_bad: list[StillBad] = field(default_factory=list)


@transaction.atomic
def replay(dead_letter_ids: Collection[int], *, by: str, edited: Mapping[int, bytes] | None = None) -> ReplayCounts:
    """Submit what the letters say (or their corrected bytes in `edited`, by id); a second time does nothing.

    A message with a `msg_id` keeps it as its identity, so that one that its producer has sent again
    meanwhile is not pushed twice. The original bytes stay as they were received.
    """
    letters = _new_ones(dead_letter_ids)
    counts = ReplayCounts(skipped=len(set(dead_letter_ids)) - len(letters))
    messages: dict[int, PushMessage] = {}
    for letter in letters:
        corrected = (edited or {}).get(letter.pk)
        message = _read(letter, corrected)
        if isinstance(message, StillBad):
            counts.still_bad.append(message)
        else:
            messages[letter.pk] = message
    done = submit.submit(list(messages.values()), tells_conflicts=True)
    counts.accepted, counts.duplicates = done.accepted, done.duplicates
    results = dict(zip(messages, done.results, strict=True))
    counts.still_bad += [
        _still_bad(pk, messages[pk], result) for pk, result in results.items() if not isinstance(result, submit.Stored)
    ]
    stored = [letter for letter in letters if isinstance(results.get(letter.pk), submit.Stored)]
    _resolve(stored, DeadLetterStatus.REPLAYED, by)
    return counts


@transaction.atomic
def discard(dead_letter_ids: Collection[int], *, by: str) -> int:
    """Put new letters aside; they keep their bytes. Returns how many."""
    letters = _new_ones(dead_letter_ids)
    _resolve(letters, DeadLetterStatus.DISCARDED, by)
    return len(letters)


def problem(letter: DeadLetter, corrected: bytes | None) -> StillBad | None:
    """What still stands against replaying the letter, or its corrected bytes; changes nothing."""
    found = _read(letter, corrected)
    if isinstance(found, StillBad):
        return found
    fault = submit.refusal(found) or same_push.conflict(found, recorded_for(found))
    return _still_bad(letter.pk, found, fault) if fault else None


def recorded_for(message: PushMessage) -> same_push.Recorded | None:
    """The push that is stored under the identity of a letter's message."""
    return same_push.recorded([message.dedupe_key]).get(message.dedupe_key)


def message_of(letter: DeadLetter) -> PushMessage | None:
    """What the letter says; None when it cannot be read."""
    found = _read(letter, None)
    return found if isinstance(found, PushMessage) else None


def _still_bad(dead_letter_id: int, message: PushMessage, fault: submit.Refused | Conflict) -> StillBad:
    if isinstance(fault, submit.Refused):
        return StillBad(dead_letter_id, fault.code, str(fault))
    detail = f"msg_id {message.message_id!r} {fault}; change it or leave it out"
    return StillBad(dead_letter_id, CONFLICT, detail, fault.record_id)


def _new_ones(dead_letter_ids: Collection[int]) -> list[DeadLetter]:
    """Locked, so that of two clicks at the same time the second finds nothing to do."""
    chosen = DeadLetter.objects.select_for_update().filter(pk__in=dead_letter_ids, status=DeadLetterStatus.NEW)
    return list(chosen.order_by("pk"))


def _read(letter: DeadLetter, corrected: bytes | None) -> PushMessage | StillBad:
    if letter.source not in REPLAYABLE:
        return StillBad(letter.pk, "not_replayable", f"what came from {letter.source!r} is no producer's order")
    raw = bytes(letter.raw) if corrected is None else corrected
    try:
        fields, identity = payload.parse(raw), f"deadletter:{letter.pk}"
        return orders.read(fields, source=letter.source, identity=identity, now=clocks.now())
    except (payload.PayloadError, orders.OrderError) as error:
        return StillBad(letter.pk, error.reason, error.detail)


def _resolve(letters: list[DeadLetter], status: DeadLetterStatus, by: str) -> None:
    now = clocks.now()
    for letter in letters:
        letter.status, letter.resolved_at = status, now
        note = f" ({status.value} by {by[:80]})"
        letter.detail = letter.detail[: 300 - len(note)] + note
    DeadLetter.objects.bulk_update(letters, ["status", "resolved_at", "detail"], batch_size=500)
    log.info("%s dead letters %s by %s", len(letters), status.value, by)
