"""The scanners' flight deck, on a real MongoDB."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatscan.models import Rewind, ScannerPosition
from chatscan.names import Mode
from pushes.console.operators import roles
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from tests.make import make_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def administrator() -> Client:
    client = Client()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    return client


def make_scanner(**fields: Any) -> ScannerPosition:
    now = timezone.now()
    fields = {"position_at": now, "heartbeat_at": now, "mode": Mode.DOORBELL, "interval_seconds": 10} | fields
    return ScannerPosition.objects.create(kind="group", **fields)


def page(client: Client, name: str, *args: str) -> str:
    return client.get(reverse(f"admin:chatscan_scannerposition_{name}", args=args)).content.decode()


def test_a_scanner_shows_how_it_is_doing(administrator: Client) -> None:
    make_scanner(lag_seconds=0.4, accepted=1234, last_error="no primary", refused={"silent_kind": 3})
    assert "change stream" in page(administrator, "changelist")
    assert "a message type that is never pushed" in page(administrator, "change", "group")
    assert "no primary" in page(administrator, "change", "group")


def test_a_scanner_without_a_sign_of_life_is_marked(administrator: Client) -> None:
    make_scanner(heartbeat_at=timezone.now() - timedelta(minutes=5))
    assert "no heartbeat" in page(administrator, "changelist")
    assert "no heartbeat" in administrator.get(reverse("admin:index")).content.decode()


def test_a_scanner_that_was_stopped_is_not_missed(administrator: Client) -> None:
    make_scanner(heartbeat_at=timezone.now() - timedelta(hours=5), mode=Mode.STOPPED)
    assert "no heartbeat" not in page(administrator, "changelist")


def test_without_scanners_the_page_says_how_to_start_one(administrator: Client) -> None:
    assert "runscanner group" in page(administrator, "changelist")


def test_reasons_and_advice_are_told_in_the_readers_language(administrator: Client) -> None:
    advice = [Note(Sentence.FASTER_INDEX, command="db.createIndex()"), Note(Sentence.DESERTED, groups="7")]
    make_scanner(
        mode=Mode.BACKLOGGED,
        mode_detail=notes.stored(Note(Sentence.BACKLOG), most=300),
        last_error=notes.stored(Note(Sentence.STREAM_MISSED, name="a.b", n=3), most=300),
        advice=notes.stored(*advice, "of your own directory", most=2_000),
    )
    english = page(administrator, "change", "group")
    address = reverse("admin:chatscan_scannerposition_change", args=["group"])
    chinese = administrator.get(address, headers={"Accept-Language": "zh-hans"}).content.decode()
    for told in ("the lane has more jobs than BACKLOG_JOBS", "missed 3 new messages", "would be faster with db.create"):
        assert told in english
    for told in (
        "通道中的任务数超过 BACKLOG_JOBS",
        "变更流漏掉了 3 条新消息",
        "建立此索引可加快追赶",
        "群 7 中没有找到任何成员",
    ):
        assert told in chinese
    assert "of your own directory" in chinese


def going_back(moment: Any, **more: str) -> dict[str, str]:
    local = timezone.localtime(moment)
    return {"to_time_0": f"{local:%Y-%m-%d}", "to_time_1": f"{local:%H:%M:%S}", **more}


def chats_with_one_message(mongo_db: Any, made_at: Any) -> None:
    mongo_db["chats"].create_index("createAt")
    mongo_db["groups"].insert_one({"group_id": "g1", "owner_id": "1", "app": "higo", "members": ["1", "2"]})
    mongo_db["chats"].insert_one(
        {
            "seq": 1,
            "group_id": "g1",
            "createAt": str(int(made_at.timestamp())),
            "type": "text",
            "data": "hello there",
            "user": {"user_id": "1"},
        }
    )


def test_a_rehearsal_shows_what_would_be_pushed_and_moves_nothing(administrator: Client, mongo_db: Any) -> None:
    scanner, made_at = make_scanner(), timezone.now() - timedelta(minutes=10)
    chats_with_one_message(mongo_db, made_at)
    address = reverse("admin:chatscan_scannerposition_rewind_page", args=("group",))
    answer = administrator.post(address, going_back(made_at - timedelta(minutes=5)))
    assert "Preview of the rewind" in answer.content.decode()
    assert answer.context["preview"].documents == 1
    scanner.refresh_from_db()
    assert scanner.version == 0


def test_a_confirmed_rewind_moves_the_position_and_is_kept(administrator: Client, mongo_db: Any) -> None:
    scanner, back_to = make_scanner(), timezone.now() - timedelta(hours=1)
    address = reverse("admin:chatscan_scannerposition_rewind_page", args=("group",))
    administrator.post(address, going_back(back_to, confirm="1"))
    scanner.refresh_from_db()
    assert scanner.position_at is not None
    assert abs(scanner.position_at - back_to) < timedelta(seconds=1)
    assert Rewind.objects.get().by is not None


def test_going_forward_is_refused(administrator: Client, mongo_db: Any) -> None:
    make_scanner()
    address = reverse("admin:chatscan_scannerposition_rewind_page", args=("group",))
    answer = administrator.post(address, going_back(timezone.now() + timedelta(hours=1), confirm="1"))
    assert answer.status_code == 422
    assert not Rewind.objects.exists()


def test_looking_at_the_form_moves_nothing(administrator: Client) -> None:
    make_scanner()
    assert 'name="to_time_0"' in page(administrator, "rewind_page", "group")
    assert not Rewind.objects.exists()


def test_a_viewer_may_look_but_not_rewind() -> None:
    make_scanner()
    client = Client()
    client.force_login(make_operator(roles.VIEWER))
    assert client.get(reverse("admin:chatscan_scannerposition_change", args=("group",))).status_code == 200
    address = reverse("admin:chatscan_scannerposition_rewind_page", args=("group",))
    assert client.post(address, going_back(timezone.now(), confirm="1")).status_code == 403
