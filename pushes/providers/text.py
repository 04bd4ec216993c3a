"""Text as providers want it: JSON, percent-encoded forms, and cut to a size in bytes without harm."""

import json
import re
import unicodedata
from typing import Any

import orjson

ELLIPSIS = "…"
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.~ -]+")
_JOINER = "\u200d"
# A cluster longer than this is no character that anybody reads; it is cut anywhere.
MOST_CLUSTER = 32


def to_json(value: Any) -> str:
    """Compact JSON with non-ASCII characters as they are; whatever JSON does not know becomes its text."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Lone surrogates, or whole numbers beyond 64 bits.
        encoded = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
        return clean(encoded)


def clean(text: str) -> str:
    """`text` as valid Unicode: surrogate pairs are joined, lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def quote_plus(text: str) -> str:
    """As urllib's, to the byte, in a tenth of the time: runs of bytes are encoded at once."""
    return _UNSAFE.sub(_quote_run, text.encode()).replace(b" ", b"+").decode("ascii")


def _quote_run(match: re.Match[bytes]) -> bytes:
    return b"%" + match[0].hex("%").upper().encode()


def fit(text: str, most_bytes: int) -> str:
    """The longest beginning of `text`, with an ellipsis if anything is missing, whose JSON string (without
    its quotes) has at most `most_bytes` bytes; empty when not even the ellipsis fits.

    What people see as one character (an accent on its letter, a family of emoji, a flag) is not cut apart.
    """
    if encoded_size(text) <= most_bytes:
        return text
    room = most_bytes - encoded_size(ELLIPSIS)
    if room < 0:
        return ""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if encoded_size(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[: _boundary(text, low)].rstrip() + ELLIPSIS


def encoded_size(text: str) -> int:
    """Bytes of `text` inside a JSON string."""
    return len(to_json(text).encode()) - 2


def _boundary(text: str, end: int) -> int:
    """The nearest place at or before `end` that lies between two characters as people see them."""
    for place in range(end, max(0, end - MOST_CLUSTER), -1):
        if not _belongs_together(text, place):
            return place
    return end if end > MOST_CLUSTER else 0


def _belongs_together(text: str, place: int) -> bool:
    if place == 0 or place == len(text):
        return False
    before, after = text[place - 1], text[place]
    if after == _JOINER or before == _JOINER or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True  # a skin tone; a tag of a regional flag
    return _is_regional(after) and _regionals_before(text, place) % 2 == 1


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _regionals_before(text: str, place: int) -> int:
    """Flags are pairs of regional letters: an odd number before `place` means that it splits one."""
    count = 0
    while count < place and _is_regional(text[place - 1 - count]):
        count += 1
    return count
