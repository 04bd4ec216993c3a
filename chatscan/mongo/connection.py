"""The connection to the chat database, and what every read of it has in common.

Every call is bounded in time. All errors are ChatStoreErrors; their text holds no password.
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

DEFAULT_DATABASE = "higo"
#: How long a ring is waited for in one call, and so how late a stop can be noticed.
BELL_SECONDS = 1.0
# Odd bytes in one document must not stop the batch it is in.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)

Document = Mapping[str, Any]
Client = MongoClient[dict[str, Any]]


class ChatStoreError(Exception):
    """The chat database could not be asked; the text says what and where."""


def connect(url: str, timeout_seconds: float, listeners: Sequence[CommandListener] = ()) -> Client:
    """A client that has not connected yet. Raises ChatStoreError for an URL that cannot be used."""
    milliseconds = int(timeout_seconds * 1000)
    with translated("MONGO_URL"):
        return MongoClient(
            url,
            appname="higo-push",
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds + int(BELL_SECONDS * 1000),
            event_listeners=list(listeners),
        )


def database_of(url: str, configured: str) -> str:
    """The database to read: the setting's, else the URL's, else `higo`."""
    with translated("MONGO_URL"):
        return configured or parse_uri(url, validate=False)["database"] or DEFAULT_DATABASE


def projection(fields: Iterable[str] | None) -> dict[str, int] | None:
    """Which fields to read; None for all."""
    return None if fields is None else {"_id": 1, **dict.fromkeys(fields, 1)}


def create_index_command(name: str, key: Mapping[str, int]) -> str:
    """The mongo shell's command."""
    database, _, collection = name.partition(".")
    return f'db.getSiblingDB("{database}").getCollection("{collection}").createIndex({json.dumps(key)})'


@contextlib.contextmanager
def translated(name: str, error_class: type[ChatStoreError] = ChatStoreError) -> Iterator[None]:
    """Turn every error of pymongo into one of ours that says what was asked: `name`."""
    try:
        yield
    except (PyMongoError, ValueError) as error:
        raise error_class(f"{name}: {_said(error)}") from error


def _said(error: Exception) -> str:
    # pymongo appends its view of every server, and some messages quote the whole answer.
    text = str(error).split(", Timeout:")[0].split(", full error:")[0]
    hint = " (is it an URL as mongodb://host:27017/database?)" if isinstance(error, ConfigurationError) else ""
    return f"{text[:300]}{hint}"
