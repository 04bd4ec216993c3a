"""Read a chat collection in bounded pieces along an index.

Every read names its index, so that MongoDB refuses it (and we say why) instead of scanning the collection.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo import ReadPreference
from pymongo.errors import OperationFailure

from chatscan.messages.instants import FIRST_MILLISECOND, FIRST_SECOND, Cursor, Scale, bound, places, start_of
from chatscan.mongo.connection import (
    BELL_SECONDS,
    CODEC,
    ChatStoreError,
    Client,
    Document,
    create_index_command,
    projection,
    translated,
)
from chatscan.mongo.doorbell import Doorbell, DoorbellError
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

#: How many documents of each kind of oddity are read at most.
ODD_LIMIT = 100
#: BSON types in the order in which MongoDB sorts them, by the aliases that `$type` takes.
_TYPE_ORDER = ("null", "number", "string", "object", "array", "binData", "objectId", "bool", "date", "timestamp")
# Without arrays: MongoDB would read the whole index for them. Each element of an array has its own index entry.
_TYPES_WITHOUT_SCALE = ("object", "binData", "objectId", "bool", "timestamp", "regex")
_TYPE_OF_CLASS = {"str": "string", "dict": "object", "bytes": "binData", "Binary": "binData", "UUID": "binData"}
_TYPE_OF_CLASS |= {"ObjectId": "objectId", "bool": "bool", "datetime": "date", "Timestamp": "timestamp"}
_TYPE_OF_CLASS |= dict.fromkeys(("int", "float", "Int64", "Decimal128"), "number")


class MissingIndexError(ChatStoreError):
    """The position field has no index, so nothing is read. The message has the command that creates it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A document without its body."""

    document_id: Any
    value: Any


class ChatStore:
    """One chat collection, read by its position field."""

    def __init__(self, client: Client, database: str, collection: str, time_field: str) -> None:
        self.name = f"{database}.{collection}"
        self._collection = client[database].get_collection(collection, codec_options=CODEC)
        self._timeout_ms = int((client.options.server_selection_timeout or 10) * 1000)
        self._time = time_field
        self._index = ""

    def is_empty(self) -> bool:
        """Whether the collection is empty or does not exist. Costs one document, with or without an index."""
        with translated(self.name):
            return self._collection.find_one({}, {"_id": 1}, max_time_ms=self._timeout_ms) is None

    def check_index(self) -> str:
        """Find the index to read by; returns advice if there is a better one, else "". Raises MissingIndexError."""
        wanted = ([(self._time, 1), ("_id", 1)], [(self._time, -1), ("_id", -1)])
        enough = ([(self._time, 1)], [(self._time, -1)])
        with translated(self.name):
            usable = {name: list(spec["key"].items()) for name, spec in self._indexes() if _is_whole(spec)}
        faster = Note(Sentence.FASTER_INDEX, command=self._create_index)
        for choice, advice in ((wanted, ""), (enough, faster)):
            for name, key in usable.items():
                if key in choice:
                    self._index = name
                    return advice
        raise MissingIndexError(
            Note(Sentence.NO_INDEX, name=self.name, field=repr(self._time), command=self._create_index)
        )

    def newest(self, scale: Scale, before: Any) -> Cursor | None:
        """Return the place of the newest document of a scale, up to `before` (exclusive)."""
        document = next(self._find({self._time: {"$gte": start_of(scale), "$lt": before}}, -1, 1, (self._time,)), None)
        if document is None:
            return None
        found = places(_at(document, self._time), scale, start_of(scale), before)
        # A value in the scale's range that is not a creation time ("16_abc") is a place all the same.
        return Cursor(max(found, default=_at(document, self._time)), document["_id"])

    def read_after(
        self, scale: Scale, cursor: Cursor | None, *, before: Any, limit: int, fields: Iterable[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Return at most `limit` documents after `cursor`, up to `before` (exclusive), by creation time and `_id`."""
        cursor = cursor or Cursor(start_of(scale))
        if cursor.document_id is None:
            yield from self._find({self._time: {"$gte": cursor.value, "$lt": before}}, 1, limit, fields)
            return
        # Two reads, because for an `$or` of both MongoDB would sort what the index already has in order.
        for document in self._find({self._time: cursor.value, **_later(cursor.document_id)}, 1, limit, fields):
            limit -= 1
            yield document
        if limit > 0:
            yield from self._find({self._time: {"$gt": cursor.value, "$lt": before}}, 1, limit, fields)

    def keys(self, low: Any, high: Any) -> Iterator[Key]:
        """Return documents with a creation time from `low` to `high`, both inclusive, without their bodies."""
        for document in self._find({self._time: {"$gte": low, "$lte": high}}, 1, 0, (self._time,)):
            yield Key(document["_id"], _at(document, self._time))

    def by_id(self, ids: Sequence[Any], fields: Iterable[str]) -> list[dict[str, Any]]:
        """Return the documents with these ids, in any order."""
        condition = {"_id": {"$in": list(ids)}}
        with translated(self.name):
            return list(self._collection.find(condition, projection(fields), max_time_ms=self._timeout_ms))

    def current(self, ids: Sequence[Any], fields: Iterable[str], seconds: float) -> list[dict[str, Any]]:
        """Return the documents with these ids as they are now, in any order, within `seconds`, whatever the
        server does. A missing collection is a ChatStoreError: the messages came from an existing one."""
        # A secondary may not yet have what was read from another server.
        current = self._collection.with_options(read_preference=ReadPreference.PRIMARY)
        with translated(self.name), pymongo.timeout(seconds):
            found = list(current.find({"_id": {"$in": list(ids)}}, projection(fields)))
            if not found and not self._exists():
                raise ChatStoreError(Note(Sentence.NO_COLLECTION, name=self.name))
        return found

    def _exists(self) -> bool:
        """Whether the collection exists, as far as the login can tell without the right to list all collections."""
        wanted = {"name": self._collection.name}
        return bool(self._collection.database.list_collection_names(filter=wanted, authorizedCollections=True))

    def odd(self, second: int, fields: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Return documents that no position reaches: without a creation time, or with one in or after the Unix second
        `second`; the newest ODD_LIMIT of each kind.
        """
        ranges: list[dict[str, Any]] = [
            {self._time: None},
            {self._time: []},
            {self._time: {"$lt": start_of(Scale.TEXT)}},
            {self._time: {"$gte": bound(Scale.TEXT, second)}},
            {self._time: {"$lt": FIRST_SECOND}},
            {self._time: {"$gte": bound(Scale.SECONDS, second), "$lt": FIRST_MILLISECOND}},
            {self._time: {"$gte": bound(Scale.MILLISECONDS, second)}},
            {self._time: {"$lt": start_of(Scale.DATE)}},
            {self._time: {"$gte": bound(Scale.DATE, second)}},
            {self._time: float("nan")},
            *({self._time: {"$type": name}} for name in _TYPES_WITHOUT_SCALE),
        ]
        for condition in ranges:
            yield from self._find(condition, -1, ODD_LIMIT, fields)

    def count(self, low: Any, high: Any, most: int) -> int:
        """Count the documents from `low` to `high` (exclusive), up to `most`."""
        condition = {self._time: {"$gte": low, "$lt": high}}
        with self._reading():
            return self._collection.count_documents(condition, hint=self._index, limit=most, maxTimeMS=self._timeout_ms)

    def open_doorbell(self, wait_seconds: float = BELL_SECONDS) -> "Doorbell":
        """Open a change stream. Raises DoorbellError where there are none."""
        pipeline: list[dict[str, Any]] = [{"$match": {"operationType": "insert"}}, {"$project": {"documentKey": 1}}]
        milliseconds = max(1, int(min(wait_seconds, BELL_SECONDS) * 1000))
        with translated(self.name, DoorbellError):
            return Doorbell(self._collection.watch(pipeline, max_await_time_ms=milliseconds), self.name)

    def _find(self, condition: dict[str, Any], order: int, limit: int, fields: Iterable[str] | None) -> Iterator[Any]:
        with self._reading():
            yield from self._collection.find(
                condition,
                projection(fields),
                sort=[(self._time, order), ("_id", order)],
                limit=limit,
                hint=self._index,
                max_time_ms=self._timeout_ms,
            )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        if not self._index:
            self.check_index()
        try:
            with translated(self.name):
                yield
        except ChatStoreError as error:
            if isinstance(error.__cause__, OperationFailure) and "hint" in str(error):
                self._index = ""
            raise

    def _indexes(self) -> list[tuple[str, dict[str, Any]]]:
        return [(spec["name"], dict(spec)) for spec in self._collection.list_indexes()]

    @property
    def _create_index(self) -> str:
        return create_index_command(self.name, {self._time: 1, "_id": 1})


def _is_whole(spec: Mapping[str, Any]) -> bool:
    """Whether an index contains every document, in the plain order of values."""
    return not any(spec.get(option) for option in ("sparse", "partialFilterExpression", "collation", "hidden"))


def _later(document_id: Any) -> dict[str, Any]:
    """Return the condition for ids that sort after `document_id`, ids of other types included."""
    name = _TYPE_OF_CLASS.get(type(document_id).__name__, "null")
    types = _TYPE_ORDER[_TYPE_ORDER.index(name) + 1 :]
    after: list[dict[str, Any]] = [{"_id": {"$gt": document_id}}, {"_id": {"$type": list(types)}}]
    return {"$or": after}


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
