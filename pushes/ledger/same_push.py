"""Decide whether two messages are the same push, for the intake, the API, replays, and the pages that explain it.

Two messages with the same identity are the same push if their content and recipients are equal. Otherwise the second
message is a conflict: an id was used twice, and the second message must not vanish. Their expiry is not compared,
since a producer that repeats a message computes it anew.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pushes.models import PushRecord
from pushes.text import presentation
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Presentation, PushMessage

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
#: The producers' names of the fields of a Content.
FIELDS = ("type", "app", "via", "to_id", "title", "message", "data", *Presentation._fields)


class Content(NamedTuple):
    """What is compared of two messages. The order of recipients and of the data's keys does not matter."""

    push_type: int
    app: str
    platform: str
    recipients: frozenset[str]
    title: str
    text: str
    data: bytes
    presentation: Presentation

    def values(self) -> tuple[Any, ...]:
        """Return the value of each of FIELDS."""
        return (*self[:-1], *self.presentation)


class Recorded(NamedTuple):
    """A push that is stored already."""

    id: int
    created_at: datetime
    content: Content


@dataclass(frozen=True, slots=True)
class Conflict:
    """The identity belongs to another push: which one, and the producers' names of the fields that differ."""

    record_id: int
    fields: tuple[str, ...]

    def note(self, name: str) -> Note:
        """Return a note of the conflict; `name` is what both pushes have: for instance `msg_id '7'`."""
        return Note(Sentence.ID_TAKEN, value=name, number=self.record_id, fields=", ".join(self.fields))


def content_of(message: PushMessage) -> Content:
    return Content(
        int(message.push_type),
        message.app.value,
        message.audience.platform.value if message.audience.platform else "",
        frozenset(message.audience.accounts),
        message.title,
        message.text,
        _canonical(message.data),
        message.presentation,
    )


def recorded(dedupe_keys: Collection[str]) -> dict[str, Recorded]:
    """Return the stored pushes with these keys, by key, in one query."""
    rows = PushRecord.objects.filter(dedupe_key__among=list(dedupe_keys)).values_list(
        *("dedupe_key", "id", "created_at"),
        *("push_type", "app", "platform", "accounts", "title", "text", "data", "presentation"),
    )
    return {key: Recorded(record_id, created_at, _content(*said)) for key, record_id, created_at, *said in rows}


def _content(
    push_type: int, app: str, platform: str, accounts: list[str], title: str, text: str, data: Any, look: Any
) -> Content:
    recipients = frozenset(accounts)
    return Content(push_type, app, platform, recipients, title, text, _canonical(data), presentation.stored(look))


def conflict(message: PushMessage, stored: Recorded | None) -> Conflict | None:
    """Return the conflict; None when the message's identity is unused, or belongs to the same push."""
    if stored is None:
        return None
    pairs = zip(FIELDS, content_of(message).values(), stored.content.values(), strict=True)
    fields = tuple(name for name, said, kept in pairs if said != kept)
    return Conflict(stored.id, fields) if fields else None


def _canonical(data: Any) -> bytes:
    return orjson.dumps(data, option=_OPTIONS)
