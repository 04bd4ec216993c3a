"""Whether a chat message that waits to be pushed still stands (the MESSAGE_SOURCES setting names this): one query by
`_id` for a window of pushes.

A message is taken back when its document is gone, or says by now what is not pushed: another type (`recall`), no text.
One that was only edited is pushed as it was read. While MongoDB does not answer, or has no such collection (another
database, one that was dropped), nothing is known and everything stands: it is waited for ASK_SECONDS, and then
not asked again for PAUSE_SECONDS.
"""

import os
import threading
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.conf import settings

from chatscan.messages import documents
from chatscan.messages.config import ScanConfig, scan_config
from chatscan.messages.documents import Refuse
from chatscan.mongo.bson_text import ids_written_as
from chatscan.mongo.chats import ChatStore
from chatscan.mongo.connection import ChatStoreError, Client, connect, database_of
from pushes.values import SourceMessage, dedupe_key

ASK_SECONDS = 2.0
PAUSE_SECONDS = 10.0


def taken_back(source: str, messages: Sequence[SourceMessage]) -> set[int]:
    """The record ids of those messages that are not to be pushed any more. Raises ChatStoreError, not at every call
    while MongoDB is away, or where its collection is missing."""
    asked = {message.record_id: keys for message in messages if (keys := _ids_of(message))}
    if not settings.MONGO_URL or not asked or _desk.is_paused():
        return set()
    config = scan_config(source)
    try:
        found = _desk.chats(config).current(list(chain(*asked.values())), config.top_fields, ASK_SECONDS)
    except ChatStoreError:
        _desk.pause()
        raise
    standing = {documents.identity_of(document["_id"]) for document in found if _stands(document, config)}
    return {record_id for record_id, keys in asked.items() if documents.identity_of(keys[0]) not in standing}


def _ids_of(message: SourceMessage) -> list[Any]:
    """What the document's `_id` may be, all of one identity, told from others that look alike by the message's key.
    None for a type that its text does not tell."""
    return [
        key
        for key in ids_written_as(message.message_id)
        if dedupe_key(message.source, documents.identity_of(key)) == message.dedupe_key
    ]


def _stands(document: dict[str, Any], config: ScanConfig) -> bool:
    return not isinstance(documents.read(document, config), Refuse)


class _Desk:
    """A process's own connection, made when it is first needed, and made anew after a fork or for another address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._made_for: tuple[str, int] = ("", 0)
        self._paused_until = 0.0

    def chats(self, config: ScanConfig) -> ChatStore:
        url = settings.MONGO_URL
        database = database_of(url, config.database)
        return ChatStore(self._connected(url), database, config.collection, config.fields.created_at)

    def _connected(self, url: str) -> Client:
        with self._lock:
            if self._client is None or self._made_for != (url, os.getpid()):
                self.close()
                self._client = connect(url, min(ASK_SECONDS, settings.MONGO_TIMEOUT_SECONDS))
                self._made_for = (url, os.getpid())
            return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client, self._paused_until = None, 0.0

    def is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def pause(self) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS


_desk = _Desk()


def close() -> None:
    """Give the connection back; asking makes a new one."""
    _desk.close()
