"""One scanner's steps: read → refuse or compose → one transaction of pushes, dead letters and position.

`forward` reads from the position on. `look_back` reads the last CHAT_OVERLAP_SECONDS before the position again, for
documents that arrived late; dedupe keys make that harmless, and documents that this process has handled are not even
fetched. After a pause `forward` looks back first. `look_aside` finds documents that no position reaches. Nothing here
waits.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction

from chatscan.groups import Group, GroupDirectory
from chatscan.messages import documents, instants
from chatscan.messages.config import ScanConfig
from chatscan.messages.documents import ChatMessage, Refuse
from chatscan.messages.instants import Cursor, Scale
from chatscan.models import ScannerPosition
from chatscan.mongo.chats import ChatStore
from chatscan.names import QUIET, Refusal
from chatscan.scanning import compose, letters, watermarks
from chatscan.scanning.deserted import DesertedGroups
from chatscan.scanning.watermarks import PositionLostError, Watermark
from pushes import submit
from pushes.names import Kind
from pushes.storage import conflicts
from pushes.text import characters
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import PushMessage

log = logging.getLogger(__name__)

_FORGET_FROM = 20_000


@dataclass(frozen=True, slots=True)
class Item:
    """One document that was read. `cursor` is the place after it; None for a document read out of order."""

    identity: str
    document_id: Any
    result: ChatMessage | Refuse
    scale: Scale | None = None
    cursor: Cursor | None = None
    source: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sent_at(self) -> datetime | None:
        return self.result.sent_at if isinstance(self.result, ChatMessage) else None


class Composed(NamedTuple):
    """The push that was composed from an item."""

    item: Item
    push: PushMessage


class RefusedItem(NamedTuple):
    """Why an item is not pushed."""

    item: Item
    refuse: Refuse


@dataclass(frozen=True, slots=True)
class Step:
    """What one `forward` did. `lag_seconds` is the age of the oldest unread document; 0 when none is left. `ages` are
    those of the messages read, in seconds."""

    read: int
    accepted: int
    is_caught_up: bool
    lag_seconds: float
    ages: tuple[float, ...] = ()


class Scanner:
    """Reads, composes and stores for one scanner."""

    def __init__(self, config: ScanConfig, chats: ChatStore, groups: GroupDirectory) -> None:
        self.config = config
        self._chats, self._groups = chats, groups
        # What this process has handled, with its time: only the part within the overlap is needed.
        self._handled: dict[str, datetime] = {}
        self._forget_from = _FORGET_FROM
        self._odd: set[str] = set()
        self.looked_back_at = -math.inf  # on the monotonic clock
        self._deserted = DesertedGroups(config)

    @property
    def advice(self) -> str:
        """Return advice for the operator about what was read so far; "" if there is none."""
        return self._deserted.advice

    def prepare(self, now: datetime) -> list[str]:
        """Ensure an index and a first position (the newest message, so that nothing old is pushed).

        Returns advice for the operator. Raises ChatStoreError.
        """
        mark = watermarks.load(self.config.kind)
        if mark is None and self._chats.is_empty():
            watermarks.create(self.config.kind, {}, None)
        advice = self._chats.check_index()
        if watermarks.load(self.config.kind) is None:
            end = self._end(now)
            newest = {scale: self._chats.newest(scale, instants.bound(scale, end)) for scale in Scale}
            cursors = {scale: cursor for scale, cursor in newest.items() if cursor is not None}
            times = [time for cursor in cursors.values() if (time := _instant(cursor))]
            watermarks.create(self.config.kind, cursors, max(times, default=None))
            log.info("%s: first start, at the newest message (%s)", self.config.kind, max(times, default="none yet"))
        return [one for one in (advice, self._groups.advice() if self.config.kind == Kind.GROUP else "") if one]

    def forward(self, now: datetime) -> Step:
        """Read and store one batch. Raises ChatStoreError, DatabaseError."""
        late = self.look_back(now) if self._has_paused else 0
        mark = self._mark()
        items = [item for scale in Scale for item in self._read(scale, mark, now)]
        if not items:
            return Step(0, late, True, 0.0)
        full = {scale for scale, n in Counter(item.scale for item in items).items() if n >= self.config.batch}
        try:
            accepted = self._commit(mark, items, now)
        except PositionLostError:
            log.info("%s: another scanner was first; reading again from its position", self.config.kind)
            return Step(0, late, False, 0.0)
        ages = {item.identity: (now - at).total_seconds() for item in items if (at := item.sent_at)}
        lags = [ages[item.identity] for item in items if item.scale in full and item.identity in ages]
        return Step(len(items), late + accepted, not full, max(lags, default=0.0), tuple(ages.values()))

    def look_back(self, now: datetime) -> int:
        """Push documents that arrived late; returns how many. Call it at every interval, after `forward`."""
        mark = self._mark()
        missed = [key for scale, cursor in mark.cursors.items() for key in self._missed(scale, cursor, mark, now)]
        accepted = 0
        for ids in _chunks(missed, self.config.batch):
            items = [self._item(document) for document in self._chats.by_id(ids, self.config.top_fields)]
            try:
                accepted += self._commit(self._mark(), items, now, are_late=True)
            except PositionLostError:
                return accepted  # the next look back finds them again
            self._handled |= dict.fromkeys(map(documents.identity_of, ids), now)
        self._forget(now)
        self.looked_back_at = time.monotonic()
        return accepted

    def look_aside(self, now: datetime) -> int:
        """Keep documents that no position reaches as dead letters; returns how many there are now.

        Documents from before the scanner's first start are ignored.
        """
        start = ScannerPosition.objects.values_list("created_at", flat=True).get(pk=self.config.kind)
        found: set[str] = set()
        for document in self._chats.odd(self._end(now), self.config.top_fields):
            made_at = getattr(document["_id"], "generation_time", None)
            if made_at is not None and made_at < start - timedelta(seconds=1):
                continue
            identity = documents.identity_of(document["_id"])
            found.add(identity)
            if identity not in self._odd:
                letters.keep(self.config.kind, identity, letters.kept(document, self.config), self._oddity(document))
        self._odd = found
        return len(found)

    def is_handled(self, document_id: object) -> bool:
        """Whether this process has handled the document."""
        identity = documents.identity_of(document_id)
        return identity in self._handled or identity in self._odd

    def rehearse(
        self, cursors: watermarks.Cursors, now: datetime, most: int
    ) -> Iterator[tuple[list[RefusedItem], list[PushMessage]]]:
        """Yield what reading from `cursors` would refuse and push, batch by batch, up to `most` of each scale."""
        for scale in Scale:
            mark, left = Watermark(self.config.kind, 0, cursors, cursors, {}), most
            while left > 0 and (items := list(islice(self._read(scale, mark, now), left))):
                left -= len(items)
                composed, refused = self._composed(items, now)
                yield refused, [one.push for one in composed]
                mark = replace(mark, cursors=_after(mark.cursors, items))

    @property
    def _has_paused(self) -> bool:
        """Whether, after a start, an outage or a backlog, the position is about to leave behind what came late
        meanwhile."""
        return time.monotonic() - self.looked_back_at > settings.CHAT_OVERLAP_SECONDS / 2

    def _mark(self) -> Watermark:
        mark = watermarks.load(self.config.kind)
        if mark is None:
            raise PositionLostError(self.config.kind)
        return mark

    def _end(self, now: datetime) -> int:
        """Return the Unix second before which documents are read: clocks slightly ahead must not delay a push."""
        return int(now.timestamp()) + self.config.ahead_seconds + 1

    def _read(self, scale: Scale, mark: Watermark, now: datetime) -> Iterator[Item]:
        cursor, before = mark.cursors.get(scale), instants.bound(scale, self._end(now))
        found = self._chats.read_after(
            scale, cursor, before=before, limit=self.config.batch, fields=self.config.top_fields
        )
        low = cursor.value if cursor else instants.start_of(scale)
        for document in found:
            place = self._place(document, scale, low, before)
            yield replace(self._item(document), scale=scale, cursor=place)

    def _place(self, document: Mapping[str, Any], scale: Scale, low: Any, before: Any) -> Cursor:
        """Return the position after this document: at its creation time, or at the index entry of an array's first
        element. An array as a position would compare only with arrays, and the scanner would never read again."""
        value = documents.at(document, self.config.fields.created_at)
        if isinstance(value, list):
            value = min(instants.places(value, scale, low, before), default=low)
        return Cursor(value, document["_id"])

    def _item(self, document: Mapping[str, Any]) -> Item:
        identity = documents.identity_of(document["_id"])
        try:
            result = documents.read(document, self.config)
        except Exception:  # one document must never stop the others
            log.exception("%s: document %s could not be read", self.config.kind, identity)
            result = Refuse(Refusal.UNEXPECTED, Note(Sentence.WHILE_READING))
        return Item(identity, document["_id"], result, source=letters.kept(document, self.config))

    @conflicts.repeated
    @transaction.atomic
    def _store(
        self,
        mark: Watermark,
        items: Sequence[Item],
        composed: Sequence[Composed],
        refused: Sequence[RefusedItem],
        *,
        are_late: bool,
    ) -> tuple[submit.Submitted, Counter[str]]:
        """Store a batch with the position after it, and say what was refused and why."""
        times = [at for item in items if (at := item.sent_at)]
        watermarks.advance(mark, _after(mark.cursors, items), None if are_late else max(times, default=None))
        done = submit.submit([one.push for one in composed])
        every = [*refused, *_refused(composed, done.results)]
        for item, refuse in every:
            if refuse.reason not in QUIET:
                letters.keep(mark.kind, item.identity, item.source, refuse)
        reasons = Counter(refuse.reason.value for _, refuse in every)
        if are_late:
            late = done.accepted
            watermarks.count(mark, read=late, accepted=late, duplicates=0, late=late, refused={})
        else:
            watermarks.count(mark, read=len(items), accepted=done.accepted, duplicates=done.duplicates, refused=reasons)
        return done, reasons

    def _commit(self, mark: Watermark, items: Sequence[Item], now: datetime, *, are_late: bool = False) -> int:
        done, reasons = self._store(mark, items, *self._composed(items, now), are_late=are_late)
        self._handled |= {item.identity: item.sent_at or now for item in items}
        if len(self._handled) > self._forget_from:
            self._forget(now)
        if done.accepted or reasons:
            log.info("%s: %d read, %d submitted, refused: %s", mark.kind, len(items), done.accepted, dict(reasons))
        return done.accepted

    def _composed(self, items: Sequence[Item], now: datetime) -> tuple[list[Composed], list[RefusedItem]]:
        """Return the pushes, in order of time, and the refused items with their reasons."""
        wanted = {item.result.group_id for item in items if isinstance(item.result, ChatMessage)} - {""}
        groups = self._groups.load(wanted) if wanted else {}
        self._deserted.note(groups)
        composed: list[Composed] = []
        refused: list[RefusedItem] = []
        for item in items:
            result = self._push(item.result, groups, now) if isinstance(item.result, ChatMessage) else item.result
            if isinstance(result, PushMessage):
                composed.append(Composed(item, result))
            else:
                refused.append(RefusedItem(item, result))
        composed.sort(key=lambda one: one.push.occurred_at or now)
        return composed, refused

    def _push(self, message: ChatMessage, groups: Mapping[str, Group], now: datetime) -> PushMessage | Refuse:
        try:
            if message.group_id:
                return compose.group_push(message, groups.get(message.group_id), self.config, now)
            return compose.private_push(message, self.config, now)
        except Exception:  # one message must never stop the others
            log.exception("%s: message %s could not be composed", self.config.kind, message.message_id)
            return Refuse(Refusal.UNEXPECTED, Note(Sentence.WHILE_COMPOSING))

    def _missed(self, scale: Scale, cursor: Cursor, mark: Watermark, now: datetime) -> Iterator[Any]:
        """Return ids within the overlap that this process has not handled."""
        # A position may be slightly ahead of the clock, or (for an unreadable value) not a time at all.
        second = int(min(_instant(cursor) or now, now).timestamp()) - self.config.overlap_seconds
        floor = mark.floors.get(scale)
        low = instants.bound(scale, second)
        if floor is not None and (floor_at := _instant(floor)) and floor_at.timestamp() >= second:
            low = floor.value
        for key in self._chats.keys(low, cursor.value):
            is_before = floor is not None and floor.document_id is not None and key.value == floor.value
            if not is_before and documents.identity_of(key.document_id) not in self._handled:
                yield key.document_id

    def _forget(self, now: datetime) -> None:
        """Drop what no `look_back` can meet any more."""
        mark = self._mark()
        oldest = min((_instant(cursor) or now for cursor in mark.cursors.values()), default=now)
        limit = min(oldest, now) - timedelta(seconds=self.config.overlap_seconds + 1)
        self._handled = {identity: at for identity, at in self._handled.items() if at >= limit}
        self._forget_from = max(_FORGET_FROM, 2 * len(self._handled))

    def _oddity(self, document: Mapping[str, Any]) -> Refuse:
        path = self.config.fields.created_at
        value = documents.at(document, path)
        if value is None:
            return Refuse(Refusal.MISSING_FIELD, Note(Sentence.FIELD_MISSING, field=path))
        shown = characters.shorten(str(value), 60)
        if instants.scale_of(value) is not None:
            return Refuse(Refusal.FUTURE_TIME, Note(Sentence.FIELD_IS, field=path, value=shown))
        return Refuse(Refusal.BAD_TIME, Note(Sentence.NO_CREATION_TIME, field=path, value=repr(shown)))


def _refused(composed: Iterable[Composed], results: Iterable[submit.Result]) -> Iterator[RefusedItem]:
    """What the platform refuses."""
    for one, result in zip(composed, results, strict=True):
        if isinstance(result, submit.Refused):
            yield RefusedItem(one.item, Refuse(Refusal.INVALID, result.note))


def _after(cursors: watermarks.Cursors, items: Iterable[Item]) -> dict[Scale, Cursor]:
    """Return the cursors after `items`."""
    moved = {item.scale: item.cursor for item in items if item.scale is not None and item.cursor is not None}
    return {**cursors, **moved}


def _instant(cursor: Cursor) -> datetime | None:
    try:
        return instants.instant_of(cursor.value)
    except ValueError:
        return None


def _chunks(ids: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
