"""Validate account ids, for every entry point: the API, the raw list, files, other databases, chats and the console.

Ids are compared by their characters, so an id that only looks right matches nothing. White space around it comes from
copying and is removed; any other invisible character is refused, and named by its code point.
"""

import re
import unicodedata

from pushes.text import characters
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

MAX_ACCOUNT_ID = 64
#: Invisible characters that Unicode lists as letters, marks or symbols: fillers, variation selectors, joiners.
_UNSEEN = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    r"\U0001d159\U0001d173-\U0001d17a\U000e0100-\U000e01ef"
)
_UNSEEN_CHARACTER = re.compile(f"[{_UNSEEN}]")
_MAX_EXACT_FLOAT = 2**53
#: How such a code is written in an error.
_SHORT_CODE = 0x10000


class InvalidIdError(ValueError):
    """Why a value is not a valid account id. `shown` is the value with invisible characters escaped."""

    def __init__(self, value: object, reason: Note) -> None:
        self.shown, self.reason = shown(value), reason
        super().__init__(f"{self.shown}: {reason}")


def account_id(value: str, *, most: int = MAX_ACCOUNT_ID) -> str:
    """Return the normalised id. Raises InvalidIdError."""
    if value.isascii() and value.isalnum() and len(value) <= most:
        return value
    if reason := fault(value, most=most):
        raise InvalidIdError(value, reason)
    return value.strip()


def fault(value: str, *, most: int = MAX_ACCOUNT_ID) -> Note | None:
    """Return why `value` is not a valid account id; None when it is."""
    named = value.strip()
    if not named or len(named) > most:
        return Note(Sentence.ID_LENGTH, most=most)
    if hidden := unseen(named):
        return Note(Sentence.ID_INVISIBLE, sign=_code(hidden))
    if other := wide(named):
        return Note(Sentence.ID_LOOKALIKE, sign=_code(other))
    if named[0] == "/" or named[-1] == "/":
        return Note(Sentence.ID_SLASH)
    return None


def found(value: str, *, most: int = MAX_ACCOUNT_ID) -> str:
    """Return the normalised id, or "" when it is not valid: for input that we cannot refuse."""
    try:
        return account_id(value, most=most)
    except InvalidIdError:
        return ""


def typed(value: str) -> str:
    """Return a typed search value without invisible characters, since no id has any."""
    return "".join(character for character in value if not unseen(character)).strip()


def unseen(text: str) -> str:
    """Return the first invisible character (a plain space is visible), or ""."""
    if text.isascii() and text.isprintable():
        return ""
    return next((character for character in text if _is_unseen(character)), "")


def wide(text: str) -> str:
    """Return the first digit of another alphabet, or full-width digit or letter, or ""."""
    if text.isascii():
        return ""
    return next(
        (c for c in text if not c.isascii() and (c.isdecimal() or (c.isalpha() and "\uff21" <= c <= "\uff5a"))), ""
    )


def scalar(value: object) -> str | None:
    """Return the text of a producer's text or whole number; None for anything else. PHP makes floats of large
    integers."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT_FLOAT:
        return str(int(value))
    return None


def shown(value: object, *, most: int = 60) -> str:
    """Return `value` for an error message: short, quoted, with invisible characters escaped."""
    if not isinstance(value, str | int | float | None):
        return f"a {type(value).__name__}"
    return characters.shorten(_UNSEEN_CHARACTER.sub(lambda match: _escaped(match[0]), repr(value)), most)


def _is_unseen(character: str) -> bool:
    return not character.isprintable() or _UNSEEN_CHARACTER.match(character) is not None


def _code(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}{f' ({name})' if name else ''}"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < _SHORT_CODE else f"\\U{code:08x}"
