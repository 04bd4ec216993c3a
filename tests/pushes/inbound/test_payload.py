import contextlib
import re
import timeit
from typing import Any

import orjson
import phpserialize
import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from pushes.inbound.payload import MAX_BYTES, MAX_DEPTH, PayloadError, parse
from pushes.text import notes

CHINESE = re.compile("[\u4e00-\u9fff]")
ORDER = {
    "type": "5",
    "to_id": 10086,
    "app": "higo",
    "title": "新订单",
    "message": "您有一笔新的订单 😀",
    "data": {"order": {"id": 7, "paid": True, "note": None, "price": 12.5}, "items": ["a", "b"]},
}


def reason_of(raw: bytes) -> str:
    with pytest.raises(PayloadError) as caught:
        parse(raw)
    assert caught.value.detail
    return caught.value.reason


def nested_php(levels: int) -> bytes:
    return b'a:1:{s:1:"a";' * levels + b"i:1;" + b"}" * levels


def nested_json(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_php_arrays_become_fields():
    assert parse(phpserialize.dumps(ORDER)) == ORDER


def test_json_objects_become_the_same_fields():
    assert parse(orjson.dumps(ORDER)) == ORDER


def test_a_json_number_of_more_than_64_bits_keeps_its_digits_as_text():
    assert parse(b'{"no":2026112722001412345678901234,"id":9007199254740993}') == {
        "no": "2026112722001412345678901234",
        "id": 9007199254740993,
    }


def test_a_php_list_becomes_a_list():
    assert parse(b'a:1:{s:1:"x";a:2:{i:0;s:1:"a";i:1;s:1:"b";}}') == {"x": ["a", "b"]}


def test_a_php_list_with_a_gap_stays_a_mapping_with_text_keys():
    assert parse(b'a:1:{s:1:"x";a:2:{i:0;N;i:2;N;}}') == {"x": {"0": None, "2": None}}


def test_mixed_keys_become_text():
    assert parse(b'a:2:{i:0;i:1;s:1:"k";i:2;}') == {"0": 1, "k": 2}


def test_an_array_of_the_shortest_items_fits():
    items = b"".join(b"i:%d;N;" % number for number in range(10))
    assert parse(b'a:1:{s:1:"x";a:10:{' + items + b"}}") == {"x": [None] * 10}


def test_an_empty_php_array_is_an_empty_list():
    assert parse(b'a:1:{s:1:"x";a:0:{}}') == {"x": []}


def test_text_may_contain_what_looks_like_syntax():
    assert parse(phpserialize.dumps({"x": '";}a:9:{O:1:"R'})) == {"x": '";}a:9:{O:1:"R'}


@pytest.mark.parametrize("nested", [nested_php, nested_json])
def test_the_deepest_allowed_nesting_is_read(nested: Any):
    assert parse(nested(MAX_DEPTH))


@pytest.mark.parametrize("nested", [nested_php, nested_json])
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 500, 4000])
def test_deeper_nesting_is_refused(nested: Any, levels: int):
    assert reason_of(nested(levels)) == "too_deep"


