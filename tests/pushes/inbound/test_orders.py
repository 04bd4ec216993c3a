import re
from typing import Any

import pytest
from django.utils import translation

from pushes.inbound.orders import OrderError, read
from pushes.names import App, Kind, Platform, PushType
from pushes.text import notes
from pushes.values import PushMessage

FIELDS = {"to_id": 7, "app": "higo", "message": "您有新的订单"}


def message_of(**fields: Any) -> PushMessage:
    return read(FIELDS | fields, source="intake", identity="batch:0")


def test_the_least_order_is_a_default_system_push():
    message = read(FIELDS, source="intake", identity="batch:0")
    assert (message.kind, message.push_type, message.app) == (Kind.SYSTEM, PushType.DEFAULT, App.HIGO)
    assert (message.audience.accounts, message.audience.platform) == (("7",), None)
    assert (message.title, message.text, message.data, message.message_id) == ("", "您有新的订单", {}, "")


@pytest.mark.parametrize("number", PushType.values)
def test_every_push_type_is_known_as_number_and_as_text(number: int):
    assert message_of(type=number).push_type == message_of(type=str(number)).push_type == number


@pytest.mark.parametrize(
    ("to_id", "accounts"),
    [
        ("10086", ("10086",)),
        (10086, ("10086",)),
        (10086.0, ("10086",)),
        ([1, "2", 1], ("1", "2")),
        ({"0": "a", "2": "b"}, ("a", "b")),
        (["1", "2", ""], ("1", "2")),
        (["1", " 2", "\t", None, False, []], ("1", "2")),
        ({"0": "1", "2": ""}, ("1",)),
    ],
)
def test_recipients_are_one_account_or_a_list_without_repetitions(to_id: Any, accounts: tuple[str, ...]):
    assert message_of(to_id=to_id).audience.accounts == accounts


@pytest.mark.parametrize(("via", "platform"), [("iphone", Platform.IOS), ("Android", Platform.ANDROID), ("", None)])
def test_via_limits_the_platform(via: str, platform: Platform | None):
    assert message_of(via=via).audience.platform == platform


def test_optional_fields_may_be_null():
    assert message_of(type=None, via=None, title=None, data=None, msg_id=None) == message_of()


def test_without_a_msg_id_the_position_identifies_the_message():
    assert message_of().identity == "batch:0"


@pytest.mark.parametrize(
    "none",
    [
        0,
        "0",
        "",
        " ",
        None,
        False,
        0.0,
        "00",
        "0.0",
        "-0",
        "null",
        "undefined",
        "None",
        "NaN",
        "false",
        "\u200b",
        "\u3164 ",
    ],
)
def test_a_msg_id_that_names_nothing_is_none(none: Any):
    message = message_of(msg_id=none)
    assert (message.message_id, message.identity) == ("", "batch:0")


@pytest.mark.parametrize("some", [10, "010", "0x", "null-1", "0-0", 1.0])
def test_a_msg_id_that_only_resembles_none_is_one(some: Any):
    assert message_of(msg_id=some).message_id


def test_a_msg_id_identifies_the_message_wherever_it_stands():
    first = read(FIELDS | {"msg_id": 99}, source="intake", identity="batch:0")
    second = read(FIELDS | {"msg_id": "99"}, source="intake", identity="batch:1")
    assert first.dedupe_key == second.dedupe_key
    assert first.message_id == "99"


def test_a_msg_id_never_meets_a_position():
    assert message_of(msg_id="batch:0").dedupe_key != message_of().dedupe_key


@pytest.mark.parametrize("nothing", ["\u200b", "\u3164 \uffa0", "\u2069"])
def test_a_title_that_shows_nothing_is_none(nothing: str):
    assert message_of(title=nothing).title == ""


def test_an_error_never_shows_half_a_character():
    with pytest.raises(OrderError) as caught:
        message_of(type="x" * 57 + "👍🏿" + "y" * 9)
    assert "x…" in caught.value.detail


@pytest.mark.parametrize(("number", "text"), [(1234, "1234"), (1234.0, "1234"), (12.5, "12.5"), ("0", "0")])
def test_a_number_is_a_text(number: Any, text: str):
    assert message_of(message=number).text == text


def test_a_list_as_data_is_numbered_as_php_does():
    assert message_of(data=["a", {"b": 1}]).data == {"0": "a", "1": {"b": 1}}


