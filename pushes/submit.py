"""The front door: store messages as PushRecord rows, under unique dedupe keys, in one transaction, with one answer per
message."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import DatabaseError, transaction

from pushes import lanes
from pushes.ledger import counters, dead_letter_store, same_push
from pushes.ledger.dead_letter_store import Letter
from pushes.ledger.same_push import Conflict
from pushes.models import PushRecord, policies
from pushes.names import INVALID, UNSTORABLE, App, Kind, PushType
from pushes.storage import bulk, clocks, conflicts, outages
from pushes.text import characters, ids, presentation
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Policy, PushMessage
from pushes.workers import queues

log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 65_536
MAX_DATA_BYTES = 65_536
KINDS, APPS, PUSH_TYPES = frozenset(Kind.values), frozenset(App.values), frozenset(PushType.values)
TEXTS = ("title", "text", "message_id", "conversation", "sender_id", "source", "identity")
#: Maximum length, in characters, of values in columns of limited width.
LIMITS = {"title": 128, "message_id": 128, "conversation": 140, "sender_id": 64, "sender_name": 64, "source": 16}
#: Reasons of broadcasts that say it all without the field.
WHOLE = frozenset((Sentence.EXPIRES_TOO_EARLY, Sentence.NO_TAG, Sentence.NO_LISTING, Sentence.KNOWS_NO_TAGS))


class InvalidMessageError(ValueError):
    """A message that cannot be stored; `note` names the field and the value, unless the reason says it all."""

    def __init__(self, field: str, value: object, reason: Note) -> None:
        shown = repr(characters.shorten(str(value), 80))
        note = Note(Sentence.FIELD_VALUE, field=field, value=shown, why=reason)
        super().__init__(note)
        self.field, self.value, self.reason = field, value, reason
        self.note = reason if reason.code in WHOLE else note


class Stored(NamedTuple):
    """The message is a push: a new one, or a duplicate of one that was stored before."""

    record_id: int
    is_new: bool


class Refused(NamedTuple):
    """The message cannot become a push. `code` is INVALID, with the faulty field and value, or UNSTORABLE if only the
    database knows why. Its text leaves out the value, which may be private."""

    field: str
    value: object
    reason: Note
    code: str = INVALID

    @property
    def note(self) -> Note:
        return Note(Sentence.FIELD, field=self.field, why=self.reason) if self.field else self.reason

    def error(self) -> InvalidMessageError:
        return InvalidMessageError(self.field, self.value, self.reason)


#: The result of one message. A conflict names the push that has the message's identity.
Result = Stored | Conflict | Refused


@dataclass(frozen=True, slots=True)
class Submitted:
    """The result of each message, in their order."""

    results: list[Result]

    @property
    def accepted(self) -> int:
        return sum(stored.is_new for stored in self._stored)

    @property
    def duplicates(self) -> int:
        return sum(not stored.is_new for stored in self._stored)

    @property
    def record_ids(self) -> list[int]:
        """Return the ids of the messages that are stored, now or before."""
        return [stored.record_id for stored in self._stored]

    @property
    def _stored(self) -> list[Stored]:
        return [result for result in self.results if isinstance(result, Stored)]


def submit(messages: Sequence[PushMessage], *, now: datetime | None = None, tells_conflicts: bool = False) -> Submitted:
    """Store `messages`, and enqueue their distribution after commit. A message that cannot be stored is refused without
    affecting the others. Storing a message twice does nothing.

    `tells_conflicts` is for identities that producers choose: a different push under a used identity is then a conflict
    (see `same_push`), and is not stored. (For an edited chat message only the identity counts.) Inside a caller's
    transaction this is part of that transaction; otherwise it is a transaction of its own, retried after a deadlock.
    New records are recognised by their time of acceptance: two calls with the same explicit `now` both count them as
    accepted.
    """
    refusals = [refusal(message) for message in messages]
    good = [message for message, refused in zip(messages, refusals, strict=True) if refused is None]
    stored = iter(_store(good, now or clocks.now(), tells_conflicts) if good else ())
    return Submitted([refused or next(stored) for refused in refusals])


@transaction.atomic
def submit_all(messages: Sequence[PushMessage], *, now: datetime | None = None) -> Submitted:
    """Submit all messages or none. Raises InvalidMessageError."""
    done = submit(messages, now=now)
    for result in done.results:
        if isinstance(result, Refused):
            raise result.error()
    return done


@conflicts.repeated
@transaction.atomic
def _store(messages: Sequence[PushMessage], now: datetime, tells_conflicts: bool) -> list[Result]:
    rules = policies()
    keys = [message.dedupe_key for message in messages]
    # Of messages with the same key the first is stored, within a batch, too.
    firsts: dict[str, PushMessage] = {}
    for key, message in zip(keys, messages, strict=True):
        firsts.setdefault(key, message)
    refused = _insert([_row(key, message, rules[message.push_type], now) for key, message in firsts.items()])
    stored = {
        key: (record_id, kind, shard, created_at)
        for record_id, key, kind, shard, created_at in PushRecord.objects.filter(
            dedupe_key__among=firsts.keys()
        ).values_list("id", "dedupe_key", "kind", "shard", "created_at")
    }
    # Our own records have exactly our time of acceptance, to the microsecond.
    fresh = {key: row[:3] for key, row in stored.items() if row[3] == now}
    results = _results(keys, {key: row[0] for key, row in stored.items()}, set(fresh), refused)
    if tells_conflicts and len(fresh) < len(messages):
        results = _with_conflicts(messages, keys, results)
    _enqueue(list(fresh.values()))
    counters.add(Counter((kind, counters.SUBMITTED, "", 0) for _, kind, _ in fresh.values()), now)
    return results


class Row(NamedTuple):
    """A PushRecord's columns, in the database's own form."""

    dedupe_key: str
    kind: str
    push_type: int
    app: str
    platform: str
    source: str
    message_id: str
    accounts: str
    broadcast_id: int | None
    title: str
    text: str
    data: str
    presentation: str | None
    conversation: str
    sender_id: str
    sender_name: str
    shard: int
    occurred_at: Any
    created_at: Any
    expires_at: Any


def _insert(rows: Sequence[Row]) -> dict[str, Refused]:
    """Insert the rows. Rows that the database refuses are found by halving, and returned by key.

    No savepoint is needed: a failed statement leaves the transaction unchanged, and existing rows are not an error."""
    try:
        bulk.insert_rows(PushRecord, rows, ignore_conflicts=True)
    except DatabaseError as error:
        if outages.concerns_everything(error):
            raise
        if len(rows) == 1:
            reason = Note(Sentence.DATABASE_REFUSES, error=type(error).__name__)
            return {rows[0].dedupe_key: Refused("", "", reason, UNSTORABLE)}
    else:
        return {}
    middle = len(rows) // 2
    return _insert(rows[:middle]) | _insert(rows[middle:])


def _results(
    keys: Sequence[str], record_ids: Mapping[str, int], fresh: set[str], refused: Mapping[str, Refused]
) -> list[Result]:
    """Return the results: the first message with a new key is accepted. Consumes `fresh`."""
    results: list[Result] = []
    for key in keys:
        results.append(refused[key] if key in refused else Stored(record_ids[key], is_new=key in fresh))
        fresh.discard(key)
    return results


def _with_conflicts(messages: Sequence[PushMessage], keys: Sequence[str], results: Sequence[Result]) -> list[Result]:
    """Return the results with conflicts, where a different push has the identity. Reads only the duplicates."""
    answered = zip(keys, results, strict=True)
    collided = {key for key, result in answered if isinstance(result, Stored) and not result.is_new}
    recorded = same_push.recorded(collided) if collided else {}
    return [
        same_push.conflict(message, recorded.get(key)) or result
        for message, key, result in zip(messages, keys, results, strict=True)
    ]


def _enqueue(fresh: Collection[tuple[int, str, int]]) -> None:
    by_queue: dict[tuple[str, int], list[int]] = {}
    for record_id, kind, shard in fresh:
        by_queue.setdefault((kind, shard), []).append(record_id)
    for (kind, shard), record_ids in by_queue.items():
        queues.enqueue_distribute(kind, shard, sorted(record_ids))


def _row(key: str, message: PushMessage, policy: Policy, now: datetime) -> Row:
    # By position: by name it takes three times as long, of every row.
    return Row(
        key,
        message.kind.value,
        int(message.push_type),
        message.app.value,
        message.audience.platform.value if message.audience.platform else "",
        message.source,
        message.message_id,
        orjson.dumps(message.audience.accounts).decode(),
        message.broadcast_id,
        message.title,
        message.text,
        orjson.dumps(message.data, option=orjson.OPT_NON_STR_KEYS).decode(),
        presentation.as_json(message.presentation),
        message.conversation,
        message.sender_id,
        message.sender_name,
        lanes.shard_of(message.kind, message.conversation, settings.QUEUE_MAX),
        bulk.db_datetime(message.occurred_at or now),
        bulk.db_datetime(now),
        bulk.db_datetime(message.expires_at or now + timedelta(seconds=policy.ttl_seconds)),
    )


def refusal(message: PushMessage) -> Refused | None:
    """Return why `submit` would refuse the message as invalid; None when it would not."""
    if message.kind not in KINDS:
        return Refused("kind", message.kind, Note(Sentence.ONE_OF, choices=", ".join(Kind.values)))
    if message.app not in APPS:
        return Refused("app", message.app, Note(Sentence.ONE_OF, choices=", ".join(App.values)))
    if message.push_type not in PUSH_TYPES:
        return Refused("push_type", message.push_type, Note(Sentence.UNKNOWN_TYPE))
    if not message.identity:
        return Refused("identity", message.identity, Note(Sentence.EMPTY))
    return _bad_text(message) or _bad_audience(message) or _bad_size(message) or _bad_instant(message)


def _bad_text(message: PushMessage) -> Refused | None:
    """Refuse half a surrogate pair (JSON's "\\ud800"), which is a string only in Python."""
    values = [*(getattr(message, field) for field in TEXTS), *message.audience.accounts]
    if _is_unicode("".join(values)):
        return None
    for field in TEXTS:
        if not _is_unicode(getattr(message, field)):
            return Refused(field, getattr(message, field), Note(Sentence.NOT_UNICODE))
    return Refused("accounts", message.audience.accounts, Note(Sentence.NOT_UNICODE))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad_audience(message: PushMessage) -> Refused | None:
    if not message.audience.accounts and message.broadcast_id is None:
        return Refused("accounts", "", Note(Sentence.NOBODY_NAMED))
    for account_id in message.audience.accounts:
        # Most ids are plain, and cost no more than this.
        if account_id.isascii() and account_id.isalnum() and len(account_id) <= ids.MAX_ACCOUNT_ID:
            continue
        if (reason := ids.fault(account_id)) or account_id != account_id.strip():
            return Refused("accounts", account_id, reason or Note(Sentence.ID_BLANKS))
    return None


def _bad_size(message: PushMessage) -> Refused | None:
    for field, limit in LIMITS.items():
        value = getattr(message, field)
        if len(value) > limit:
            return Refused(field, value, Note(Sentence.TOO_LONG, most=limit))
    if len(message.text.encode()) > MAX_TEXT_BYTES:
        return Refused("text", message.text, Note(Sentence.TOO_LARGE, most=MAX_TEXT_BYTES))
    if not isinstance(message.data, dict):
        return Refused("data", message.data, Note(Sentence.NOT_A_DICT))
    try:
        encoded = orjson.dumps(message.data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        return Refused("data", message.data, Note(Sentence.NO_JSON, error=str(error)))
    if len(encoded) > MAX_DATA_BYTES:
        return Refused("data", message.data, Note(Sentence.TOO_LARGE_AS_JSON, most=MAX_DATA_BYTES))
    return None


def _bad_instant(message: PushMessage) -> Refused | None:
    for field in ("occurred_at", "expires_at"):
        value = getattr(message, field)
        if value is not None and value.tzinfo is None:
            return Refused(field, value, Note(Sentence.NO_TIME_ZONE))
    return None


def dead_letter(source: str, position: str, raw: bytes, reason: str, detail: Note) -> None:
    """Store input that cannot become a push. The same position twice is one row."""
    dead_letter_store.keep([Letter(source, position, raw, reason, detail)])


def is_backlogged(kind: str) -> bool:
    """Whether the lane has so many waiting jobs that its producers should wait. Raises redis.RedisError."""
    return queues.lane_depth(kind) >= settings.BACKLOG_JOBS
