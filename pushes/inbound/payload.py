"""One raw payload from the producers' list → a dict: PHP `serialize()` output or a JSON object.

The PHP half is a single pass with an explicit stack, so that no input can make it recurse, and every
number in the input is checked against the bytes that are really there before anything is allocated.
It is stricter than general libraries (which accept trailing bytes, negative lengths and `1_0`), says at
which byte the input went wrong, and takes about two thirds of their time. The tests hold its results against a
library's and against PHP's own.

PHP has one array type; as in PHP's own `json_encode`, keys 0…n-1 in this order make a list (an empty
array too), and any other keys make a dict whose keys are text.
"""

import math
import re
from typing import Any

from pushes.text import exact_json
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

MAX_BYTES = 64 * 1024
MAX_DEPTH = exact_json.MAX_DEPTH

_FLOAT_TEXT = re.compile(rb"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|-?\.[0-9]+([eE][+-]?[0-9]+)?|-?INF|NAN")
# What input may end with if it was cut off in the middle of a token.
_CUT_VALUE = re.compile(rb"[Nbidsa]?|[bidsa]:[-+.0-9eEINFA]{0,40}|[sa]:[0-9]{1,10}:")
_ARRAY_HEAD = re.compile(rb"a:([0-9]{1,10}):\{")
_STRING_HEAD = re.compile(rb's:([0-9]{1,10}):"')
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_LONG_INTEGER = re.compile(rb"i:[+-]?[0-9]{20,};")
_FORBIDDEN = {
    b"O": ("object", Sentence.AN_OBJECT),
    b"C": ("object", Sentence.A_CUSTOM_OBJECT),
    b"E": ("object", Sentence.AN_ENUM_CASE),
    b"R": ("reference", Sentence.A_REFERENCE),
    b"r": ("reference", Sentence.AN_OBJECT_REFERENCE),
}
_KINDS: dict[type, Sentence] = {type(None): Sentence.A_NULL, bool: Sentence.A_BOOLEAN, str: Sentence.A_STRING}


class PayloadError(Exception):
    """The payload cannot be read. `reason` is a stable code, `detail` says where and what, without content.

    Reasons: `empty`, `too_large`, `too_deep`, `object`, `reference`, `truncated`, `trailing_bytes`,
    `malformed`, `bad_utf8`, `bad_number`, `not_an_array`.
    """

    def __init__(self, reason: str, detail: Note) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse(raw: bytes) -> dict[str, Any]:
    """Return the named fields of one payload. Raises PayloadError, and nothing else, whatever the bytes are."""
    if not raw:
        raise PayloadError("empty", Note(Sentence.NO_BYTES))
    if len(raw) > MAX_BYTES:
        raise PayloadError("too_large", Note(Sentence.TOO_MANY_BYTES, n=len(raw), most=MAX_BYTES))
    value = parse_json(raw) if raw.lstrip()[:1] in (b"{", b"[") else _parse_php(raw)
    if not isinstance(value, dict):
        raise PayloadError("not_an_array", Note(Sentence.NOT_AN_ARRAY, what=Note(_kind(value))))
    return value


def _kind(value: object) -> Sentence:
    if isinstance(value, list):
        return Sentence.A_LIST if value else Sentence.AN_EMPTY_ARRAY
    return _KINDS.get(type(value), Sentence.A_NUMBER)


# --- JSON --------------------------------------------------------------------------------------
def parse_json(raw: bytes) -> Any:
    """Return any JSON value within MAX_DEPTH; whole numbers of more than 64 bits become text. Raises PayloadError."""
    try:
        return exact_json.loads(raw)
    except exact_json.JsonError as error:
        raise _json_error(raw, error) from None


def _json_error(raw: bytes, error: exact_json.JsonError) -> PayloadError:
    try:
        text = raw.decode()
    except UnicodeDecodeError as undecodable:
        return PayloadError("bad_utf8", Note(Sentence.NOT_UTF8, at=undecodable.start))
    if isinstance(error, exact_json.NumberError):
        return PayloadError("bad_number", Note(Sentence.NOT_FINITE))
    if isinstance(error, exact_json.DepthError):
        return PayloadError("too_deep", Note(Sentence.TOO_DEEP, n=MAX_DEPTH))
    reason = "truncated" if error.position >= len(text) or str(error) == "unexpected end of data" else "malformed"
    return PayloadError(reason, Note(Sentence.NOT_JSON, at=error.position))


# --- PHP ---------------------------------------------------------------------------------------
# The loop reads nearly all of the bytes (text, integers, ends of arrays) in place, because a function call for each
# value would double its time.
_STRING, _INTEGER, _ARRAY_START, _ARRAY_END = b"sia}"


