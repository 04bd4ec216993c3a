"""The one front door: messages become PushRecord rows, under unique dedupe keys, in one transaction."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import orjson
from django.conf import settings
from django.db import OperationalError, transaction

from pushes import lanes
from pushes.ledger import counters, dead_letter_store, same_push
from pushes.ledger.dead_letter_store import Letter
from pushes.models import PushRecord, policies
from pushes.names import App, Kind, PushType
from pushes.storage import bulk, clocks
from pushes.text import characters, ids
from pushes.values import Policy, PushMessage
from pushes.workers import queues

log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 65_536
MAX_DATA_BYTES = 65_536
#: Not 1205: whoever waited for a lock in vain has waited long enough.
DEADLOCK = 1213
DEADLOCK_TRIES = 4
FIELDS = (
    "dedupe_key",
    "kind",
    "push_type",
    "app",
    "platform",
    "source",
    "message_id",
    "accounts",
    "broadcast",
    "title",
    "text",
    "data",
    "conversation",
    "sender_id",
    "sender_name",
    "shard",
    "occurred_at",
    "created_at",
    "expires_at",
)
KINDS, APPS, PUSH_TYPES = frozenset(Kind.values), frozenset(App.values), frozenset(PushType.values)
TEXTS = ("title", "text", "message_id", "conversation", "sender_id", "source", "identity")
#: Greatest length in characters of what is stored in columns of limited width.
LIMITS = {"title": 128, "message_id": 128, "conversation": 140, "sender_id": 64, "sender_name": 64, "source": 16}


class InvalidMessageError(ValueError):
    """A message that cannot be stored; names the field and the value."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field}={characters.shorten(str(value), 80)!r}: {reason}")
        self.field, self.value, self.reason = field, value, reason


