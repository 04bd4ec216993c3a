"""Read foreign JSON without loss: no whole number is rounded, and only JsonError is raised.

orjson reads whole numbers of more than 64 bits as floats, and Python's own reader accepts NaN, halves of surrogate
pairs and endless recursion. So orjson validates, and the few texts with a very long number are read a second time.
"""

import json
import math
import re
from typing import Any

import orjson

#: Levels of nested arrays and objects.
MAX_DEPTH = 16
_LEAST, _MOST = -(2**63), 2**63 - 1
#: Shorter whole numbers have 64 bits at most.
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


class JsonError(ValueError):
    """Input that cannot be read. `position` counts characters; the message contains none of the input."""

    def __init__(self, text: str, position: int = 0) -> None:
        super().__init__(text)
        self.position = position


class NumberError(JsonError):
    """Input that is JSON except for an infinite number or NaN."""


class DepthError(JsonError):
    """More than MAX_DEPTH levels."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_DEPTH} levels")


def loads(raw: bytes) -> Any:
    """Return the value of `raw`. A whole number beyond signed 64 bits becomes the text of its digits, which every
    client reads exactly. Raises JsonError."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _read_slowly(raw, error)
    # The nesting cannot be deeper than the number of opening brackets, which is cheap to count.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    return _exactly(raw) if _LONG_NUMBER.search(raw) else value


class Decoder(json.JSONDecoder):
    """For APIs that take a decoder class, such as form fields: raises json.JSONDecodeError."""

    def decode(self, s: str, *_args: Any) -> Any:
        try:
            return loads(s.encode(errors="replace"))
        except JsonError as error:
            raise json.JSONDecodeError(str(error), s, error.position) from None


def _read_slowly(raw: bytes, error: orjson.JSONDecodeError) -> Any:
    """Read what orjson refuses: report infinities and NaN as such, and accept numbers of more than 308 digits."""
    refused = JsonError(error.msg, error.pos)
    try:
        value = _exactly(raw)
        _check_depth(value)
        orjson.dumps(value)  # no half of a surrogate pair in it
    except JsonError:
        raise
    except RecursionError:
        raise DepthError from None
    except (ValueError, TypeError):
        raise refused from None
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    if any(isinstance(item, (dict, list)) for item in level):
        raise DepthError


def _exactly(raw: bytes) -> Any:
    return json.loads(raw.decode(), parse_int=_whole, parse_float=_finite, parse_constant=_finite)


def _whole(digits: str) -> int | str:
    if len(digits) > 20:
        return digits
    number = int(digits)
    return number if _LEAST <= number <= _MOST else digits


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NumberError("an infinite number, or one that is none")
    return number
