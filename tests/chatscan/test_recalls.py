"""A chat message that is taken back while its push waits is not pushed, and leaves its burst."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import Int64, ObjectId
from django.utils import timezone
from pytest_django import Settings

from chatscan import recalls
from chatscan.scanning.scanner import Scanner
from higo_push.running import processes
from pushes.distribution import distribute, message_sources
from pushes.history import resend
from pushes.models import DeliveryResult, MinuteCount, PushRecord, PushTypePolicy
from pushes.people.directory import presence_key
from pushes.sending.job import deliver
from pushes.upkeep.sweep import sweep
from pushes.values import SourceMessage, dedupe_key
from tests.chatscan.conftest import Chats, read_all
from tests.chatscan.making import group_document, private_document
from tests.environment import PROJECT
from tests.make import make_account, make_app_key, make_device
from tests.redis_database import empty
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[..., Scanner]


@pytest.fixture
def scanner(chats: Chats, redis_client: Any, sandbox: Sandbox, settings: Settings, start: Start) -> Scanner:
    """Of the group chat; its user 2 has a phone, and the sandbox is the provider."""
    make_account("1")
    chats.database.groups.update_one({"group_id": 7}, {"$set": {"members": [1, 2]}})
    settings.SANDBOX_URL = sandbox.url
    settings.COALESCE_SECONDS = 10
    key = make_app_key(secret="a" * 32, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), "a" * 32)
    make_device(make_account("2"))
    return start("group")


def say(scanner: Scanner, chats: Chats, *texts: str, **fields: Any) -> list[Any]:
    """Messages in the room, scanned and distributed; their `_id`s."""
    ids = []
    for text in texts:
        ids.append(chats.insert_one(group_document(text, **fields)).inserted_id)
        read_all(scanner)
        pending = PushRecord.objects.filter(status="pending").order_by("id")
        distribute.distribute(list(pending.values_list("id", flat=True)))
    return ids


def send_what_waits() -> None:
    """What is held is due, and all is sent, as often as one makes way for another."""
    for _ in range(4):
        waiting = DeliveryResult.objects.filter(status__in=("pending", "held", "retrying"))
        if not waiting.exists():
            return
        waiting.update(due_at=timezone.now() - timedelta(milliseconds=1))
        deliver(list(waiting.values_list("id", flat=True)))


def states() -> list[tuple[str, str, int]]:
    return list(DeliveryResult.objects.order_by("record_id").values_list("status", "reason", "stands_for"))


def shown(sandbox: Sandbox) -> list[str]:
    return [entry["content"] for entry in sandbox.received()]


def recall(chats: Chats, key: Any) -> None:
    chats.update_one({"_id": key}, {"$set": {"type": "recall"}})


def delete(chats: Chats, key: Any) -> None:
    chats.delete_one({"_id": key})


def empty_text(chats: Chats, key: Any) -> None:
    chats.update_one({"_id": key}, {"$set": {"data": {"text": "\u200b"}}})


WAYS = pytest.mark.parametrize("take_back", [recall, delete, empty_text])


@WAYS
def test_a_bursts_second_message_is_not_pushed(scanner: Scanner, chats: Chats, sandbox: Sandbox, take_back: Any):
    _, second = say(scanner, chats, "first", "second")
    take_back(chats, second)
    send_what_waits()
    assert shown(sandbox) == ["小王: first"]
    assert states() == [("accepted", "", 1), ("cancelled", "recalled", 1)]
    assert MinuteCount.objects.get(event="cancelled").reason == "recalled"


@WAYS
def test_a_message_within_a_burst_is_not_counted(scanner: Scanner, chats: Chats, sandbox: Sandbox, take_back: Any):
    ids = say(scanner, chats, "first", "second", "third", "fourth")
    take_back(chats, ids[1])
    send_what_waits()
    assert shown(sandbox)[-1] == "小王等 2 条新消息：fourth"
    assert states()[1:] == [("cancelled", "recalled", 1), ("skipped", "coalesced", 2), ("accepted", "", 2)]


@WAYS
def test_the_last_of_a_burst_gives_way_to_the_one_before(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, take_back: Any
):
    ids = say(scanner, chats, "first", "second", "third", "secret")
    take_back(chats, ids[3])
    send_what_waits()
    assert shown(sandbox)[-1] == "小王等 2 条新消息：third"
    assert "secret" not in str(sandbox.received())
    assert states()[1:] == [("skipped", "coalesced", 1), ("accepted", "", 2), ("cancelled", "recalled", 3)]


def test_two_of_three_are_gone(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    ids = say(scanner, chats, "first", "second", "third", "fourth")
    recall(chats, ids[2])
    delete(chats, ids[3])
    send_what_waits()
    assert shown(sandbox) == ["小王: first", "小王: second"]


def test_all_of_a_burst_is_gone(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    ids = say(scanner, chats, "first", "second", "third", "fourth")
    for key in ids[1:]:
        recall(chats, key)
    send_what_waits()
    assert shown(sandbox) == ["小王: first"]
    assert [state[:2] for state in states()[1:]] == [("cancelled", "recalled")] * 3


def test_one_more_is_taken_back_after_its_heir_took_over(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    ids = say(scanner, chats, "first", "second", "third", "fourth")
    recall(chats, ids[3])
    held = DeliveryResult.objects.get(status="held")
    DeliveryResult.objects.filter(pk=held.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    deliver([held.pk])
    recall(chats, ids[2])
    send_what_waits()
    assert shown(sandbox)[-1] == "小王: second"


def test_the_heir_is_sent_by_a_job_of_its_own(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, run_jobs: Callable[..., int], redis_client: Any
):
    ids = say(scanner, chats, "first", "second", "third")
    run_jobs()
    recall(chats, ids[2])
    DeliveryResult.objects.filter(status="held").update(due_at=timezone.now() - timedelta(seconds=1))
    empty(redis_client)
    sweep()
    run_jobs()
    assert shown(sandbox) == ["小王: first", "小王: second"]


def test_an_earlier_burst_is_not_counted_again(scanner: Scanner, chats: Chats, sandbox: Sandbox, redis_client: Any):
    first = say(scanner, chats, "a1", "a2", "a3")
    send_what_waits()
    empty(redis_client)
    say(scanner, chats, "b1", "b2", "b3")
    recall(chats, first[1])
    send_what_waits()
    assert shown(sandbox) == ["小王: a1", "小王等 2 条新消息：a3", "小王: b1", "小王等 2 条新消息：b3"]
    assert states()[1] == ("skipped", "coalesced", 1)


def test_each_of_many_devices_loses_it(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    chats.database.groups.update_one({"group_id": 7}, {"$set": {"members": [1, 2, 3]}})
    make_device(make_account("3"))
    ids = say(scanner, chats, "first", "second", "third")
    recall(chats, ids[2])
    send_what_waits()
    assert sorted(shown(sandbox)) == ["小王: first"] * 2 + ["小王: second"] * 2


def test_what_waits_for_the_morning_is_asked_for(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    hour = timezone.localtime().hour
    PushTypePolicy.objects.filter(push_type=1).update(window=f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00")
    ids = say(scanner, chats, "first", "second")
    delete(chats, ids[1])
    PushTypePolicy.objects.filter(push_type=1).update(window="off")
    send_what_waits()
    assert shown(sandbox) == ["小王: first"]


def test_what_waits_for_a_reader_is_asked_for(
    chats: Chats,
    private_chats: Chats,
    scanner: Scanner,
    settings: Settings,
    sandbox: Sandbox,
    redis_client: Any,
    start: Start,
):
    settings.GRACE_SECONDS = {"private": 60.0}
    redis_client.set(presence_key("2"), 1)
    private = start("private")
    key = private_chats.insert_one(private_document("oops")).inserted_id
    read_all(private)
    distribute.distribute(list(PushRecord.objects.values_list("id", flat=True)))
    assert states() == [("held", "online", 1)]
    recall(private_chats, key)
    redis_client.delete(presence_key("2"))
    send_what_waits()
    assert states() == [("cancelled", "recalled", 1)]
    assert shown(sandbox) == []


def test_what_waits_for_a_retry_is_asked_for(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    sandbox.set_profile("busy503")
    (key,) = say(scanner, chats, "first")
    deliver(list(DeliveryResult.objects.values_list("id", flat=True)))
    assert states()[0][0] == "retrying"
    sandbox.set_profile("ok")
    delete(chats, key)
    send_what_waits()
    assert states() == [("cancelled", "recalled", 1)]


def test_what_stood_behind_a_backlog_is_asked_for(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    (key,) = say(scanner, chats, "first")
    long_ago = timezone.now() - timedelta(seconds=20)
    PushRecord.objects.update(created_at=long_ago)
    DeliveryResult.objects.update(created_at=long_ago, due_at=long_ago, expires_at=long_ago + timedelta(days=1))
    delete(chats, key)
    deliver(list(DeliveryResult.objects.values_list("id", flat=True)))
    assert states() == [("cancelled", "recalled", 1)]


def test_what_goes_out_at_once_is_not_asked_for(scanner: Scanner, chats: Chats, sandbox: Sandbox, settings: Settings):
    asked: list[Any] = []
    settings.MESSAGE_SOURCES = {"group": f"{__name__}.remember"}
    remember.asked = asked
    say(scanner, chats, "first")
    deliver(list(DeliveryResult.objects.values_list("id", flat=True)))
    assert (states(), asked) == ([("accepted", "", 1)], [])
    say(scanner, chats, "second", "third")
    send_what_waits()
    assert len(asked) == 1
    assert {message.source for message in asked[0]} == {"group"}


class Remember:
    asked: list[Any]

    def __call__(self, _source: str, messages: Any) -> set[int]:
        self.asked.append(messages)
        return set()


remember = Remember()


def test_what_was_edited_is_pushed_as_it_was_read(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    ids = say(scanner, chats, "first", "second")
    chats.update_one({"_id": ids[1]}, {"$set": {"data": "other"}})
    send_what_waits()
    assert shown(sandbox)[-1] == "小王: second"


@pytest.mark.parametrize("key", ["m-7", 7, Int64(2**40), 7.5, "7", str(ObjectId()), ObjectId()])
def test_ids_of_the_usual_types_are_asked_for(scanner: Scanner, chats: Chats, sandbox: Sandbox, key: Any):
    say(scanner, chats, "first")
    say(scanner, chats, "second", _id=key)
    delete(chats, key)
    send_what_waits()
    assert states()[1][:2] == ("cancelled", "recalled")


@pytest.mark.parametrize("key", ["m" * 200, {"a": 1}, b"bytes", True])
def test_a_message_whose_id_cannot_be_had_back_stands(scanner: Scanner, chats: Chats, sandbox: Sandbox, key: Any):
    say(scanner, chats, "first")
    say(scanner, chats, "second", _id=key)
    send_what_waits()
    assert states()[1][:2] == ("accepted", "")


def test_ids_that_look_alike_are_not_confused(chats: Chats, settings: Settings):
    chats.insert_many([group_document(_id="7"), group_document(_id=8)])
    messages = [
        SourceMessage(1, "group", "7", dedupe_key("group", "7")),
        SourceMessage(2, "group", "7", dedupe_key("group", "int:7")),
        SourceMessage(3, "group", "8", dedupe_key("group", "8")),
        SourceMessage(4, "group", "8", dedupe_key("group", "int:8")),
    ]
    assert recalls.taken_back("group", messages) == {2, 3}


def test_without_mongodb_it_is_sent_and_not_waited_for_again(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, settings: Settings
):
    say(scanner, chats, "first", "second")
    settings.MONGO_URL = f"mongodb://127.0.0.1:{processes.free_port()}/nowhere"
    began = time.monotonic()
    send_what_waits()
    assert time.monotonic() - began < recalls.ASK_SECONDS + 2
    assert shown(sandbox)[-1] == "小王: second"
    began = time.monotonic()
    message = SourceMessage(1, "group", "m", dedupe_key("group", "m"))
    assert message_sources.taken_back([message]) == set()
    assert time.monotonic() - began < 0.2


def test_a_missing_collection_takes_nothing_back(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
):
    say(scanner, chats, "first", "second", "third")
    chats.drop()
    send_what_waits()
    assert shown(sandbox)[-1] == "小王等 2 条新消息：third"
    assert caplog.text.count("does not exist") == 1
    another = SourceMessage(1, "group", "m", dedupe_key("group", "m"))
    assert message_sources.taken_back([another]) == set()
    assert caplog.text.count("does not exist") == 1


def test_an_emptied_collection_is_believed(scanner: Scanner, chats: Chats, sandbox: Sandbox):
    say(scanner, chats, "first", "second", "third")
    chats.delete_many({})
    send_what_waits()
    assert "third" not in str(shown(sandbox))
    assert [state[:2] for state in states()[1:]] == [("cancelled", "recalled")] * 2


def test_another_database_takes_nothing_back(scanner: Scanner, chats: Chats, sandbox: Sandbox, settings: Settings):
    say(scanner, chats, "first", "second")
    settings.CHAT_DATABASE = f"{chats.database.name}_elsewhere"
    send_what_waits()
    assert shown(sandbox)[-1] == "小王: second"


def test_whatever_goes_wrong_while_asking_costs_no_push(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, settings: Settings, caplog: pytest.LogCaptureFixture
):
    settings.MESSAGE_SOURCES = {"group": "no.such.module"}
    say(scanner, chats, "first", "second")
    send_what_waits()
    assert shown(sandbox)[-1] == "小王: second"
    assert "sent unchecked" in caplog.text


def test_what_has_failed_is_not_sent_again_once_it_is_recalled(scanner: Scanner, chats: Chats):
    (key,) = say(scanner, chats, "first")
    DeliveryResult.objects.update(status="failed")
    assert len(resend.plan(DeliveryResult.objects.all()).sendable) == 1
    recall(chats, key)
    assert [one.obstacle for one in resend.plan(DeliveryResult.objects.all()).refused] == [resend.Obstacle.CANCELLED]


def test_the_platforms_own_processes_ask(
    scanner: Scanner, chats: Chats, sandbox: Sandbox, process_environment: dict[str, str], redis_client: Any
):
    def manage(*words: str) -> None:
        environment = process_environment | {"COALESCE_SECONDS": "2", "SANDBOX_URL": sandbox.url}
        command = [sys.executable, str(PROJECT / "manage.py"), *words]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)

    for text in ("first", "second", "third"):
        key = chats.insert_one(group_document(text)).inserted_id
    manage("runscanner", "group", "--once")
    manage("runworkers", "group", "--burst")
    assert shown(sandbox) == ["小王: first"]
    recall(chats, key)
    time.sleep(2)
    manage("runsweeper", "--once")
    for _ in range(2):  # the second is sent by a job that the third's makes
        manage("runworkers", "group", "--burst")
    assert shown(sandbox) == ["小王: first", "小王: second"]
    assert states()[-1][:2] == ("cancelled", "recalled")