class Answer(Enum):
    """What became of one message."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """`answers` and `record_ids` run parallel to the messages; a duplicate has the id of the record it repeats, a
    conflict that of the other push. `conflicts` are by place among the messages."""

    answers: list[Answer]
    record_ids: list[int]
    conflicts: Mapping[int, same_push.Conflict]

    @property
    def accepted(self) -> int:
        return self.answers.count(Answer.ACCEPTED)

    @property
    def duplicates(self) -> int:
        return self.answers.count(Answer.DUPLICATE)


def submit(
    messages: Sequence[PushMessage], *, now: datetime | None = None, tells_conflicts: bool = False
) -> SubmitResult:
    """Store `messages` and have them distributed after commit. Storing one twice does nothing.

    `tells_conflicts` is for identities that producers choose: another push under a used one is not a duplicate then
    (see `same_push`), and is not stored either. Of a chat message that was edited, the identity is what counts.
    Inside a caller's transaction it is part of that transaction; outside, it is one of its own, tried
    again when the database chose it as a deadlock's victim. Raises InvalidMessageError before
    anything is stored. Records are told to be new by their time of acceptance: with the same explicit
    `now` twice, both calls count them as accepted.
    """
    if not messages:
        return SubmitResult([], [], {})
    for message in messages:
        validate(message)
    now = now or clocks.now()
    if transaction.get_connection().in_atomic_block:
        return _store(messages, now, tells_conflicts)
    return _store_retrying(messages, now, tells_conflicts)


def _store_retrying(messages: Sequence[PushMessage], now: datetime, tells_conflicts: bool) -> SubmitResult:
    for tries_left in reversed(range(DEADLOCK_TRIES)):
        try:
            return _store(messages, now, tells_conflicts)
        except OperationalError as error:
            if not tries_left or error.args[:1] != (DEADLOCK,):
                raise
            log.info("submit met a deadlock; trying again")
    raise AssertionError("unreachable")  # pragma: no cover


@transaction.atomic
def _store(messages: Sequence[PushMessage], now: datetime, tells_conflicts: bool) -> SubmitResult:
    rules = policies()
    keys = [message.dedupe_key for message in messages]
    # Of messages with the same key the first is stored, in one batch as in two.
    firsts: dict[str, PushMessage] = {}
    for key, message in zip(keys, messages, strict=True):
        firsts.setdefault(key, message)
    rows = [_row(key, message, rules[message.push_type], now) for key, message in firsts.items()]
    bulk.insert_rows(PushRecord, FIELDS, rows, ignore_conflicts=True)
    stored = {
        key: (record_id, kind, shard, created_at)
        for record_id, key, kind, shard, created_at in PushRecord.objects.filter(dedupe_key__among=firsts).values_list(
            "id", "dedupe_key", "kind", "shard", "created_at"
        )
    }
    # Ours are those with our own time of acceptance, to the microsecond.
    fresh = {key: row[:3] for key, row in stored.items() if row[3] == now}
    answers = _answers(keys, set(fresh))
    conflicts = _conflicts(messages, keys, answers) if tells_conflicts and len(fresh) < len(messages) else {}
    for place in conflicts:
        answers[place] = Answer.CONFLICT
    _enqueue(list(fresh.values()))
    counters.add(Counter((kind, counters.SUBMITTED, "", 0) for _, kind, _ in fresh.values()), now)
    return SubmitResult(answers, [stored[key][0] for key in keys], conflicts)


def _answers(keys: Sequence[str], fresh: set[str]) -> list[Answer]:
    """The first with a new key is accepted. `fresh` is used up."""
    answers: list[Answer] = []
    for key in keys:
        answers.append(Answer.ACCEPTED if key in fresh else Answer.DUPLICATE)
        fresh.discard(key)
    return answers


def _conflicts(
    messages: Sequence[PushMessage], keys: Sequence[str], answers: Sequence[Answer]
) -> dict[int, same_push.Conflict]:
    """Only what collided is read again."""
    places = [place for place, answer in enumerate(answers) if answer is Answer.DUPLICATE]
    stored = same_push.recorded({keys[place] for place in places})
    found = {place: same_push.conflict(messages[place], stored.get(keys[place])) for place in places}
    return {place: conflict for place, conflict in found.items() if conflict is not None}


def _enqueue(fresh: list[tuple[int, str, int]]) -> None:
    by_queue: dict[tuple[str, int], list[int]] = {}
    for record_id, kind, shard in fresh:
        by_queue.setdefault((kind, shard), []).append(record_id)
    for (kind, shard), record_ids in by_queue.items():
        queues.enqueue_distribute(kind, shard, sorted(record_ids))


def _row(key: str, message: PushMessage, policy: Policy, now: datetime) -> tuple[Any, ...]:
    expires_at = message.expires_at or now + timedelta(seconds=policy.ttl_seconds)
    return (
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
        message.conversation,
        message.sender_id,
        message.sender_name,
        lanes.shard_of(message.kind, message.conversation, settings.QUEUE_MAX),
        bulk.db_datetime(message.occurred_at or now),
        bulk.db_datetime(now),
        bulk.db_datetime(expires_at),
    )


def validate(message: PushMessage) -> None:
    """Raises InvalidMessageError for a message that `submit` would refuse."""
    if message.kind not in KINDS:
        raise InvalidMessageError("kind", message.kind, f"must be one of {', '.join(Kind.values)}")
    if message.app not in APPS:
        raise InvalidMessageError("app", message.app, f"must be one of {', '.join(App.values)}")
    if message.push_type not in PUSH_TYPES:
        raise InvalidMessageError("push_type", message.push_type, "is not a known push type")
    if not message.identity:
        raise InvalidMessageError("identity", message.identity, "must not be empty")
    _validate_texts(message)
    _validate_audience(message)
    _validate_sizes(message)
    _validate_instants(message)


def _validate_texts(message: PushMessage) -> None:
    """Half a surrogate pair (JSON's "\\ud800") is text in Python and nowhere else."""
    values = [*(getattr(message, field) for field in TEXTS), *message.audience.accounts]
    if _is_unicode("".join(values)):
        return
    for field in TEXTS:
        if not _is_unicode(getattr(message, field)):
            raise InvalidMessageError(field, getattr(message, field), "is no valid Unicode text")
    raise InvalidMessageError("accounts", message.audience.accounts, "is no valid Unicode text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _validate_audience(message: PushMessage) -> None:
    if not message.audience.accounts and message.broadcast_id is None:
        raise InvalidMessageError("accounts", "", "at least one recipient is needed")
    for account_id in message.audience.accounts:
        if not (account_id.isascii() and account_id.isalnum() and len(account_id) <= ids.MAX_ACCOUNT_ID):
            _validate_account(account_id)


def _validate_account(account_id: str) -> None:
    """Raises InvalidMessageError unless it is written in the one way."""
    if (reason := ids.fault(account_id)) or account_id != account_id.strip():
        raise InvalidMessageError("accounts", account_id, reason or "it has white space around it")


def _validate_sizes(message: PushMessage) -> None:
    for field, limit in LIMITS.items():
        value = getattr(message, field)
        if len(value) > limit:
            raise InvalidMessageError(field, value, f"is longer than {limit} characters")
    if len(message.text.encode()) > MAX_TEXT_BYTES:
        raise InvalidMessageError("text", message.text, f"is longer than {MAX_TEXT_BYTES} bytes")
    if not isinstance(message.data, dict):
        raise InvalidMessageError("data", message.data, "must be a dict")
    try:
        encoded = orjson.dumps(message.data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise InvalidMessageError("data", message.data, f"cannot be written as JSON: {error}") from None
    if len(encoded) > MAX_DATA_BYTES:
        raise InvalidMessageError("data", message.data, f"is longer than {MAX_DATA_BYTES} bytes as JSON")


def _validate_instants(message: PushMessage) -> None:
    for field in ("occurred_at", "expires_at"):
        value = getattr(message, field)
        if value is not None and value.tzinfo is None:
            raise InvalidMessageError(field, value, "has no time zone")


def dead_letter(source: str, position: str, raw: bytes, reason: str, detail: str) -> None:
    """Keep input that cannot become a push. The same position twice is one row."""
    dead_letter_store.keep([Letter(source, position, raw, reason, detail)])


def is_backlogged(kind: str) -> bool:
    """Whether the lane is so deep in work that its producers should wait. Raises redis.RedisError."""
    return queues.lane_depth(kind) >= settings.BACKLOG_JOBS
