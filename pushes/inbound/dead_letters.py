"""Replay dead letters, corrected or not, or discard them."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from django.db import transaction

from pushes import submit
from pushes.inbound import intake, orders, payload
from pushes.ledger import same_push
from pushes.ledger.dead_letter_store import MAX_DETAIL
from pushes.ledger.same_push import Conflict
from pushes.models import DeadLetter
from pushes.names import CONFLICT, DeadLetterStatus
from pushes.storage import clocks
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import PushMessage

log = logging.getLogger(__name__)

#: Sources whose raw bytes are producers' orders. Other sources read their own dead letters.
REPLAYABLE = (intake.SOURCE,)
_RESOLVED = {DeadLetterStatus.REPLAYED: Sentence.REPLAYED, DeadLetterStatus.DISCARDED: Sentence.DISCARDED}


@dataclass(frozen=True, slots=True)
class StillBad:
    """A dead letter that still cannot become a push; for a conflict, `record_id` is the push with the same msg_id."""

    dead_letter_id: int
    reason: str
    detail: Note
    record_id: int = 0


@dataclass(slots=True)
class ReplayCounts:
    """The counts of a replay. `duplicates` arrived in another way meanwhile; `skipped` are no longer new, or gone.
    Conflicts with another push are among `still_bad`."""

    accepted: int = 0
    duplicates: int = 0
    skipped: int = 0
    still_bad: list[StillBad] = field(default_factory=list)


@transaction.atomic
def replay(dead_letter_ids: Collection[int], *, by: str, edited: Mapping[int, bytes] | None = None) -> ReplayCounts:
    """Submit the letters (or their corrected bytes in `edited`, by id); a second call does nothing.

    A message with a `msg_id` keeps it as its identity, so that a message which its producer has sent again meanwhile
    is not pushed twice. The original bytes stay unchanged.
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
    """Discard new letters; their bytes are kept. Returns how many."""
    letters = _new_ones(dead_letter_ids)
    _resolve(letters, DeadLetterStatus.DISCARDED, by)
    return len(letters)


def problem(letter: DeadLetter, corrected: bytes | None) -> StillBad | None:
    """Return what still prevents a replay of the letter, or of its corrected bytes. Changes nothing."""
    found = _read(letter, corrected)
    if isinstance(found, StillBad):
        return found
    fault = submit.refusal(found) or same_push.conflict(found, recorded_for(found))
    return _still_bad(letter.pk, found, fault) if fault else None


def recorded_for(message: PushMessage) -> same_push.Recorded | None:
    """Return the push that is stored under the identity of the letter's message."""
    return same_push.recorded([message.dedupe_key]).get(message.dedupe_key)


def message_of(letter: DeadLetter) -> PushMessage | None:
    """Return the letter's message; None when it cannot be read."""
    found = _read(letter, None)
    return found if isinstance(found, PushMessage) else None


def _still_bad(dead_letter_id: int, message: PushMessage, fault: submit.Refused | Conflict) -> StillBad:
    if isinstance(fault, submit.Refused):
        return StillBad(dead_letter_id, fault.code, fault.note)
    return StillBad(dead_letter_id, CONFLICT, fault.note(f"msg_id {message.message_id!r}"), fault.record_id)


def _new_ones(dead_letter_ids: Collection[int]) -> list[DeadLetter]:
    """Lock the letters that are still new, so that the second of two simultaneous clicks finds nothing to do."""
    chosen = DeadLetter.objects.select_for_update().filter(pk__in=dead_letter_ids, status=DeadLetterStatus.NEW)
    return list(chosen.order_by("pk"))


def _read(letter: DeadLetter, corrected: bytes | None) -> PushMessage | StillBad:
    if letter.source not in REPLAYABLE:
        return StillBad(letter.pk, "not_replayable", Note(Sentence.NOT_REPLAYABLE, source=repr(letter.source)))
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
        letter.detail = notes.stored(*notes.read(letter.detail), Note(_RESOLVED[status], who=by[:80]), most=MAX_DETAIL)
    DeadLetter.objects.bulk_update(letters, ["status", "resolved_at", "detail"], batch_size=500)
    log.info("%s dead letters %s by %s", len(letters), status.value, by)