def test_many_arrays_side_by_side_are_not_deep():
    raw = orjson.dumps({"x": [[] for _ in range(100)]})
    assert len(parse(raw)["x"]) == 100


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"x" * (MAX_BYTES + 1), "too_large"),
        (b'O:8:"stdClass":0:{}', "object"),
        (b'a:1:{s:1:"x";O:8:"stdClass":0:{}}', "object"),
        (b'a:1:{s:1:"x";C:1:"A":0:{}}', "object"),
        (b'a:1:{s:1:"x";E:3:"A:B";}', "object"),
        (b'a:2:{i:0;s:1:"x";i:1;R:2;}', "reference"),
        (b'a:2:{i:0;s:1:"x";i:1;r:2;}', "reference"),
        (b"a:999999999:{", "truncated"),
        (b's:999999999:"x";', "truncated"),
        (b"s:12", "truncated"),
        (b'a:1:{s:1:"x";', "truncated"),
        (b'a:1:{s:1:"x";i:1', "truncated"),
        (b'{"a":', "truncated"),
        (b'a:1:{s:1:"x";i:1;}\n', "trailing_bytes"),
        (b'{"a":1} {"a":1}', "malformed"),
        (b's:2:"abc";', "malformed"),
        (b's:-1:"a";', "malformed"),
        (b"a:-1:{}", "malformed"),
        (b"a:1:{i:0;i:1;i:1;i:2;}", "malformed"),
        (b"a:2:{i:0;i:1;}       ", "malformed"),
        (b"a:1:{i:0;}    ", "malformed"),
        (b"a:1:{N;i:1;}", "malformed"),
        (b"a:1:{a:0:{}i:1;}", "malformed"),
        (b'a:1:{s:1:"x";i:1_0;}', "malformed"),
        (b'a:1:{s:1:"x";d:1_0;}', "malformed"),
        (b'a:1:{s:1:"x";b:2;}', "malformed"),
        (b"}", "malformed"),
        (b"\x80\x04\x95", "malformed"),
        (b'a:1:{s:1:"x";s:2:"\xff\xfe";}', "bad_utf8"),
        (b'{"a":"\xff"}', "bad_utf8"),
        (b'a:1:{s:1:"x";d:INF;}', "bad_number"),
        (b'a:1:{s:1:"x";d:NAN;}', "bad_number"),
        (b'a:1:{s:1:"x";i:9223372036854775808;}', "bad_number"),
        (b'a:1:{s:1:"x";i:2026112722001412345678901234;}', "bad_number"),
        (b'a:1:{s:1:"x";i:-' + b"9" * 5_000 + b";}", "bad_number"),
        (b'a:1:{s:1:"x";d:1.0E+400;}', "bad_number"),
        (b'{"a":NaN}', "bad_number"),
        (b'{"a":-1e400}', "bad_number"),
        (b'{"a":"\\ud800"}', "malformed"),
        (b"N;", "not_an_array"),
        (b"i:1;", "not_an_array"),
        (b"b:1;", "not_an_array"),
        (b's:1:"x";', "not_an_array"),
        (b"a:0:{}", "not_an_array"),
        (b"[1]", "not_an_array"),
    ],
)
def test_what_cannot_be_used_has_a_reason(raw: bytes, reason: str):
    assert reason_of(raw) == reason


