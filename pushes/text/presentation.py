"""Check how a push is to look: one reading for every door, and one form in which it is stored."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from pushes.names import MAX_WORD
from pushes.text import characters, ids
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Presentation

MAX_SUBTITLE = 128
MAX_ADDRESS = 1_024
MAX_BADGE = 99_999
FIELDS = Presentation._fields
#: Schemes that a phone must not open from a notification: unencrypted, or code and files instead of a page.
REFUSED_SCHEMES = frozenset({"http", "javascript", "vbscript", "data", "file", "content", "about", "blob"})
_NOTHING = Presentation()
_VISIBLE = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):.+")
_WORD = re.compile(r"[A-Za-z0-9._-]+")


class PresentationError(ValueError):
    """A field cannot be used; `detail` names the value and what is accepted."""

    def __init__(self, field: str, detail: Note) -> None:
        super().__init__(f"{field}: {detail}")
        self.field, self.detail = field, detail


def read(fields: Mapping[str, Any]) -> Presentation:
    """Return what a producer's fields, or a form's, say of it; None and "" say nothing. Raises PresentationError."""
    said = {name: fields[name] for name in FIELDS if fields.get(name) not in (None, "")}
    return Presentation(**{name: field(name, value) for name, value in said.items()}) if said else _NOTHING


def field(name: str, value: object) -> Any:
    """Return one field's value, checked. Raises PresentationError."""
    text = ids.scalar(value)
    fault = Note(Sentence.NO_TITLE, most=MAX_SUBTITLE) if text is None and name == "subtitle" else None
    if fault or text is None:
        raise PresentationError(name, fault or _fault(name, value))
    return _READERS[name](name, text)


def stored(found: Mapping[str, Any] | None) -> Presentation:
    """Return what `as_stored` has written."""
    return Presentation(**{name: found[name] for name in FIELDS if name in found}) if found else _NOTHING


def as_stored(said: Presentation) -> dict[str, Any] | None:
    """Return the fields that say something; None when none does."""
    return {name: value for name, value in said._asdict().items() if value not in (None, "")} or None


def as_json(said: Presentation) -> str | None:
    """Return `as_stored` as JSON, fast: most pushes say nothing."""
    return None if said == _NOTHING else orjson.dumps(as_stored(said)).decode()


def _subtitle(name: str, text: str) -> str:
    if len(text) > MAX_SUBTITLE:
        raise PresentationError(name, Note(Sentence.NO_TITLE, most=MAX_SUBTITLE))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PresentationError(name, Note(Sentence.NOT_UNICODE)) from None
    return "" if characters.is_blank(text) else text


def _link(name: str, text: str) -> str:
    scheme = _SCHEME.fullmatch(text)
    is_good = _is_address(text) and scheme and scheme[1].lower() not in REFUSED_SCHEMES
    if not is_good or (scheme and scheme[1].lower() == "https" and not _host(text)):
        raise PresentationError(name, _fault(name, text))
    return text


def _image(name: str, text: str) -> str:
    if not (_is_address(text) and text[:8].lower() == "https://" and _host(text)):
        raise PresentationError(name, _fault(name, text))
    return text


def _word(name: str, text: str) -> str:
    if len(text) > MAX_WORD or not _WORD.fullmatch(text):
        raise PresentationError(name, _fault(name, text))
    return text


def _badge(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= MAX_BADGE):
        raise PresentationError(name, _fault(name, text))
    return int(text)


def _is_address(text: str) -> bool:
    return len(text) <= MAX_ADDRESS and _VISIBLE.fullmatch(text) is not None


def _host(text: str) -> str:
    try:
        return urlsplit(text).hostname or ""
    except ValueError:
        return ""


def _fault(name: str, value: object) -> Note:
    sentence, most = _FAULTS.get(name, (Sentence.BAD_WORD, MAX_WORD))
    return Note(sentence, value=ids.shown(value), most=most)


_FAULTS = {
    "link": (Sentence.BAD_LINK, MAX_ADDRESS),
    "image": (Sentence.BAD_IMAGE, MAX_ADDRESS),
    "badge": (Sentence.BAD_BADGE, MAX_BADGE),
}
_READERS: dict[str, Callable[[str, str], Any]] = {
    "subtitle": _subtitle,
    "link": _link,
    "image": _image,
    "sound": _word,
    "badge": _badge,
    "category": _word,
    "android_channel": _word,
}
