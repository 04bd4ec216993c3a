"""The connection to the chat database, and what all reads have in common.

Every call is bounded in time. All errors are ChatStoreErrors; their messages contain no password.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.monitoring import CommandListener
from pymongo.uri_parser import parse_uri

from pushes.text.notes import Note, NotedError
from pushes.text.sentences import Sentence

DEFAULT_DATABASE = "higo"
#: How long one call waits for a ring, and so how late a stop may be noticed.
BELL_SECONDS = 1.0
# Invalid bytes in one document must not stop its batch.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

Document = Mapping[str, Any]
Client = MongoClient[dict[str, Any]]


class ChatStoreError(NotedError):
    """A read of the chat database failed; `note` says what and where."""


def connect(url: str, timeout_seconds: float, listeners: Sequence[CommandListener] = ()) -> Client:
    """Return a client that has not connected yet. Raises ChatStoreError for an invalid URL.

    It reads what most members of a replica set have, because anything else is undone when the primary fails: such a
    message would have been pushed, and the position would stand behind it.
    """
    milliseconds = int(timeout_seconds * 1000)
    with translated("MONGO_URL"):
        return MongoClient(
            url,
            appname="higo-push",
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds + int(BELL_SECONDS * 1000),
            readConcernLevel="majority",
            event_listeners=list(listeners),
        )


def database_of(url: str, configured: str) -> str:
    """Return the database to read: the setting's, else the URL's, else `higo`."""
    with translated("MONGO_URL"):
        return configured or parse_uri(url, validate=False)["database"] or DEFAULT_DATABASE


def projection(fields: Iterable[str] | None) -> dict[str, int] | None:
    """Return the fields to read; None for all."""
    return None if fields is None else {"_id": 1, **dict.fromkeys(fields, 1)}


def create_index_command(name: str, key: Mapping[str, int]) -> str:
    """Return the mongo shell's command for an index."""
    database, _, collection = name.partition(".")
    return f'db.getSiblingDB("{database}").getCollection("{collection}").createIndex({json.dumps(key)})'


@contextlib.contextmanager
def translated(name: str, error_class: type[ChatStoreError] = ChatStoreError) -> Iterator[None]:
    """Turn every error of pymongo into a ChatStoreError that names what was read: `name`."""
    try:
        yield
    except (PyMongoError, ValueError) as error:
        raise error_class(_note(name, error)) from error


def _note(name: str, error: Exception) -> Note:
    # pymongo appends its view of every server, and some messages quote the whole answer.
    text = str(error).split(", Timeout:")[0].split(", full error:")[0]
    sentence = Sentence.NOT_A_MONGO_URL if isinstance(error, ConfigurationError) else Sentence.MONGO_FAILS
    return Note(sentence, name=name, text=" ".join(text.split())[:300])
