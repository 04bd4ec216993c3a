"""Encode text for providers: JSON, percent-encoded forms, and safe cuts to a size in bytes."""

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from pushes.text import characters

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.~ -]+")


def to_json(value: Any) -> str:
    """Return compact JSON with non-ASCII characters as they are."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # Lone surrogates, or whole numbers beyond 64 bits.
        encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return clean(encoded)


def clean(text: str) -> str:
    """Return `text` as valid Unicode: surrogate pairs are joined, lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def quote_plus(text: str) -> str:
    """Return the same bytes as urllib's, in a tenth of the time: runs of bytes are encoded at once."""
    return _UNSAFE.sub(_quote_run, text.encode()).replace(b" ", b"+").decode()


def _quote_run(match: re.Match[bytes]) -> bytes:
    return b"%" + match[0].hex("%").upper().encode()


def fit(text: str, most_bytes: int) -> str:
    """Return the longest beginning of `text`, with an ellipsis if anything is missing, whose JSON string (without its
    quotes) has at most `most_bytes` bytes; empty when not even the ellipsis fits. Cut as `characters` cuts."""
    return characters.cut(text, lambda head: encoded_size(head) <= most_bytes)


def fit_all(texts: Sequence[str], most_bytes: int) -> list[str]:
    """Return the texts as they fit into `most_bytes` together, counted as `fit` counts: the last is cut first."""
    fitted: list[str] = []
    for text in texts:
        fitted.append(fit(text, most_bytes))
        most_bytes -= encoded_size(fitted[-1])
    return fitted


def encoded_size(text: str) -> int:
    """Return the size of `text` inside a JSON string, in bytes."""
    return len(to_json(text).encode()) - 2
