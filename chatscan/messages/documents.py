"""Read a MongoDB chat document into a frozen ChatMessage, or a Refuse with a named reason. Pure, and never raises.

Tolerated: numbers as strings and strings as numbers, any of the creation times in `instants`, missing
optional fields, bodies of any size (cut while they are read), fields of unexpected shapes.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from chatscan.messages import instants, kinds
from chatscan.messages.config import ScanConfig
from chatscan.names import Refusal
from pushes.names import App, Kind
from pushes.text import characters, exact_json, ids
from pushes.text.notes import Note, said
from pushes.text.sentences import Sentence

#: The longest text that is kept of a message, in characters; a provider shows far less.
MAX_CHARS = 2_000
#: A longer id is refused here; one too long for an account or a conversation is reported by the look-up.
MAX_ID_LENGTH = 1_024
_TEXT_KEYS = ("text", "content", "body", "msg", "message")
_TITLE_KEYS = ("title", "name", "goods_name", "file_name", "filename")
_APPS = {app.value: app for app in App}
_OBJECT_KEYS = {*_TEXT_KEYS, *_TITLE_KEYS}
#: A longer JSON text is not read as an object: no message is that long.
MAX_JSON_CHARS = 262_144
#: A Decimal128 may be a number of 6,000 digits.
MAX_DIGITS = 64


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One chat message that is to be pushed. `text` is the message's own text, or the title of its content.

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


_NOTHING = said("")


@dataclass(frozen=True, slots=True)
class Refuse:
    """Why a document is not pushed."""

    reason: Refusal
    detail: Note = _NOTHING


Document = Mapping[str, Any]


def read(document: Document, config: ScanConfig) -> ChatMessage | Refuse:
    """Read `document` by the field names and tables of `config`."""
    fields = config.fields
    type_name = kinds.type_name(at(document, fields.type))
    if not type_name:
        return _missing(document, fields.type)
    kind = config.types.get(type_name)
    if kind is None:
        detail = Note(Sentence.TYPE_NOT_LISTED, field=fields.type, value=repr(type_name[:60]))
        return Refuse(Refusal.UNKNOWN_TYPE, detail)
    if not kinds.message_ok(kind):
        return Refuse(Refusal.SILENT_KIND, said(type_name[:60]))
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
    except ValueError:
        value = instants.shown(at(document, fields.created_at))
        return Refuse(Refusal.BAD_TIME, Note(Sentence.NO_CREATION_TIME, field=fields.created_at, value=value))
    return ChatMessage(
        identity=identity_of(document["_id"]),
        message_id=str(document["_id"])[:128],
        kind=kind,
        text=text,
        sender_id=sender_id,
        sender_name=clean_name(at(document, fields.sender_name), 64),
        group_id=target_id if config.kind == Kind.GROUP else "",
        to_id=target_id if config.kind == Kind.PRIVATE else "",
        app=_app(at(document, fields.app)),
        sequence=_sequence(at(document, fields.sequence)),
        sent_at=sent_at,
    )


def identity_of(document_id: object) -> str:
    """Return the `_id` as a unique text: strings and ObjectIds as they are, other ids with their type."""
    if isinstance(document_id, str) or type(document_id).__name__ == "ObjectId":
        return str(document_id)
    return f"{type(document_id).__name__}:{document_id!r}"


def at(document: Document, path: str) -> Any:
    """Return the value at a dotted path; None when there is none."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def without(document: Document, path: str) -> dict[str, Any]:
    """Return a copy of the document without the value at a dotted path."""
    key, _, rest = path.partition(".")
    inner = document.get(key)
    if not rest or not isinstance(inner, Mapping):
        return {name: value for name, value in document.items() if name != key}
    return {**document, key: without(inner, rest)}


def account_id(value: object) -> str:
    """Return an account or group id as text: 7, 7.0 and "7" are equal. "" when it is not valid (`pushes.text.ids`)."""
    number = None if isinstance(value, str) else whole(value)
    text = value if isinstance(value, str) else "" if number is None else str(number)
    return ids.found(text, most=MAX_ID_LENGTH)


def whole(value: object) -> int | None:
    """Return the exact whole number of any BSON number type; None for every other value. A float of 2**53 or more has
    lost digits, so it is not an id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    number = _decimal(value)
    return int(number) if number is not None and number == number.to_integral_value() else None


def _decimal(value: object) -> Decimal | None:
    """Return a BSON Decimal128 as a whole number, up to a reasonable number of digits."""
    number = value.to_decimal() if hasattr(value, "to_decimal") else None
    if not isinstance(number, Decimal) or not number.is_finite():
        return None
    return number if abs(number.adjusted()) < MAX_DIGITS else None


def clean(value: object, most: int) -> str:
    """Return `value` on one line without control characters, at most `most` characters; "" if it is not a string, or
    invisible."""
    value = value if isinstance(value, str) else _number_text(value)
    # Bodies may be megabytes: the part that cannot be shown is not read.
    head = characters.shorten(characters.shown_from(value), most * 4 + 64)
    if not head.isprintable():
        head = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in head)
    return characters.shorten(characters.bounded(" ".join(head.split())), most)


def clean_name(value: object, most: int) -> str:
    """Clean a person's or a group's name, which may be anywhere in a sentence."""
    return clean(characters.without_directions(value) if isinstance(value, str) else value, most)


def _number_text(value: object) -> str:
    """Return a number's digits; "" for anything else."""
    number = whole(value)
    if number is not None:
        return str(number)
    if isinstance(value, float):
        return str(value)
    decimal = _decimal(value)
    return "" if decimal is None else f"{decimal:f}"


def _text_of(kind: str, data: object) -> str:
    if kind != kinds.TEXT and kind not in kinds.TITLED:
        return ""
    data = _read_as_object(data)
    if isinstance(data, Mapping):
        keys = _TEXT_KEYS if kind == kinds.TEXT else _TITLE_KEYS
        return next((text for key in keys if (text := clean(data.get(key), MAX_CHARS))), "")
    return clean(data, MAX_CHARS) if kind == kinds.TEXT else ""


def _read_as_object(data: object) -> object:
    """Return the object in a JSON text. A typed text that only looks like JSON stays a text: it has none of a message's
    fields."""
    found = json_value(data, "{")
    return found if isinstance(found, dict) and not found.keys().isdisjoint(_OBJECT_KEYS) else data


def json_value(value: object, beginnings: str) -> object:
    """Return the value of a JSON text that begins with one of these characters; otherwise `value` itself."""
    if not isinstance(value, str) or len(value) > MAX_JSON_CHARS:
        return value
    if value[:100].lstrip()[:1] not in tuple(beginnings):
        return value
    try:
        return exact_json.loads(value.encode(errors="replace"))
    except exact_json.JsonError:
        return value


def _app(value: object) -> App | None:
    return _APPS.get(value) if isinstance(value, str) else None


def _sequence(value: object) -> int | str | None:
    if isinstance(value, str):
        return value[:64]
    number = whole(value)
    # Larger numbers would not be exact in the client's JSON.
    return number if number is None or abs(number) < 2**53 else str(number)[:64]


def _missing(document: Document, path: str) -> Refuse:
    value = at(document, path)
    if value is None:
        return Refuse(Refusal.MISSING_FIELD, Note(Sentence.FIELD_MISSING, field=path))
    return Refuse(Refusal.MISSING_FIELD, Note(Sentence.FIELD_UNUSABLE, field=path, value=ids.shown(str(value))))
