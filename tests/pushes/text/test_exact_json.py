"""Other people's JSON: exact numbers, and one error."""

import contextlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.text.exact_json import MAX_DEPTH, Decoder, DepthError, JsonError, NumberError, loads


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2026112722001412345678901234", "2026112722001412345678901234"),
        ("-2026112722001412345678901234", "-2026112722001412345678901234"),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", -9223372036854775808),
        ("-9223372036854775809", "-9223372036854775809"),
        ("18446744073709551615", "18446744073709551615"),
        ("9" * 5_000, "9" * 5_000),
        (
            '{"a": [20261127220014123456789, 0.5, "20261127220014123456789"]}',
            {"a": ["20261127220014123456789", 0.5, "20261127220014123456789"]},
        ),
        ("-0", 0),
        ("1.0E+25", 1e25),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"\\ud83d\\ude00"', "😀"),
        ('["\\ud83d\\ude00", 20261127220014123456789]', ["😀", "20261127220014123456789"]),
    ],
)
def test_every_whole_number_is_exact(raw: str, value: Any):
    found = loads(raw.encode())
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("raw", ["1e400", "-1e400", '{"a": 1E999}', "NaN", "[Infinity]", "-Infinity", "9" * 400 + ".0"])
def test_a_number_that_is_none_is_told_as_such(raw: str):
    with pytest.raises(NumberError):
        loads(raw.encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'"\\ud800"',
        b'["\\udc00", 20261127220014123456789]',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"01",
        b"1 2",
        b'"\x01"',
        b"9" * 4_400 + b"x",
    ],
)
def test_what_is_no_json_raises_the_one_error(raw: bytes):
    with pytest.raises(JsonError) as caught:
        loads(raw)
    assert not isinstance(caught.value, NumberError | DepthError)


@pytest.mark.parametrize("number", ["1", "20261127220014123456789", "9" * 400])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 900, 5_000])
def test_nesting_is_bounded_whatever_the_numbers_are(levels: int, number: str):
    assert loads(b"[" * MAX_DEPTH + number.encode() + b"]" * MAX_DEPTH)
    with pytest.raises(DepthError):
        loads(b"[" * levels + number.encode() + b"]" * levels)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_what_python_writes_comes_back_exactly(value: Any):
    with contextlib.suppress(DepthError):
        text = json.dumps(value)
        expected = json.loads(text, parse_int=lambda digits: int(digits) if abs(int(digits)) < 2**63 else digits)
        with contextlib.suppress(UnicodeEncodeError):
            assert loads(text.encode()) == expected or str(-(2**63)) in text


@given(
    st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:0123456789.eE-\\ud8NaInfity'), max_size=60).map(str.encode)
)
def test_whatever_the_bytes_are_what_comes_back_can_be_stored(raw: bytes):
    with contextlib.suppress(JsonError):
        orjson.dumps(loads(raw))


def test_a_form_field_reads_in_the_same_way():
    assert json.loads('{"no": 20261127220014123456789}', cls=Decoder) == {"no": "20261127220014123456789"}
    for bad in ("NaN", "[" * 5_000, "{", "\ud800"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(bad, cls=Decoder)
