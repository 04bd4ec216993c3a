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
    b"O": ("object", "an object"),
    b"C": ("object", "an object with its own format"),
    b"E": ("object", "an enum case"),
    b"R": ("reference", "a reference"),
    b"r": ("reference", "a reference to an object"),
}


class PayloadError(Exception):
    """The payload cannot be read. `reason` is a stable code, `detail` says where and what, without content.

    Reasons: `empty`, `too_large`, `too_deep`, `object`, `reference`, `truncated`, `trailing_bytes`,
    `malformed`, `bad_utf8`, `bad_number`, `not_an_array`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse(raw: bytes) -> dict[str, Any]:
    """Return the named fields of one payload. Raises PayloadError, and nothing else, whatever the bytes are."""
    if not raw:
        raise PayloadError("empty", "no bytes at all")
    if len(raw) > MAX_BYTES:
        raise PayloadError("too_large", f"{len(raw)} bytes; at most {MAX_BYTES} are allowed")
    value = parse_json(raw) if raw.lstrip()[:1] in (b"{", b"[") else _parse_php(raw)
    if not isinstance(value, dict):
        raise PayloadError("not_an_array", f"named fields are required, but this is {_kind(value)}")
    return value


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty array"
    return {type(None): "null", bool: "a boolean", str: "a string"}.get(type(value), "a number")


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
        return PayloadError("bad_utf8", f"byte {undecodable.start} is not valid UTF-8")
    if isinstance(error, exact_json.NumberError):
        return PayloadError("bad_number", "infinity or not-a-number")
    if isinstance(error, exact_json.DepthError):
        return PayloadError("too_deep", str(error))
    reason = "truncated" if error.position >= len(text) or str(error) == "unexpected end of data" else "malformed"
    return PayloadError(reason, f"invalid JSON at character {error.position}")


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
                raise PayloadError("bad_utf8", f"byte {begin + error.start} is not valid UTF-8") from None
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
    raise PayloadError("truncated", f"the input ends at byte {at}, inside an array")


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
    return PayloadError("bad_number", f"an integer of more than 64 bits at byte {at}")


def _array_start(raw: bytes, at: int, depth: int) -> tuple[int, int]:
    """Return the announced number of items, and where the first begins."""
    head = _ARRAY_HEAD.match(raw, at)
    if head is None:
        raise _unreadable(raw, at)
    if depth >= MAX_DEPTH:
        raise PayloadError("too_deep", f"more than {MAX_DEPTH} levels, at byte {at}")
    count = int(head[1])
    # The shortest item (`i:0;N;`) has six bytes.
    if count * 6 > len(raw) - at:
        raise PayloadError("truncated", f"an array of {count} items at byte {at} cannot fit into the rest")
    return count, head.end()


def _array(items: list[Any], announced: int, at: int) -> Any:
    keys, values = items[::2], items[1::2]
    if len(keys) != announced or len(values) != announced:
        raise PayloadError(
            "malformed", f"the array that ends at byte {at} does not have the {announced} items it announced"
        )
    kinds = set(map(type, keys))
    if not kinds <= {int, str}:
        raise PayloadError("malformed", f"a key that is neither text nor integer, in the array that ends at byte {at}")
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
        raise PayloadError("bad_number", f"infinity or not-a-number at byte {at}")
    return value, end + 1


def _whole(raw: bytes, value: Any, at: int) -> Any:
    if at != len(raw):
        raise PayloadError("trailing_bytes", f"{len(raw) - at} bytes follow the end at byte {at}")
    return value


def _bad_string(raw: bytes, at: int) -> PayloadError:
    head = _STRING_HEAD.match(raw, at)
    if head is None:
        return _unreadable(raw, at)
    length = int(head[1])
    if head.end() + length + 2 > len(raw):
        return PayloadError("truncated", f"a string of {length} bytes at byte {at}, but the input ends before its end")
    return PayloadError("malformed", f"the string at byte {at} is not {length} bytes long")


def _unreadable(raw: bytes, at: int) -> PayloadError:
    """Return the error for a missing value at `at`."""
    rest = raw[at : at + 64]
    forbidden = _FORBIDDEN.get(rest[:1])
    if forbidden and rest[1:2] in (b":", b""):
        return PayloadError(forbidden[0], f"{forbidden[1]} at byte {at}")
    if at + len(rest) == len(raw) and _CUT_VALUE.fullmatch(rest):
        return PayloadError("truncated", f"the input ends at byte {len(raw)}, inside a value")
    return PayloadError("malformed", f"not a PHP value at byte {at}")
