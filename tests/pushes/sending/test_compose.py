from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushes.names import Kind, MessageClass
from pushes.sending.compose import compose
from pushes.values import Content, Policy

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
POLICY = Policy(5, "新订单", 86_400, True, False, False, True, "hold", "off", "resend")


def content(**changes) -> Content:
    return Content(7, 5, "标题", "正文", {"order": 9}, "", NOW, NOW + timedelta(hours=1))._replace(**changes)


def test_title_text_and_id_are_the_records_own():
    made = compose(content(), POLICY, NOW)
    assert (made.title, made.content, made.replace_id) == ("标题", "正文", 7)


def test_the_app_finds_the_push_type_beside_the_producers_data():
    assert compose(content(), POLICY, NOW).custom == {"order": 9, "type": 5}


@pytest.mark.parametrize(
    ("data", "custom"),
    [
        ({"type": 99}, {"type": 5, "custom_type": 99}),
        ({"type": "order"}, {"type": 5, "custom_type": "order"}),
        ({"type": None}, {"type": 5, "custom_type": None}),
        ({"type": 5}, {"type": 5}),
        ({"type": "5"}, {"type": 5}),
        ({"n_id": 3, "a": 1}, {"type": 5, "custom_n_id": 3, "a": 1}),
        ({"type": 9, "custom_type": 8}, {"type": 5, "custom_custom_type": 9, "custom_type": 8}),
        ({"custom_type": 8, "type": 9}, {"type": 5, "custom_custom_type": 9, "custom_type": 8}),
    ],
)
def test_what_the_producer_has_under_a_reserved_name_is_kept_beside_it(data: dict[str, Any], custom: dict[str, Any]):
    assert compose(content(data=data), POLICY, NOW).custom == custom


@pytest.mark.parametrize(("kind", "is_urgent"), [("system", True), ("group", True), ("broadcast", False)])
def test_the_phone_groups_by_conversation_and_sleeps_on_for_a_broadcast(kind: str, is_urgent: bool):
    made = compose(content(conversation="group:7", kind=kind), POLICY, NOW)
    assert (made.thread, made.is_urgent) == ("group:7", is_urgent)


@pytest.mark.parametrize(
    ("title", "text", "shown"),
    [("", "正文", ("新订单", "正文")), ("标题", "", ("标题", "标题")), ("", "", ("新订单", "新订单"))],
)
def test_what_is_missing_comes_from_the_push_type(title: str, text: str, shown: tuple[str, str]):
    made = compose(content(title=title, text=text), POLICY, NOW)
    assert (made.title, made.content) == shown


@pytest.mark.parametrize("nothing", ["\u200b", "\u3164\u115f", "\u00a0\u2800", "\u00ad\ufe0f", "\u202e", "\u0301"])
def test_what_shows_nothing_is_missing(nothing: str):
    made = compose(content(title=nothing, text=nothing), POLICY, NOW)
    assert (made.title, made.content) == ("新订单", "新订单")


def test_a_title_turns_nothing_and_a_text_closes_what_it_opens():
    made = compose(content(title="\u202e标题\u2067", text="正\u202e文\u2067"), POLICY, NOW)
    assert (made.title, made.content) == ("标题", "正\u202e文\u2067\u2069\u202c")


@pytest.mark.parametrize("sender", ["小\u202e王", "\u2067小王", "小王\u200f"])
def test_a_senders_name_turns_nothing_in_a_count(sender: str):
    made = compose(content(sender_name=sender, text="好"), POLICY, NOW, stands_for=3)
    assert made.content == "小王等 3 条新消息：好"


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        (timedelta(hours=1), 3600),
        (timedelta(seconds=5), 60),
        (timedelta(seconds=-5), 60),
        (timedelta(days=30), 2_592_000),
    ],
)
def test_it_is_to_be_kept_until_its_expiry_and_a_minute_at_least(left: timedelta, seconds: int):
    assert compose(content(expires_at=NOW + left), POLICY, NOW).expire_seconds == seconds


@given(st.integers(1, 2**63 - 1))
def test_the_replace_id_is_always_a_positive_31_bit_number(record_id: int):
    assert 0 < compose(content(id=record_id), POLICY, NOW).replace_id < 2**31


def test_a_second_delivery_has_the_same_replace_id():
    later = compose(content(), POLICY, NOW + timedelta(minutes=9))
    assert later.replace_id == compose(content(), POLICY, NOW).replace_id


@pytest.mark.parametrize(
    ("record_id", "replace_id"), [(2**31 - 2, 2**31 - 2), (2**31 - 1, 1), (2**31, 1), (2**31 + 1, 2)]
)
def test_ids_beyond_31_bits_begin_again_at_one(record_id: int, replace_id: int):
    assert compose(content(id=record_id), POLICY, NOW).replace_id == replace_id


def test_a_burst_without_a_text_of_its_own_counts_before_the_title():
    assert compose(content(text=""), POLICY, NOW, stands_for=2).content == "2 条新消息：标题"


LOOK = {"subtitle": "副", "link": "higo://1", "image": "https://i/1.png", "badge": 0, "category": "IM"}
TYPED = replace(POLICY, message_class="ORDER", android_channel="orders", sound="ding.caf")


def test_the_push_says_how_it_looks():
    made = compose(content(presentation=LOOK), POLICY, NOW)
    assert (made.subtitle, made.link, made.image, made.badge, made.category) == tuple(LOOK.values())


def test_an_old_record_says_nothing_of_it():
    made = compose(content(presentation=None), POLICY, NOW)
    assert (made.subtitle, made.link, made.image, made.badge, made.category) == ("", "", "", None, "")
    assert (made.sound, made.channel_id, made.message_class) == ("", "", MessageClass.MARKETING)


def test_its_type_says_the_rest():
    made = compose(content(), TYPED, NOW)
    assert (made.sound, made.channel_id, made.message_class) == ("ding.caf", "orders", MessageClass.ORDER)


def test_the_pushs_own_words_go_before_its_types():
    made = compose(content(presentation={"sound": "bell.caf", "android_channel": "sale"}), TYPED, NOW)
    assert (made.sound, made.channel_id) == ("bell.caf", "sale")


def test_a_broadcast_is_marketing_whatever_its_type():
    assert compose(content(kind=Kind.BROADCAST), TYPED, NOW).message_class is MessageClass.MARKETING


def test_a_subtitle_turns_nothing_that_stands_around_it():
    assert compose(content(presentation={"subtitle": "\u202eabc"}), POLICY, NOW).subtitle == "abc"
