"""The canary: the part of an audience that gets a broadcast first. Chooses its members, and judges its outcomes; judges
by the same limits the outcomes of the last minute while a broadcast is being sent to everybody.

The members are chosen by a hash of the broadcast and the member: spread over the whole audience, different in every
broadcast, and the same on every call. The main send then lists the audience from the beginning and leaves out members
that already have a row: nobody gets the broadcast twice, and nobody who joined or moved meanwhile is lost. The canary
is sent device by device (`PushRecord.one_by_one`), since Xinge silently drops the dead tokens of a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from math import ceil
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Max

from pushes.broadcasts.audiences import Member
from pushes.ledger import tallies
from pushes.models import Broadcast, BroadcastTally, DeliveryResult
from pushes.names import CLAIMABLE, BroadcastPhase, Reason, Status
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

WHOLE = 10_000
#: A failure rate of fewer devices than this means little, so a small share is raised to about this many.
MIN_DEVICES = 50
#: This many answers are enough to halt before all of them are in.
MIN_ANSWERS = 20
#: During the main send, a spike needs at least this many failures, among at least this many answers.
MIN_SPIKE, MIN_RECENT_ANSWERS = 10, 50
#: A rate that an operator has accepted halts the broadcast again only when it gets worse by this factor.
WORSE = 1.5
ERRORS, BAD_TOKENS, SILENCE = "errors", "bad_tokens", "silence"
_OF_CANARY = {SILENCE: Sentence.CANARY_SILENT, ERRORS: Sentence.CANARY_FAILS}
#: Retries for these reasons say nothing about the message or the tokens.
NO_TROUBLE = (Reason.THROTTLED, Reason.OUTSIDE_WINDOW, Reason.BROADCAST_PAUSED)


def share(broadcast: Broadcast, size: int | None) -> int:
    """Return the canary's share of an audience of `size` devices (None: unknown, treated as large), in 10,000ths."""
    percent = broadcast.canary_percent
    if percent is None:
        is_large = size is None or size > settings.BROADCAST_CANARY_ABOVE
        percent = settings.BROADCAST_CANARY_PERCENT if is_large else 0
    if not percent or size == 0:
        return 0
    least = ceil(MIN_DEVICES * WHOLE / size) if size else 0
    return int(min(WHOLE / 2, max(percent * WHOLE / 100, least)))


