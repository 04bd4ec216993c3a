"""Chat documents become messages or named refusals, whatever is in them."""

import dataclasses
import unicodedata

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatscan.messages.config import scan_config
from chatscan.messages.documents import ChatMessage, Refuse, account_id, clean, identity_of, read
from chatscan.names import Refusal
from pushes.names import App
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from tests.chatscan.making import group_document, private_document

GROUP, PRIVATE = scan_config("group"), scan_config("private")

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def message(document, config=GROUP) -> ChatMessage:
    result = read(document, config)
    assert isinstance(result, ChatMessage), result
    return result


def refusal(document, config=GROUP) -> Refuse:
    result = read(document, config)
    assert isinstance(result, Refuse), result
    return result


def test_a_group_message_is_read():
    document = group_document("你好", at=1_700_000_000)
    read_as = message(document)
    assert (read_as.group_id, read_as.sender_id, read_as.sender_name, read_as.text) == ("7", "1", "小王", "你好")
    assert read_as.sent_at.timestamp() == 1_700_000_000
    assert read_as.identity == read_as.message_id == str(document["_id"])


def test_a_private_message_is_read():
    read_as = message(private_document(app="higirl"), PRIVATE)
    assert (read_as.sender_id, read_as.to_id, read_as.group_id, read_as.app) == ("1", "2", "", App.HIGIRL)


@pytest.mark.parametrize("user_id", [5, "5", 5.0, " 5 "])
def test_ids_are_one_whether_numbers_or_text(user_id):
    assert message(group_document(user={"user_id": user_id})).sender_id == "5"


@pytest.mark.parametrize("field", ["type", "group_id", "user"])
def test_a_missing_field_is_named(field):
    document = group_document()
    del document[field]
    refused = refusal(document)
    assert refused.reason == Refusal.MISSING_FIELD
    assert refused.detail.startswith(field)


def test_a_missing_recipient_is_named():
    refused = refusal(private_document(to_user={}), PRIVATE)
    assert refused == Refuse(Refusal.MISSING_FIELD, Note(Sentence.FIELD_MISSING, field="to_user.user_id"))


def test_an_unusable_field_is_shown():
    refused = refusal(group_document(user={"user_id": [1]}))
    assert refused == Refuse(Refusal.MISSING_FIELD, Note(Sentence.FIELD_UNUSABLE, field="user.user_id", value="'[1]'"))


def test_an_unreadable_time_is_named():
    refused = refusal(group_document(createAt="15 o'clock"))
    assert (refused.reason, "15 o'clock" in refused.detail) == (Refusal.BAD_TIME, True)


def test_an_unknown_type_says_where_to_add_it():
    refused = refusal(group_document(type="hologram"))
    assert refused == Refuse(Refusal.UNKNOWN_TYPE, Note(Sentence.TYPE_NOT_LISTED, field="type", value="'hologram'"))


def test_types_of_the_settings_count():
    config = dataclasses.replace(GROUP, types={**GROUP.types, "2": "image"})
    assert message(group_document(type=2), config).kind == "image"


@pytest.mark.parametrize("kind", ["system", "recall", "typing", "notice"])
def test_what_nobody_wrote_is_refused_quietly(kind):
    assert refusal(group_document(type=kind)).reason == Refusal.SILENT_KIND


@pytest.mark.parametrize("data", ["", "  \n\t", None, {}, [], {"text": ""}, "\x00\x07"])
def test_a_text_without_text_is_empty(data):
    assert refusal(group_document(data=data)).reason == Refusal.EMPTY


@pytest.mark.parametrize("data", ["hi", {"text": "hi"}, {"content": "hi"}, {"body": " hi\n"}])
def test_the_text_is_found_in_usual_shapes(data):
    assert message(group_document(data=data)).text == "hi"


def test_goods_have_their_title_and_images_do_not_show_file_names():
    assert message(group_document(type="goods", data={"title": "连衣裙", "price": 99})).text == "连衣裙"
    assert message(group_document(type="image", data={"name": "IMG_1.jpg"})).text == ""


def test_a_huge_body_is_cut():
    assert len(message(group_document("长" * 5_000_000)).text) == 2_000


def test_other_field_names_can_be_configured(settings):
    settings.CHAT_GROUP_FIELDS = {"created_at": "time.at", "sender_id": "from", "group_id": "room"}
    document = {"_id": 1, "time": {"at": 1_700_000_000}, "from": 3, "room": "r", "type": "text", "data": "x"}
    read_as = message(document, scan_config("group"))
    assert (read_as.group_id, read_as.sender_id) == ("r", "3")


def test_ids_of_different_types_are_different_identities():
    key = ObjectId()
    ids = [5, "5", 5.5, b"5", {"a": 5}, str(key), None]
    assert len({identity_of(value) for value in ids}) == len(ids)
    assert identity_of(key) == str(key)