def test_an_error_says_where_and_repeats_no_content():
    with pytest.raises(PayloadError, match="byte 13") as caught:
        parse(b'a:2:{i:0;i:5;O:6:"secret":0:{}}')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "no bytes at all"),
        (b"x" * (MAX_BYTES + 1), "65537 bytes; at most 65536 are allowed"),
        (b"N;", "named fields are required, but this is null"),
        (b"b:1;", "named fields are required, but this is a boolean"),
        (b"i:1;", "named fields are required, but this is a number"),
        (b"d:1.5;", "named fields are required, but this is a number"),
        (b's:1:"x";', "named fields are required, but this is a string"),
        (b"a:0:{}", "named fields are required, but this is an empty array"),
        (b"[1]", "named fields are required, but this is a list"),
        (b'{"a":"\xff"}', "byte 6 is not valid UTF-8"),
        (b'a:1:{s:1:"x";s:2:"a\xff";}', "byte 19 is not valid UTF-8"),
        (b'{"a":NaN}', "infinity or not-a-number"),
        (b'{"a":x}', "invalid JSON at character 5"),
        (b"i:9223372036854775808;", "an integer of more than 64 bits at byte 0"),
        (b"i:" + b"9" * 30 + b";", "an integer of more than 64 bits at byte 0"),
        (b"d:INF;", "infinity or not-a-number at byte 0"),
        (nested_php(MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels, at byte {MAX_DEPTH * 13}"),
        (b"a:3:{i:0;i:1;}", "an array of 3 items at byte 0 cannot fit into the rest"),
        (b"a:2:{i:0;i:1;}       ", "the array that ends at byte 13 does not have the 2 items it announced"),
        (b"a:1:{N;i:1;}", "a key that is neither text nor integer, in the array that ends at byte 11"),
        (b"i:1;i:2;", "4 bytes follow the end at byte 4"),
        (b's:9:"x";', "a string of 9 bytes at byte 0, but the input ends before its end"),
        (b's:2:"abc";', "the string at byte 0 is not 2 bytes long"),
        (b's:2:"abxx', "the string at byte 0 is not 2 bytes long"),
        (b"a:1:{i", "the input ends at byte 6, inside a value"),
        (b'a:1:{s:1:"x";a:5:{i:0;N;}}', "an array of 5 items at byte 13 cannot fit into the rest"),
        (b'a:1:{s:1:"x";', "the input ends at byte 13, inside an array"),
        (b'a:1:{s:1:"x";i:1', "the input ends at byte 16, inside a value"),
        (b'O:1:"A":0:{}', "an object at byte 0"),
        (b'C:1:"A":0:{}', "an object with its own format at byte 0"),
        (b'E:3:"A:B";', "an enum case at byte 0"),
        (b"R:1;", "a reference at byte 0"),
        (b"r:1;", "a reference to an object at byte 0"),
        (b"O", "an object at byte 0"),
        (b"Ox", "not a PHP value at byte 0"),
        (b"x", "not a PHP value at byte 0"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(raw: bytes, detail: str):
    with pytest.raises(PayloadError) as caught:
        parse(raw)
    assert caught.value.detail == detail
    assert str(caught.value) == f"{caught.value.reason}: {detail}"
    with translation.override("zh-hans"):
        assert CHINESE.search(notes.words(caught.value.detail))


@pytest.mark.parametrize(
    ("item", "value"),
    [
        (b"i:+7;", 7),
        (b"i:-9223372036854775808;", -(2**63)),
        (b"i:9223372036854775807;", 2**63 - 1),
        (b"i:00000000000000000007;", 7),
        (b"d:-1.5;", -1.5),
        (b"d:1.0E-10;", 1e-10),
        (b"d:.5;", 0.5),
        (b"b:0;", False),
        (b"b:1;", True),
        (b"N;", None),
        (b's:0:"";', ""),
    ],
)
def test_a_value_is_read_to_its_last_digit(item: bytes, value: object):
    assert parse(b'a:2:{s:1:"x";' + item + b's:1:"y";i:5;}') == {"x": value, "y": 5}


@pytest.mark.parametrize("raw", [b'  {"a": 1}', b'\n{"a": 1}\n'])
def test_blanks_around_json_are_no_harm(raw: bytes):
    assert parse(raw) == {"a": 1}


def test_the_largest_payload_is_read():
    raw = b'a:1:{s:1:"x";s:%d:"%s";}'
    length = MAX_BYTES - len(raw % (10_000, b""))
    assert parse(raw % (length, b"x" * length)) == {"x": "x" * length}


@pytest.mark.parametrize(
    "item",
    [b"i:;", b"i:-;", b"i:1.0;", b"ix1;", b"i:1", b"i:--1;", b"i:X1;", b"b:1", b"d:;", b"d:1", b"s1:a;", b"d:e5;"],
)
def test_a_value_of_another_form_is_none(item: bytes):
    assert reason_of(b'a:1:{s:1:"x";' + item + b"zzzz}") == "malformed"


def test_every_cut_of_a_real_order_is_refused():
    raw = phpserialize.dumps(ORDER)
    assert {reason_of(raw[:length]) for length in range(1, len(raw))} == {"truncated"}


@pytest.mark.parametrize("bomb", [b"a:9999999999:{", b'a:1:{s:1:"a";' * 5000, b"[" * MAX_BYTES, b"a:0:{}" * 10000])
def test_a_bomb_is_refused_at_once(bomb: bytes):
    bomb = bomb[:MAX_BYTES]
    assert min(timeit.repeat(lambda: reason_of(bomb), number=1, repeat=3)) < 0.05


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_the_one_error(raw: bytes):
    with contextlib.suppress(PayloadError):
        assert isinstance(parse(raw), dict)


@given(st.lists(st.sampled_from(list(b'asidbNOR:;{}"0123456789-. E\xff')), max_size=60).map(bytes))
def test_bytes_that_resemble_php_raise_only_the_one_error(raw: bytes):
    for candidate in (raw, b'a:1:{s:1:"x";' + raw + b"}", raw + b'a:1:{i:1;s:4:"abcd";}'):
        with contextlib.suppress(PayloadError):
            assert isinstance(parse(candidate), dict)


@given(st.data())
def test_a_changed_byte_in_a_real_order_raises_only_the_one_error(data: st.DataObject):
    raw = bytearray(phpserialize.dumps(ORDER))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PayloadError):
        parse(bytes(raw))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.text("ab中", max_size=3)


def holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return inner | st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, min_size=1, max_size=4)


FIELDS = st.dictionaries(KEYS, holding(holding(SCALARS)), min_size=1, max_size=5)


@given(FIELDS)
def test_what_a_library_serialises_comes_back(fields: dict[str, Any]):
    assert parse(phpserialize.dumps(fields)) == fields


@given(FIELDS)
def test_json_comes_back(fields: dict[str, Any]):
    assert parse(orjson.dumps(fields)) == fields