def is_part(broadcast: Broadcast, member: Member) -> bool:
    digest = blake2b(f"{broadcast.pk}:{member.name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % WHOLE < broadcast.canary_share


def pages_at_once(broadcast: Broadcast) -> int:
    """Return how many pages to read together: only the canary's share of each is used."""
    return max(1, min(10, WHOLE // broadcast.canary_share)) if broadcast.phase == BroadcastPhase.CANARY else 1


def members(broadcast: Broadcast, record_id: int, found: Sequence[Member]) -> list[Member]:
    """Return the members of a page that are to be sent to in the broadcast's current phase."""
    if not broadcast.phase:
        return list(found)
    part = {member.name for member in found if is_part(broadcast, member)}
    if broadcast.phase == BroadcastPhase.CANARY:
        return [member for member in found if member.name in part]
    done = _done(record_id, [member for member in found if member.name in part])
    return [member for member in found if member not in done]


def _done(record_id: int, chosen: Sequence[Member]) -> set[Member]:
    """Return the members that have a row: for the device, or for the account if it was refused as a whole."""
    if not chosen:
        return set()
    rows = DeliveryResult.objects.filter(record_id=record_id)
    tokens = {member.device.token for member in chosen if member.device}
    accounts = {member.account_id for member in chosen}
    sent = set(rows.filter(token__in=tokens).values_list("token", flat=True)) if tokens else set()
    of_accounts = set(rows.filter(account_id__in=accounts).values_list("account_id", "token"))
    refused = {account_id for account_id, token in of_accounts if not token}
    listed = {account_id for account_id, _ in of_accounts}
    return {
        member
        for member in chosen
        if (
            member.account_id in listed
            if member.device is None
            else member.device.token in sent or member.account_id in refused
        )
    }


def is_waiting(broadcast: Broadcast) -> bool:
    """Whether the canary is fully listed, and the main send waits for its outcomes."""
    return broadcast.phase == BroadcastPhase.CANARY and broadcast.canary_listed_at is not None


# --- what the outcomes say -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """The canary's deliveries, counted. `errors` failed or are unknown, except for bad tokens; `troubled` wait for
    another attempt after an error; `waiting` wait for something else, or are being sent; `silent` were refused by us,
    expired or were cancelled, and say nothing about the message."""

    accepted: int = 0
    errors: int = 0
    bad_tokens: int = 0
    troubled: int = 0
    waiting: int = 0
    silent: int = 0

    @property
    def answered(self) -> int:
        return self.accepted + self.errors + self.bad_tokens

    @property
    def is_complete(self) -> bool:
        return not self.troubled and not self.waiting

    @property
    def error_percent(self) -> float:
        return _percent(self.errors, self.answered)

    @property
    def bad_token_percent(self) -> float:
        return _percent(self.bad_tokens, self.answered)


@dataclass(frozen=True, slots=True)
class Limits:
    """Percentages of the answers above which the broadcast halts."""

    error_percent: float
    bad_token_percent: float


def limits(broadcast: Broadcast | None = None) -> Limits:
    """Return the limits of the settings, or the higher rates that an operator has accepted for `broadcast`."""
    passed = broadcast.tolerated if broadcast else {}
    return Limits(
        max(settings.BROADCAST_CANARY_ERROR_PERCENT, WORSE * passed.get(ERRORS, 0.0)),
        max(settings.BROADCAST_CANARY_BAD_TOKEN_PERCENT, WORSE * passed.get(BAD_TOKENS, 0.0)),
    )


class Objection(NamedTuple):
    """Why the rest must not be sent: `why` is `errors`, `bad_tokens` or `silence`. Based on the canary, or on the
    answers of the last `seconds`."""

    why: str
    number: int
    answered: int
    most_percent: float
    seconds: int = 0

    @property
    def percent(self) -> float:
        return _percent(self.number, self.answered)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Objection | None":
        """Read an objection as stored with a broadcast; None when another version of the platform wrote it."""
        try:
            return cls(**stored)
        except TypeError:
            return None

    @property
    def note(self) -> Note:
        if self.seconds:
            sentence = Sentence.RECENT_FAILS if self.why == ERRORS else Sentence.RECENT_TOKENS
        else:
            sentence = _OF_CANARY.get(self.why, Sentence.CANARY_TOKENS)
        return Note(
            sentence,
            count=f"{self.number:,}",
            answered=f"{self.answered:,}",
            percent=f"{self.percent:.1f}",
            most=f"{self.most_percent:g}",
            seconds=self.seconds,
        )


def objection(tally: Tally, most: Limits, *, is_over: bool) -> Objection | None:
    """Return the objection to sending the rest, if there is one. `is_over` means that no more outcomes are awaited:
    then deliveries that still wait for a retry count as errors, and no answer at all is an objection of its own.

    Before that, a few errors among a few answers are not enough. A single error among several answers never is.
    """
    if is_over:
        tally = replace(tally, errors=tally.errors + tally.troubled)
        if not tally.answered and tally.waiting:
            return Objection(SILENCE, tally.waiting, 0, 0.0)
    elif tally.answered < MIN_ANSWERS:
        return None
    return _too_many(tally, most, least=min(2, tally.answered))


def spike(broadcast: Broadcast, now: datetime) -> Objection | None:
    """Return the objection that the outcomes of the last BROADCAST_HALT_WINDOW_SECONDS raise against going on. Only
    final outcomes count: deliveries that wait because of a rate limit say nothing, nor does a handful of failures."""
    seconds = settings.BROADCAST_HALT_WINDOW_SECONDS
    since = tallies.seconds_ago(now, seconds)
    ends = tallies.ends(broadcast.pk, since=max(since, broadcast.watched_from or since))
    found = _of(ends)
    # When tokens are doubted the key is paused, and no more answers come.
    is_doubted = any(event == BroadcastTally.DOUBTED for event, _ in ends)
    if found.answered < MIN_RECENT_ANSWERS and not is_doubted:
        return None
    objected = _too_many(found, limits(broadcast), least=MIN_SPIKE)
    return objected._replace(seconds=round(seconds)) if objected else None


def _too_many(tally: Tally, most: Limits, *, least: int) -> Objection | None:
    if tally.errors >= least and tally.error_percent > most.error_percent:
        return Objection(ERRORS, tally.errors, tally.answered, most.error_percent)
    if tally.bad_tokens >= least and tally.bad_token_percent > most.bad_token_percent:
        return Objection(BAD_TOKENS, tally.bad_tokens, tally.answered, most.bad_token_percent)
    return None


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def recent(broadcast_id: int, since: datetime | None = None) -> Tally:
    """Tally the deliveries that have ended, ever or since a time. Waiting deliveries are not counted."""
    ends = tallies.ends(broadcast_id, since=since)
    return _of({key: number for key, number in ends.items() if key[0] != BroadcastTally.DOUBTED})


def _of(ends: Mapping[tuple[str, str], int]) -> Tally:
    counted: dict[str, int] = dict.fromkeys(Tally.__slots__, 0)
    for (event, reason), number in ends.items():
        if event != BroadcastTally.MADE:
            counted[_column(event, reason)] += number
    return Tally(**counted)


def tally(record_ids: Sequence[int]) -> Tally:
    """Tally all rows of the records: before the main send is listed, these are the canary's."""
    counted: dict[str, int] = dict.fromkeys(Tally.__slots__, 0)
    rows = DeliveryResult.objects.filter(record_id__in=record_ids).order_by().values_list("status", "reason")
    for status, reason, number in rows.annotate(number=Count("id")):
        counted[_column(status, reason)] += number
    return Tally(**counted)


def _column(status: str, reason: str) -> str:
    if status == Status.ACCEPTED:
        return "accepted"
    if status in (Status.FAILED, Status.UNKNOWN):
        return "bad_tokens" if reason == Reason.BAD_TOKEN else "errors"
    if reason == Reason.TOKENS_DOUBTED and status in (Status.RETRYING, BroadcastTally.DOUBTED):
        return "bad_tokens"
    if status == Status.RETRYING and reason not in NO_TROUBLE:
        return "troubled"
    return "waiting" if status in (*CLAIMABLE, Status.SENDING) else "silent"


def waits_until(listed_at: datetime, record_ids: Sequence[int]) -> datetime:
    """Return when to stop waiting for outcomes. The time starts when the last delivery could be sent: deliveries held
    for the delivery window are not slow to answer."""
    states = (Status.PENDING, Status.HELD, Status.SENDING)
    live = DeliveryResult.objects.filter(record_id__in=record_ids, status__in=states)
    sendable_at = live.aggregate(at=Max("due_at"))["at"]
    begins_at: datetime = max(listed_at, sendable_at) if sendable_at else listed_at
    return begins_at + timedelta(seconds=settings.BROADCAST_CANARY_WAIT_SECONDS)
