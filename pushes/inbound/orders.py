"""What producers write: named fields → PushMessage. Shared by the intake, the HTTP API and replays.

Tolerant of how producers differ (numbers as text, a scalar or a list of recipients, a missing optional
field), strict about what cannot be guessed. The fields are described in docs/intake.md.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from pushes.inbound import expiry
from pushes.names import ACCEPTED_PLATFORMS, App, Kind, Platform, PushType, platform_of
from pushes.text import characters, ids, presentation
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Audience, Presentation, PushMessage

MAX_MSG_ID = 128
MAX_TITLE = 128
_APPS = {app.value: app for app in App}
_TYPES = frozenset(PushType.values)
#: What programs write for "none": PHP's `intval(null)` and `strval(false)`, JavaScript's `String(undefined)`.
_NO_ID = re.compile(r"[-+]?0+(\.0+)?|null|none|nil|undefined|nan|false", re.IGNORECASE)


class OrderError(ValueError):
    """A field cannot be used. `reason` is a stable code; `detail` names the value and what is accepted."""

    def __init__(self, reason: str, field: str, detail: Note) -> None:
        super().__init__(f"{field}: {detail}")
        self.reason, self.field, self.detail = reason, field, detail


def read(
    fields: Mapping[str, Any], *, source: str, identity: str, owner: str = "", now: datetime | None = None
) -> PushMessage:
    """The system push that `fields` describe, accepted at `now`. Raises OrderError.

    `identity` is used for a message without a `msg_id` of its own; with one, the same `msg_id` from the
    same `source` is the same push, however often it comes. `owner` keeps the ids of one source's several
    clients apart.
    """
    message_id = _message_id(fields.get("msg_id"))
    return PushMessage(
        kind=Kind.SYSTEM,
        push_type=_push_type(fields.get("type")),
        app=_app(fields.get("app")),
        audience=Audience(_recipients(fields.get("to_id")), _platform(fields.get("via"))),
        title=_title(fields.get("title")),
        text=_text(fields.get("message")),
        data=_data(fields.get("data")),
        message_id=message_id,
        source=source,
        identity=f"msg:{owner}:{message_id}" if message_id else identity,
        expires_at=_expires_at(fields, now or timezone.now()),
        presentation=_presentation(fields),
    )


def shown(value: object) -> str:
    """`value` for an error message: short, and only as far as it is no one's text."""
    return ids.shown(value)


def _push_type(value: object) -> int:
    if value is None or value == "":
        return PushType.DEFAULT
    text = ids.scalar(value) or ""
    if not (text.isascii() and text.isdigit() and len(text) < 6) or int(text) not in _TYPES:
        raise OrderError("unknown_type", "type", _not_one_of(Sentence.NOT_A_TYPE, value, PushType.values))
    return int(text)


def _app(value: object) -> App:
    app = _APPS.get(value.strip().lower()) if isinstance(value, str) else None
    if app is None:
        raise OrderError("unknown_app", "app", _not_one_of(Sentence.NOT_AN_APP, value, _APPS))
    return app


def _platform(value: object) -> Platform | None:
    if value is None or value == "":
        return None
    try:
        return platform_of(value if isinstance(value, str) else "")
    except ValueError:
        raise OrderError("bad_via", "via", _not_one_of(Sentence.NOT_A_PLATFORM, value, ACCEPTED_PLATFORMS)) from None


def _not_one_of(sentence: Sentence, value: object, choices: Iterable[object]) -> Note:
    return Note(sentence, value=shown(value), choices=", ".join(map(str, choices)))


def _recipients(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        # A PHP list that lost an element (array_filter, unset) arrives with gaps in its keys.
        value = list(value.values())
    given = value if isinstance(value, list) else [value]
    accounts = tuple(dict.fromkeys(_account_id(item) for item in given if not _is_empty(item)))
    if not accounts:
        raise OrderError("no_recipient", "to_id", Note(Sentence.NO_ACCOUNT_ID))
    return accounts


def _is_empty(value: object) -> bool:
    """What `explode(',', '1,2,')` leaves behind names nobody, and must cost the others nothing."""
    return value is None or value is False or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _account_id(value: object) -> str:
    try:
        return ids.account_id(ids.scalar(value) or "")
    except ids.InvalidIdError as error:
        detail = Note(Sentence.BAD_ACCOUNT_ID, value=shown(value), why=error.reason)
        raise OrderError("bad_recipient", "to_id", detail) from None


def _message_id(value: object) -> str:
    """Empty for none, however a program writes that."""
    if value is None or value is False or (isinstance(value, str) and not value.strip()):
        return ""
    message_id = ids.scalar(value)
    if not message_id or len(message_id) > MAX_MSG_ID:
        raise OrderError("bad_msg_id", "msg_id", Note(Sentence.BAD_ID, value=shown(value), most=MAX_MSG_ID))
    return "" if _NO_ID.fullmatch(message_id) or characters.is_blank(message_id) else message_id


def _expires_at(fields: Mapping[str, Any], now: datetime) -> datetime | None:
    try:
        return expiry.read(fields, now)
    except expiry.ExpiryError as error:
        raise OrderError("bad_expiry", error.field, error.note) from None


def _presentation(fields: Mapping[str, Any]) -> Presentation:
    try:
        return presentation.read(fields)
    except presentation.PresentationError as error:
        raise OrderError(f"bad_{error.field}", error.field, error.detail) from None


def _title(value: object) -> str:
    if value is None:
        return ""
    title = ids.scalar(value)
    if title is None or len(title) > MAX_TITLE:
        raise OrderError("bad_title", "title", Note(Sentence.NO_TITLE, most=MAX_TITLE))
    return "" if characters.is_blank(title) else title


def _text(value: object) -> str:
    """A number is a fine text (a verification code); nothing at all is not, nor what shows nothing."""
    text = ids.scalar(value) or (str(value) if isinstance(value, float) else "")
    if not text or characters.is_blank(text):
        raise OrderError("no_message", "message", Note(Sentence.NO_TEXT))
    return text


def _data(value: object) -> dict[str, Any]:
    if value is None or value == "" or value == []:
        return {}
    if isinstance(value, list):
        # The client app is handed an object; PHP numbers a list's elements in the same way.
        return {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        raise OrderError("bad_data", "data", Note(Sentence.NO_DATA, value=shown(value)))
    return value