@given(st.dictionaries(st.sampled_from(["createAt", "type", "data", "user", "group_id", "seq", "app"]), json_like))
def test_no_document_breaks_it(fields):
    assert isinstance(read(group_document(**fields), GROUP), ChatMessage | Refuse)


@given(st.text(), st.integers(1, 50))
def test_shown_text_is_one_clean_line_of_bounded_length(text, most):
    shown = clean(text, most)
    assert len(shown) <= most
    assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert shown == shown.strip()


def test_blanks_before_a_text_do_not_hide_it():
    assert clean(" " * 10_000 + "here", 10) == "here"


@pytest.mark.parametrize("cluster", ["👨\u200d👩\u200d👧", "🇨🇳", "कि", "1\ufe0f\u20e3", "e\u0301"])
def test_a_cut_never_splits_a_character(cluster):
    text, size = f"ab{cluster}cdef", len(cluster)
    assert {clean(text, most) for most in range(4, size + 3)} <= {"ab…"}
    assert clean(text, size + 3) == f"ab{cluster}…"


def test_what_was_left_unread_shows_in_an_ellipsis():
    assert clean("a" + " " * 10_000 + "b", 60) == "a…"


@pytest.mark.parametrize("data", ["\u200b\u200b", "\u3164", "\u2800 \ufe0f", "\u202e\u2069", "\u0301", "\U000e0041"])
def test_what_shows_nothing_is_no_text(data):
    assert refusal(group_document(data=data)).reason == Refusal.EMPTY
    assert refusal(group_document(data={"text": data})).reason == Refusal.EMPTY
    assert message(group_document(data={"text": data, "content": "hi"})).text == "hi"


def test_what_shows_nothing_does_not_hide_a_text():
    assert message(group_document("\u200b" * 20_000 + "here")).text == "here"


@pytest.mark.parametrize(
    ("nickname", "shown"), [("\u202e王\u2066小", "王小"), ("\u3164", ""), ("\u200f\u061cAli", "Ali")]
)
def test_a_nickname_turns_nothing_and_one_that_shows_nothing_is_none(nickname, shown):
    assert message(group_document(user={"user_id": 5, "nickname": nickname})).sender_name == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Int64(2**62), str(2**62)),
        (2.0**52, str(2**52)),
        (Decimal128("10086"), "10086"),
        (Decimal128("10086.00"), "10086"),
        (Decimal128("2026112722001412345678901234"), "2026112722001412345678901234"),
    ],
)
def test_an_id_of_any_number_type_keeps_its_digits(value, text):
    assert account_id(value) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (Decimal128("2026112722001412345678901234"), "2026112722001412345678901234"),
        (Decimal128("12.50"), "12.50"),
        (Int64(2**62), str(2**62)),
        (12.5, "12.5"),
        (3.0, "3"),
    ],
)
def test_a_number_as_a_text_keeps_its_digits(data, text):
    assert message(group_document(data=data)).text == text


@pytest.mark.parametrize(
    ("seq", "sequence"),
    [(Decimal128("7"), 7), (Int64(2**62), str(2**62)), (1e25, None), (Decimal128("NaN"), None), (7.0, 7)],
)
def test_a_sequence_is_exact_or_none(seq, sequence):
    assert message(group_document(seq=seq)).sequence == sequence


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"text": "你好"}', "你好"),
        (' \n{"content": "你好", "extra": {"n": 20261127220014123456789}}', "你好"),
        ('{"msg": 20261127220014123456789}', "20261127220014123456789"),
        ('{"\\u0074ext": "\\u4f60\\u597d"}', "你好"),
        ("{not json", "{not json"),
        ('{"a": 1}', '{"a": 1}'),
        ('["text"]', '["text"]'),
        ('{"text": "\\ud800"}', '{"text": "\\ud800"}'),
        ("{" * 500, "{" * 500),
    ],
)
def test_data_that_is_json_text_is_read_as_the_object_that_it_is(data, text):
    assert message(group_document(data=data)).text == text


def test_the_title_of_goods_is_found_in_json_text_too():
    assert message(group_document(type="goods", data='{"goods_name": "连衣裙"}')).text == "连衣裙"


def test_json_text_without_text_is_empty():
    assert refusal(group_document(data='{"text": " "}')).reason == Refusal.EMPTY


def test_huge_json_text_is_not_read_as_an_object():
    assert message(group_document(data='{"text": "' + "x" * 5_000_000 + '"}')).text.startswith('{"text"')


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        [],
        {},
        float("nan"),
        "   ",
        2.0**53,
        1e25,
        float("inf"),
        Decimal128("NaN"),
        Decimal128("1.5"),
        Decimal128("1E+6000"),
        Decimal128("Infinity"),
    ],
)
def test_what_is_no_account_id_is_empty(value):
    assert account_id(value) == ""
