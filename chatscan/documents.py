"""A MongoDB chat document becomes a frozen ChatMessage, or a Refuse with a named reason. Pure, and never raises.

Tolerated: numbers as strings and strings as numbers, any of the creation times in `instants`, missing
optional fields, bodies of any size (cut while they are read), fields of unexpected shapes.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatscan import instants, kinds
from chatscan.config import ScanConfig
from chatscan.names import Refusal
from pushes import ids
from pushes.names import App, Kind

#: Longest text that is kept of a message, in characters; a provider shows far less.
MAX_CHARS = 2_000
#: A group's id may be longer than an account's: a conversation's name takes 140 characters.
LONGEST_ID = 128
_TEXT_KEYS = ("text", "content", "body", "msg", "message")
_TITLE_KEYS = ("title", "name", "goods_name", "file_name", "filename")
_APPS = {app.value: app for app in App}
_JOINING = {"\u200d", "\ufe0f"}


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One chat message that is to be pushed. `text` is the message's own, or the title of what it carries.

    `identity` is unique in the collection and `message_id` is what people search by; both are the
    document's `_id`. `group_id` is "" in private chats, `to_id` in groups.
    """

    identity: str
    message_id: str
    kind: str
    text: str
    sender_id: str
    sender_name: str
    group_id: str
    to_id: str
    app: App | None
    sequence: int | str | None
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """Why a document is not pushed."""

    reason: Refusal
    detail: str = ""


Document = Mapping[str, Any]


def read(document: Document, config: ScanConfig) -> ChatMessage | Refuse:
    """What `document` says, by the field names and tables of `config`."""
    fields = config.fields
    type_name = kinds.type_name(at(document, fields.type))
    if not type_name:
        return _missing(document, fields.type)
    kind = config.types.get(type_name)
    if kind is None:
        return Refuse(Refusal.UNKNOWN_TYPE, f"{fields.type}={type_name[:60]!r}: add it to CHAT_TYPES")
    if not kinds.message_ok(kind):
        return Refuse(Refusal.SILENT_KIND, type_name[:60])
    sender_id = account_id(at(document, fields.sender_id))
    if not sender_id:
        return _missing(document, fields.sender_id)
    target_field = fields.group_id if config.kind == Kind.GROUP else fields.to_id
    target_id = account_id(at(document, target_field))
    if not target_id:
        return _missing(document, target_field)
    text = _text_of(kind, at(document, fields.data))
    if kind == kinds.TEXT and not text:
        return Refuse(Refusal.EMPTY)
    try:
        sent_at = instants.instant_of(at(document, fields.created_at))
    except ValueError as error:
        return Refuse(Refusal.BAD_TIME, f"{fields.created_at}: {error}")
    return ChatMessage(
        identity=identity_of(document["_id"]),
        message_id=str(document["_id"])[:128],
        kind=kind,
        text=text,
        sender_id=sender_id,
        sender_name=clean(at(document, fields.sender_name), 64),
        group_id=target_id if config.kind == Kind.GROUP else "",
        to_id=target_id if config.kind == Kind.PRIVATE else "",
        app=_app(at(document, fields.app)),
        sequence=_sequence(at(document, fields.sequence)),
        sent_at=sent_at,
    )


def identity_of(document_id: object) -> str:
    """The `_id` as text, different for different ids: strings and ObjectIds as they are, the rest with its type."""
    if isinstance(document_id, str) or type(document_id).__name__ == "ObjectId":
        return str(document_id)
    return f"{type(document_id).__name__}:{document_id!r}"


def at(document: Document, path: str) -> Any:
    """The value at a dotted path; None where it does not lead anywhere."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def without(document: Document, path: str) -> dict[str, Any]:
    """A copy of the document that lacks what is at a dotted path."""
    key, _, rest = path.partition(".")
    inner = document.get(key)
    if not rest or not isinstance(inner, Mapping):
        return {name: value for name, value in document.items() if name != key}
    return {**document, key: without(inner, rest)}


def account_id(value: object) -> str:
    """An account's or a group's id as text: 7, 7.0 and "7" are one. "" when it is none (see `pushes.ids`)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return ids.found(str(value), most=LONGEST_ID)


def clean(value: object, most: int) -> str:
    """`value` on one line without control characters, at most `most` characters; "" if it is no text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    # Bodies may be megabytes: what cannot be shown is not looked at.
    head = value.lstrip()[: most * 4 + 64]
    if not head.isprintable():
        head = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in head)
    return shorten(" ".join(head.split()), most)


def shorten(text: str, most: int) -> str:
    """At most `most` characters, an ellipsis marking the cut; never cut inside a combined character."""
    if len(text) <= most:
        return text
    end = most - 1
    while end > 0 and (_joins(text[end]) or text[end - 1] in _JOINING):
        end -= 1
    return text[:end].rstrip() + "…"


def _joins(character: str) -> bool:
    return character in _JOINING or unicodedata.combining(character) != 0 or "\U0001f3fb" <= character <= "\U0001f3ff"


def _text_of(kind: str, data: object) -> str:
    if kind != kinds.TEXT and kind not in kinds.TITLED:
        return ""
    if isinstance(data, Mapping):
        keys = _TEXT_KEYS if kind == kinds.TEXT else _TITLE_KEYS
        return next((text for key in keys if (text := clean(data.get(key), MAX_CHARS))), "")
    return clean(data, MAX_CHARS) if kind == kinds.TEXT else ""


def _app(value: object) -> App | None:
    return _APPS.get(value) if isinstance(value, str) else None


def _sequence(value: object) -> int | str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    # Larger numbers are not exact in the client's JSON.
    return value if isinstance(value, int) and abs(value) < 2**53 else str(value)[:64]


def _missing(document: Document, path: str) -> Refuse:
    value = at(document, path)
    if value is None:
        return Refuse(Refusal.MISSING_FIELD, f"{path} is missing")
    return Refuse(Refusal.MISSING_FIELD, f"{path}={ids.shown(str(value))} cannot be used")