@pytest.mark.parametrize("empty", [None, "", []])
def test_empty_data_is_an_empty_object(empty: Any):
    assert message_of(data=empty).data == {}


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"type": 2}, "unknown_type", "type"),
        ({"type": "五"}, "unknown_type", "type"),
        ({"type": "5.5"}, "unknown_type", "type"),
        ({"type": True}, "unknown_type", "type"),
        ({"type": [5]}, "unknown_type", "type"),
        ({"app": "hogi"}, "unknown_app", "app"),
        ({"app": None}, "unknown_app", "app"),
        ({"app": 1}, "unknown_app", "app"),
        ({"via": "windows"}, "bad_via", "via"),
        ({"via": 1}, "bad_via", "via"),
        ({"to_id": None}, "no_recipient", "to_id"),
        ({"to_id": ""}, "no_recipient", "to_id"),
        ({"to_id": []}, "no_recipient", "to_id"),
        ({"to_id": True}, "bad_recipient", "to_id"),
        ({"to_id": 1.5}, "bad_recipient", "to_id"),
        ({"to_id": "x" * 65}, "bad_recipient", "to_id"),
        ({"to_id": [None, "", " "]}, "no_recipient", "to_id"),
        ({"to_id": [1, True]}, "bad_recipient", "to_id"),
        ({"to_id": 1e20}, "bad_recipient", "to_id"),
        ({"to_id": [[1]]}, "bad_recipient", "to_id"),
        ({"message": None}, "no_message", "message"),
        ({"message": "  "}, "no_message", "message"),
        ({"message": "\u200b\ufeff"}, "no_message", "message"),
        ({"message": "\u3164"}, "no_message", "message"),
        ({"message": "\u00a0\u2800\u00ad"}, "no_message", "message"),
        ({"message": "\u202e\u2066"}, "no_message", "message"),
        ({"message": ["a"]}, "no_message", "message"),
        ({"title": "x" * 129}, "bad_title", "title"),
        ({"title": ["a"]}, "bad_title", "title"),
        ({"subtitle": ["a"]}, "bad_subtitle", "subtitle"),
        ({"link": "http://higo.example"}, "bad_link", "link"),
        ({"image": "1.jpg"}, "bad_image", "image"),
        ({"sound": "a b"}, "bad_sound", "sound"),
        ({"badge": -1}, "bad_badge", "badge"),
        ({"category": "a b"}, "bad_category", "category"),
        ({"android_channel": "a b"}, "bad_android_channel", "android_channel"),
        ({"data": "text"}, "bad_data", "data"),
        ({"msg_id": "x" * 129}, "bad_msg_id", "msg_id"),
        ({"msg_id": []}, "bad_msg_id", "msg_id"),
        ({"msg_id": True}, "bad_msg_id", "msg_id"),
        ({"msg_id": 1e20}, "bad_msg_id", "msg_id"),
        ({"ttl": "1h"}, "bad_expiry", "ttl"),
        ({"expires_at": "tomorrow"}, "bad_expiry", "expires_at"),
    ],
)
def test_what_cannot_be_used_names_reason_and_field(fields: dict[str, Any], reason: str, field: str):
    with pytest.raises(OrderError) as caught:
        message_of(**fields)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_an_error_names_the_value_and_what_is_accepted():
    with pytest.raises(OrderError, match="app: 'hogi' is not a valid app; accepted: higo, higirl"):
        message_of(app="hogi")


def test_an_error_repeats_no_text_of_a_message():
    with pytest.raises(OrderError) as caught:
        message_of(title="秘密" * 100)
    assert "秘密" not in str(caught.value)


@pytest.mark.parametrize("hidden", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\0", "\x7f", "\u3164", "\ufe0f"])
def test_a_recipient_that_would_match_nothing_is_named_with_escapes(hidden: str):
    for to_id in (f"10086{hidden}", ["7", f"{hidden}10086"], {"3": f"100{hidden}86"}):
        with pytest.raises(OrderError, match=rf"to_id: .*U\+{ord(hidden):04X}") as caught:
            read({"to_id": to_id, "app": "higo", "message": "hello"}, source="test", identity="1")
        assert (caught.value.reason, str(caught.value).isprintable()) == ("bad_recipient", True)
        assert hidden not in str(caught.value)


@pytest.mark.parametrize("to_id", ["１００８６", "10086/", "1\n2"])
def test_a_recipient_that_only_looks_like_an_id_is_refused(to_id: str):
    with pytest.raises(OrderError, match="to_id"):
        read({"to_id": to_id, "app": "higo", "message": "hello"}, source="test", identity="1")


def test_white_space_around_a_recipient_is_taken_off():
    fields = {"to_id": "\u00a010086\r\n", "app": "higo", "message": "hello"}
    assert read(fields, source="test", identity="1").audience.accounts == ("10086",)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 999},
        {"app": "x"},
        {"via": "fax"},
        {"to_id": None},
        *({"to_id": to} for to in ("x" * 99, "1\u200b0", "\uff11", "/a")),
        {"message": ""},
        {"data": "x"},
        {"title": "x" * 999},
        {"msg_id": "x" * 999},
        {"ttl": "soon"},
        {"expires_at": "soon"},
    ],
)
def test_whatever_is_wrong_with_a_field_is_told_in_the_readers_language(changes: dict[str, Any]):
    with pytest.raises(OrderError) as caught:
        message_of(**changes)
    column = notes.stored(caught.value.detail, most=300)
    assert notes.english(column) == caught.value.detail
    with translation.override("zh-hans"):
        told = notes.words(column)
    assert re.search("[\u4e00-\u9fff]", told)
    assert not re.search("valid|accepted|character|required|array|write", told)