def _parse_php(raw: bytes) -> Any:
    """One serialised value that fills `raw` to its end."""
    find = raw.find
    # The arrays around the current one: the number of items it announced, and its keys and values so far.
    stack: list[tuple[int, list[Any]]] = []
    announced = 1
    items: list[Any] = []
    at = 0
    while at < len(raw):
        code = raw[at]
        if code == _STRING:
            begin = find(b'"', at, at + 14) + 1
            digits = raw[at + 2 : begin - 2]
            end = begin + int(digits) if digits.isdigit() else 0
            if begin <= at or end < begin or raw[at + 1] != 58 or raw[begin - 2] != 58 or raw[end : end + 2] != b'";':
                raise _bad_string(raw, at)
            try:
                items.append(raw[begin:end].decode())
            except UnicodeDecodeError as error:
                raise PayloadError("bad_utf8", Note(Sentence.NOT_UTF8, at=begin + error.start)) from None
            at = end + 2
        elif code == _INTEGER:
            end = find(b";", at, at + 24)
            items.append(_integer(raw, at, end))
            at = end + 1
        elif code == _ARRAY_START:
            count, end = _array_start(raw, at, len(stack))
            stack.append((announced, items))
            announced, items = count, []
            at = end
            continue
        elif code == _ARRAY_END and stack:
            value = _array(items, announced, at)
            announced, items = stack.pop()
            items.append(value)
            at += 1
        else:
            value, at = _rare_value(raw, at)
            items.append(value)
        if not stack:
            return _whole(raw, items[0], at)
    raise PayloadError("truncated", Note(Sentence.ENDS_IN_ARRAY, at=at))


def _integer(raw: bytes, at: int, end: int) -> int:
    digits = raw[at + 2 : end]
    if end < 0 and _LONG_INTEGER.match(raw, at):
        raise _too_long(at)
    if end < 0 or raw[at + 1] != 58 or not (digits.isdigit() or (digits[:1] in b"+-" and digits[1:].isdigit())):
        raise _unreadable(raw, at)
    value = int(digits)
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise _too_long(at)
    return value


def _too_long(at: int) -> PayloadError:
    return PayloadError("bad_number", Note(Sentence.LONG_INTEGER, at=at))


def _array_start(raw: bytes, at: int, depth: int) -> tuple[int, int]:
    """Return the announced number of items, and where the first begins."""
    head = _ARRAY_HEAD.match(raw, at)
    if head is None:
        raise _unreadable(raw, at)
    if depth >= MAX_DEPTH:
        raise PayloadError("too_deep", Note(Sentence.TOO_DEEP_AT, n=MAX_DEPTH, at=at))
    count = int(head[1])
    # The shortest item (`i:0;N;`) has six bytes.
    if count * 6 > len(raw) - at:
        raise PayloadError("truncated", Note(Sentence.ARRAY_TOO_LONG, n=count, at=at))
    return count, head.end()


def _array(items: list[Any], announced: int, at: int) -> Any:
    keys, values = items[::2], items[1::2]
    if len(keys) != announced or len(values) != announced:
        raise PayloadError("malformed", Note(Sentence.ARRAY_TOO_SHORT, at=at, n=announced))
    kinds = set(map(type, keys))
    if not kinds <= {int, str}:
        raise PayloadError("malformed", Note(Sentence.STRANGE_KEY, at=at))
    # Text keys never make a list: PHP itself turns "0" into 0.
    if kinds <= {int} and keys == list(range(announced)):
        return values
    return dict(zip(keys if kinds == {str} else map(str, keys), values, strict=True))


def _rare_value(raw: bytes, at: int) -> tuple[Any, int]:
    """Return a null, a boolean or a float, and where it ends."""
    if raw[at : at + 2] == b"N;":
        return None, at + 2
    if raw[at : at + 4] in (b"b:0;", b"b:1;"):
        return raw[at + 2] == 49, at + 4
    end = raw.find(b";", at, at + 64)
    if raw[at : at + 2] != b"d:" or end < 0 or not _FLOAT_TEXT.fullmatch(raw, at + 2, end):
        raise _unreadable(raw, at)
    value = float(raw[at + 2 : end])
    if not math.isfinite(value):
        raise PayloadError("bad_number", Note(Sentence.NOT_FINITE_AT, at=at))
    return value, end + 1


def _whole(raw: bytes, value: Any, at: int) -> Any:
    if at != len(raw):
        raise PayloadError("trailing_bytes", Note(Sentence.BYTES_FOLLOW, n=len(raw) - at, at=at))
    return value


def _bad_string(raw: bytes, at: int) -> PayloadError:
    head = _STRING_HEAD.match(raw, at)
    if head is None:
        return _unreadable(raw, at)
    length = int(head[1])
    if head.end() + length + 2 > len(raw):
        return PayloadError("truncated", Note(Sentence.ENDS_IN_STRING, n=length, at=at))
    return PayloadError("malformed", Note(Sentence.STRING_LENGTH, at=at, n=length))


def _unreadable(raw: bytes, at: int) -> PayloadError:
    """Return the error for a missing value at `at`."""
    rest = raw[at : at + 64]
    forbidden = _FORBIDDEN.get(rest[:1])
    if forbidden and rest[1:2] in (b":", b""):
        return PayloadError(forbidden[0], Note(Sentence.VALUE_AT, what=Note(forbidden[1]), at=at))
    if at + len(rest) == len(raw) and _CUT_VALUE.fullmatch(rest):
        return PayloadError("truncated", Note(Sentence.ENDS_IN_VALUE, at=len(raw)))
    return PayloadError("malformed", Note(Sentence.NOT_PHP, at=at))
