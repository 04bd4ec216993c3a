"""Sentences that rows hold in English are read in the reader's language; nobody's sentence stays as it is."""

from collections.abc import Callable

import pytest
from django.utils import translation

from pushes.broadcasts.lifecycle import NOBODY
from pushes.history import stored_words
from pushes.inbound import payload
from pushes.inbound.orders import OrderError, read
from pushes.inbound.payload import PayloadError

MADE = {
    "broadcast": [
        "paused by 王小明",
        "cancelled by x",
        NOBODY,
        "the devices are in another database, and DIRECTORY_ALL_DEVICES_SQL is not set: x",
        "audience_kind='app': the devices are in another database, and DIRECTORY_ALL_DEVICES_SQL is not set: x",
        "DIRECTORY_ALL_DEVICES_SQL: the query returns no column 'row_id', only a",
        "DIRECTORY_ALL_DEVICES_SQL: row_id 3 comes after 4: it must",
        "DIRECTORY_ALL_DEVICES_SQL: (2003, 'gone')",
    ],
    "device": ["to 100007", "from 7 to 8", "registered again by the app", "by 小王", "by 小王: lost: phone"],
    "key": ["refused by the provider"],
    "export": ["PermissionDenied: x may no longer export the log.", "OperationalError: (2006, 'gone away')"],
    "push": ["ValueError: no"],
    "scanner": [
        "the lane has more jobs than BACKLOG_JOBS",
        'catching up would be faster with db.getSiblingDB("a").getCollection("b").createIndex({"t": 1, "_id": 1})',
        "a.b: the change stream was closed (collection dropped or renamed?)",
    ],
    "letter": [
        "no bytes at all",
        "no bytes at all (discarded by 小王)",
        "7 bytes, 6 are allowed (only the first 5 bytes are kept)",
        "msg_id 'order-c' names push #50 already, which differs in to_id, message",
    ],
}


@pytest.mark.parametrize(("what", "noted"), [(what, noted) for what, every in MADE.items() for noted in every])
def test_known_sentences_are_told_in_the_reader_s_language(what: str, noted: str) -> None:
    with translation.override("zh-hans"):
        told = stored_words.words(noted, what)
    assert told != noted
    assert any("\u4e00" <= sign <= "\u9fff" for sign in told)


@pytest.mark.parametrize("what", MADE)
def test_what_somebody_else_said_stays_as_it_is(what: str) -> None:
    with translation.override("zh-hans"):
        assert stored_words.words("40 token does not exist!", what) == "40 token does not exist!"
        assert stored_words.words("", what) == ""


def test_the_parts_are_kept() -> None:
    with translation.override("zh-hans"):
        assert "王小明" in stored_words.words("paused by 王小明", "broadcast")
        assert "row_id 3 出现在 4 之后" in stored_words.words("X: row_id 3 comes after 4: it must", "broadcast")
        assert "db.getSiblingDB" in stored_words.words(MADE["scanner"][1], "scanner")


def detail_of(act: Callable[[], object]) -> str:
    try:
        act()
    except (PayloadError, OrderError) as error:
        return error.detail
    raise AssertionError("it could be read")


RAW = [b"", b"x", b"5", b"[1]", b"\xff", b'{"a"', b"a:1:{", b"a:2:{i:0;i:1;}", b'a:1:{s:9:"type";i:5;}', b"i:5;"]
RAW += [
    b'{"a": 1} x',
    b"a:0:{}x",
    b"a:1:{i:0;d:INF;}",
    b"a:1:{i:0;i:99999999999999999999;}",
    b"[" * 200,
    b'a:1:{s:1:"\xff";i:1;}',
    *(b'O:1:"a":0:{}', b'C:1:"a":0:{}', b"E:1:x", b"R:1;", b"r:1;", b'{"type": 1e999}', b'{"type": NaN}'),
]
FIELDS: list[dict[str, object]] = [
    {"type": 999},
    {"type": 5, "app": "x"},
    {"type": 5, "app": "higo", "via": "fax"},
    {"type": 5, "app": "higo", "message": "x"},
    {"type": 5, "app": "higo", "message": "", "to_id": 7},
    {"type": 5, "app": "higo", "message": "x", "to_id": 7, "data": "x"},
    {"type": 5, "app": "higo", "message": "x", "to_id": 7, "title": "x" * 999},
    {"type": 5, "app": "higo", "message": "x", "to_id": 7, "msg_id": "x" * 999},
    *({"type": 5, "app": "higo", "message": "x", "to_id": to} for to in ("x" * 99, "1\u200b0", "\uff11", "/a")),
    {"type": 5, "app": "higo", "message": "x", "to_id": 7, "ttl": "soon"},
    {"type": 5, "app": "higo", "message": "x", "to_id": 7, "expires_at": "soon"},
]


@pytest.mark.parametrize("raw", RAW)
def test_whatever_the_parser_says_has_its_words(raw: bytes) -> None:
    detail = detail_of(lambda: payload.parse(raw))
    with translation.override("zh-hans"):
        assert stored_words.words(detail, "letter") != detail, detail


@pytest.mark.parametrize("fields", FIELDS)
def test_whatever_is_wrong_with_a_field_has_its_words(fields: dict[str, object]) -> None:
    detail = detail_of(lambda: read(fields, source="raw", identity="1"))
    with translation.override("zh-hans"):
        assert stored_words.words(detail, "letter") != detail, detail
