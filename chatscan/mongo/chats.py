"""A chat collection, read in bounded pieces along an index.

Every read names its index, so that MongoDB refuses it (and we say why) rather than scan the collection.
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

#: At most so many documents of each kind of oddity are looked at.
ODD_LIMIT = 100
#: BSON types in the order in which MongoDB sorts them, by the aliases that `$type` takes.
_TYPE_ORDER = ("null", "number", "string", "object", "array", "binData", "objectId", "bool", "date", "timestamp")
# Without arrays: MongoDB would read the whole index for them. Each element of one stands in the index by itself.
_TYPES_WITHOUT_SCALE = ("object", "binData", "objectId", "bool", "timestamp", "regex")
_TYPE_OF_CLASS = {"str": "string", "dict": "object", "bytes": "binData", "Binary": "binData", "UUID": "binData"}
_TYPE_OF_CLASS |= {"ObjectId": "objectId", "bool": "bool", "datetime": "date", "Timestamp": "timestamp"}
_TYPE_OF_CLASS |= dict.fromkeys(("int", "float", "Int64", "Decimal128"), "number")


class MissingIndexError(ChatStoreError):
    """There is no index on the position field, so nothing is read. The text has the command that creates it."""


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
        """Whether it holds no document (or does not exist). Costs one document, with or without an index."""
        with translated(self.name):
            return self._collection.find_one({}, {"_id": 1}, max_time_ms=self._timeout_ms) is None

    def check_index(self) -> str:
        """Find the index to read by; returns advice if there is a better one, else "". Raises MissingIndexError."""
        wanted = ([(self._time, 1), ("_id", 1)], [(self._time, -1), ("_id", -1)])
        enough = ([(self._time, 1)], [(self._time, -1)])
        with translated(self.name):
            usable = {name: list(spec["key"].items()) for name, spec in self._indexes() if _is_whole(spec)}
        for choice, advice in ((wanted, ""), (enough, f"catching up would be faster with {self._create_index}")):
            for name, key in usable.items():
                if key in choice:
                    self._index = name
                    return advice
        raise MissingIndexError(
            f"{self.name} has no index on {self._time!r} and is never read without one. "
            f"Create it in the mongo shell: {self._create_index}"
        )

    def newest(self, scale: Scale, before: Any) -> Cursor | None:
        """The place of the newest document of a scale, up to `before` (exclusive)."""
        document = next(self._find({self._time: {"$gte": start_of(scale), "$lt": before}}, -1, 1, (self._time,)), None)
        if document is None:
            return None
        found = places(_at(document, self._time), scale, start_of(scale), before)
        # A value of the scale's range that is no creation time ("16_abc"): it holds the place all the same.
        return Cursor(max(found, default=_at(document, self._time)), document["_id"])

    def read_after(
        self, scale: Scale, cursor: Cursor | None, *, before: Any, limit: int, fields: Iterable[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """At most `limit` documents after `cursor` and up to `before` (exclusive), by creation time, then `_id`."""
        cursor = cursor or Cursor(start_of(scale))
        if cursor.document_id is None:
            yield from self._find({self._time: {"$gte": cursor.value, "$lt": before}}, 1, limit, fields)
            return
        # Two reads, because an `$or` of both would have MongoDB sort what an index has in order already.
        for document in self._find({self._time: cursor.value, **_later(cursor.document_id)}, 1, limit, fields):
            limit -= 1
            yield document
        if limit > 0:
            yield from self._find({self._time: {"$gt": cursor.value, "$lt": before}}, 1, limit, fields)

    def keys(self, low: Any, high: Any) -> Iterator[Key]:
        """Documents with a creation time from `low` to `high`, both inclusive, without their bodies."""
        for document in self._find({self._time: {"$gte": low, "$lte": high}}, 1, 0, (self._time,)):
            yield Key(document["_id"], _at(document, self._time))

    def by_id(self, ids: Sequence[Any], fields: Iterable[str]) -> list[dict[str, Any]]:
        """The documents with these ids, in no order."""
        condition = {"_id": {"$in": list(ids)}}
        with translated(self.name):
            return list(self._collection.find(condition, projection(fields), max_time_ms=self._timeout_ms))

    def current(self, ids: Sequence[Any], fields: Iterable[str], seconds: float) -> list[dict[str, Any]]:
        """The documents with these ids as they are now, in no order. It takes no longer than `seconds`, whatever the
        server does. A collection that does not exist is a ChatStoreError: messages came from one that did."""
        # A secondary may not have yet what was read from another server.
        current = self._collection.with_options(read_preference=ReadPreference.PRIMARY)
        with translated(self.name), pymongo.timeout(seconds):
            found = list(current.find({"_id": {"$in": list(ids)}}, projection(fields)))
            if not found and not self._exists():
                raise ChatStoreError(f"{self.name} does not exist: is it the collection that the messages are in?")
        return found

    def _exists(self) -> bool:
        """As far as the login may know, without the right to list all collections."""
        wanted = {"name": self._collection.name}
        return bool(self._collection.database.list_collection_names(filter=wanted, authorizedCollections=True))

    def odd(self, second: int, fields: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Documents that no position reaches: no creation time, or one in or after the Unix second `second`.

        The newest ODD_LIMIT of each sort of oddity.
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
        """How many documents lie from `low` to `high` (exclusive), counted up to `most`."""
        condition = {self._time: {"$gte": low, "$lt": high}}
        with self._reading():
            return self._collection.count_documents(condition, hint=self._index, limit=most, maxTimeMS=self._timeout_ms)

    def open_doorbell(self, wait_seconds: float = BELL_SECONDS) -> "Doorbell":
        """Raises DoorbellError where there are no change streams."""
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
    """Whether an index holds every document in the plain order of values."""
    return not any(spec.get(option) for option in ("sparse", "partialFilterExpression", "collation", "hidden"))


def _later(document_id: Any) -> dict[str, Any]:
    """The condition for ids that sort after `document_id`, ids of other types included."""
    name = _TYPE_OF_CLASS.get(type(document_id).__name__, "null")
    types = _TYPE_ORDER[_TYPE_ORDER.index(name) + 1 :]
    after: list[dict[str, Any]] = [{"_id": {"$gt": document_id}}, {"_id": {"$type": list(types)}}]
    return {"$or": after}


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
