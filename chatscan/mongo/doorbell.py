"""MongoDB's change stream as a doorbell: it only says that there is something to read."""

import contextlib
from collections.abc import Callable
from typing import Any

from pymongo.change_stream import CollectionChangeStream
from pymongo.errors import PyMongoError

from chatscan.mongo.connection import ChatStoreError, translated
from pushes.text.notes import Note
from pushes.text.sentences import Sentence


class DoorbellError(ChatStoreError):
    """There is no change stream (a standalone server, missing permission), or it broke."""


class Doorbell:
    """A change stream of which only the inserted ids are used."""

    def __init__(self, stream: "CollectionChangeStream[dict[str, Any]]", name: str) -> None:
        self._stream, self._name = stream, name
        #: Insertions that it has reported, known ones included.
        self.heard = 0

    def wait(self, is_known: Callable[[Any], bool], is_over: Callable[[], bool]) -> Any | None:
        """Wait for the `_id` of an inserted, unknown document; None when `is_over`. Raises DoorbellError."""
        while not is_over():
            with translated(self._name, DoorbellError):
                event = self._stream.try_next()
            if event is not None:
                self.heard += 1
                if not is_known(event["documentKey"]["_id"]):
                    return event["documentKey"]["_id"]
            if not self._stream.alive:
                raise DoorbellError(Note(Sentence.STREAM_CLOSED, name=self._name))
        return None

    def close(self) -> None:
        with contextlib.suppress(PyMongoError):
            self._stream.close()
