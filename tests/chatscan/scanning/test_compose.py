"""Who gets a chat message's push, and what it says."""

import dataclasses
from datetime import datetime, timedelta, timezone

import pytest

from chatscan.groups import Group
from chatscan.messages.config import ScanConfig, scan_config
from chatscan.messages.documents import ChatMessage, Refuse
from chatscan.names import Refusal
from chatscan.scanning.compose import group_push, private_push
from pushes.names import HIDDEN_TEXT, App, Kind
from pushes.submit import refusal
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import PushMessage

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
SENT = ChatMessage("id1", "id1", "text", "你好", "1", "小王", "7", "", None, 12, NOW)
WHISPER = dataclasses.replace(SENT, group_id="", to_id="2")
GROUP = Group("7", "团购群", "3", None, ("1", "2", "3"))
ROOM, PAIR = scan_config("group"), scan_config("private")


def to_room(message: ChatMessage = SENT, group: Group = GROUP, config: ScanConfig = ROOM) -> PushMessage:
    push = group_push(message, group, config, NOW)
    assert isinstance(push, PushMessage), push
    return push


def to_person(message: ChatMessage = WHISPER, config: ScanConfig = PAIR) -> PushMessage:
    push = private_push(message, config, NOW)
    assert isinstance(push, PushMessage), push
    return push


def test_a_group_message_goes_to_every_member_but_its_sender():
    push = to_room()
    assert push.audience.accounts == ("2", "3")
    assert (push.title, push.text, push.kind) == ("团购群", "小王: 你好", Kind.GROUP)
    assert push.data == {"type": 1, "group_id": "7", "seq": 12, "message_id": "id1"}
    assert (push.conversation, push.sender_id, push.occurred_at) == ("group:7", "1", NOW)
    assert refusal(push) is None


def test_a_preview_is_cut_between_characters():
    config = dataclasses.replace(ROOM, preview_chars=10)
    push = to_room(dataclasses.replace(SENT, text="12345" + "👨\u200d👩\u200d👧" + "678"), config=config)
    assert push.text == "小王: 12345…"


def test_a_group_message_goes_to_the_owner_alone_if_so_configured():
    push = to_room(config=dataclasses.replace(ROOM, audience="owner"))
    assert push.audience.accounts == ("3",)


@pytest.mark.parametrize("group", [Group("7", "", "1", None, ("1",)), Group("7", "", "", None, ())])
@pytest.mark.parametrize("audience", ["members", "owner"])
def test_nobody_is_told_of_his_own_message(group, audience):
    assert group_push(SENT, group, dataclasses.replace(ROOM, audience=audience), NOW) == Refuse(Refusal.NO_RECIPIENT)


def test_ten_thousand_members_are_one_push():
    group = dataclasses.replace(GROUP, members=tuple(map(str, range(10_000))))
    push = to_room(group=group)
    assert len(push.audience.accounts) == 9_999
    assert refusal(push) is None


def test_an_unknown_group_is_named():
    assert group_push(SENT, None, ROOM, NOW) == Refuse(
        Refusal.UNKNOWN_GROUP, Note(Sentence.FIELD_IS, field="group_id", value="'7'")
    )


def test_a_private_message_shows_its_sender():
    push = to_person()
    assert (push.audience.accounts, push.title, push.text) == (("2",), "小王", "你好")
    assert push.data == {"type": 1, "user_id": "1", "seq": 12, "message_id": "id1"}
    assert refusal(push) is None


def test_both_directions_are_one_conversation():
    back = dataclasses.replace(WHISPER, sender_id="2", to_id="1")
    assert to_person().conversation == to_person(back).conversation == "private:1:2"


def test_a_note_to_oneself_is_not_pushed():
    assert private_push(dataclasses.replace(WHISPER, to_id="1"), PAIR, NOW) == Refuse(Refusal.NO_RECIPIENT)


@pytest.mark.parametrize(
    ("group_app", "own_app", "used"),
    [
        (App.HIGIRL, None, App.HIGIRL),
        (None, App.HIGIRL, App.HIGIRL),
        (None, None, App.HIGO),
        (App.HIGO, App.HIGIRL, App.HIGO),
    ],
)
def test_the_app_is_the_groups_then_the_messages_then_the_setting(group_app, own_app, used):
    sent, group = dataclasses.replace(SENT, app=own_app), dataclasses.replace(GROUP, app=group_app)
    assert to_room(sent, group).app == used


@pytest.mark.parametrize(
    ("kind", "title", "text"),
    [("image", "", "[图片]"), ("voice", "", "[语音]"), ("video", "", "[视频]"), ("location", "", "[位置]"),
     ("file", "合同.pdf", "[文件] 合同.pdf"), ("sticker", "", "[表情]"), ("goods", "连衣裙", "[商品] 连衣裙")],
)  # fmt: skip
def test_other_kinds_have_a_preview(kind, title, text):
    assert to_person(dataclasses.replace(WHISPER, kind=kind, text=title)).text == text


def test_a_message_without_the_senders_name_shows_the_text_alone():
    assert to_room(dataclasses.replace(SENT, sender_name="")).text == "你好"


def test_privacy_full_keeps_the_text():
    long = dataclasses.replace(WHISPER, text="长" * 500)
    assert to_person(long, dataclasses.replace(PAIR, privacy="full")).text == "长" * 500


def test_privacy_preview_keeps_its_beginning():
    long = dataclasses.replace(WHISPER, text="长" * 500)
    push = to_person(long, dataclasses.replace(PAIR, privacy="preview", preview_chars=10))
    assert push.text == "长" * 9 + "…"


@pytest.mark.parametrize("kind", ["text", "goods"])
def test_privacy_hidden_keeps_neither_text_nor_names(kind):
    sent = dataclasses.replace(SENT, kind=kind, text="秘密", sender_name="小王")
    config = dataclasses.replace(ROOM, privacy="hidden")
    for push in (to_room(sent, config=config), to_person(config=config)):
        assert (push.title, push.text) == ("", HIDDEN_TEXT)
        assert "秘密" not in repr(push)
        assert "小王" not in repr(push)


@pytest.mark.parametrize(("age", "limit", "is_refused"), [(99, 100, False), (101, 100, True), (10**6, 0, False)])
def test_what_is_too_old_when_read_is_not_pushed(age, limit, is_refused):
    old = dataclasses.replace(WHISPER, sent_at=NOW - timedelta(seconds=age))
    result = private_push(old, dataclasses.replace(PAIR, max_age_seconds=limit), NOW)
    assert isinstance(result, Refuse) == is_refused
