"""The loop: rings, polling, waiting, outages. The scanner runs in a thread over real servers."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from pymongo import MongoClient
from redis import RedisError

from chatscan.models import ScannerPosition
from chatscan.mongo.chats import ChatStore
from chatscan.mongo.connection import ChatStoreError, connect, database_of
from chatscan.positions import open_scanner
from chatscan.scanning.runner import Ears, Runner
from higo_push.running import embedded
from pushes.models import PushRecord
from pushes.text import notes
from pushes.text.sentences import Sentence
from tests.chatscan.making import group, group_document
from tests.chatscan.processes import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def row() -> ScannerPosition:
    return ScannerPosition.objects.get(pk="group")


def pushed() -> int:
    return PushRecord.objects.count()


@contextlib.contextmanager
def looping(
    *,
    interval: float = 30.0,
    has_doorbell: bool = True,
    listens_to: str = "",
    fails_with: type[Exception] | None = None,
) -> Iterator[threading.Event]:
    """A group scanner that runs until the block ends. `listens_to` is another collection, whose change stream it has in
    place of its own; `fails_with` is what it is expected to die of."""
    stop, problems = threading.Event(), []

    def run() -> None:
        try:
            with open_scanner("group") as (scanner, chats), connect(django_settings.MONGO_URL, 10) as client:
                if listens_to:
                    database = database_of(django_settings.MONGO_URL, "")
                    chats = ChatStore(client, database, listens_to, "createAt")
                Runner(scanner, chats, stop, interval=interval, has_doorbell=has_doorbell).run()
        except BaseException as error:
            problems.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert [type(problem) for problem in problems] == ([fails_with] if fails_with else [])


def mode_is(*modes: str) -> Callable[[], bool]:
    return lambda: ScannerPosition.objects.filter(pk="group", mode__in=modes).exists()


def test_the_doorbell_has_a_message_read_at_once(chats, redis_client):
    with looping(interval=60):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document())
        wait_for(lambda: pushed() == 1, "the push", 5)


def test_the_doorbell_also_brings_late_messages_at_once(chats, redis_client):
    with looping(interval=60):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document("on time"))
        wait_for(lambda: pushed() == 1, "the first push", 5)
        chats.insert_one(group_document("late", at=time.time() - 20))
        wait_for(lambda: pushed() == 2, "the late push", 5)


def test_what_came_late_while_it_was_away_is_read_before_the_position_moves_on(chats, redis_client, settings):
    """Afterwards it would lie further back than the scanner looks."""
    settings.CHAT_OVERLAP_SECONDS = 5
    now = time.time()
    with looping(has_doorbell=False, interval=0.2):
        wait_for(mode_is("polling"), "polling")
        chats.insert_one(group_document("read", at=now - 40))
        wait_for(lambda: pushed() == 1, "the push")
    chats.insert_many([group_document("late", at=now - 42), group_document("new", at=now - 1)])
    with looping(has_doorbell=False, interval=0.2):
        wait_for(lambda: pushed() == 3, "the late push", 10)


def test_without_doorbell_it_polls(chats, redis_client):
    with looping(interval=0.1, has_doorbell=False):
        wait_for(mode_is("polling"), "polling")
        chats.insert_one(group_document())
        wait_for(lambda: pushed() == 1, "the push", 5)
        assert row().mode_detail == ""


def test_on_a_standalone_server_it_polls_and_says_why(standalone_mongo, settings, redis_client, caplog):
    settings.MONGO_URL = standalone_mongo
    settings.CHAT_DATABASE = f"polling_{time.time_ns()}"
    client: MongoClient[dict[str, Any]] = MongoClient(standalone_mongo)
    with client:
        database = client[settings.CHAT_DATABASE]
        database.groups.insert_one(group())
        database.chats.create_index([("createAt", 1), ("_id", 1)])
        with looping(interval=0.1):
            wait_for(mode_is("polling"), "polling")
            database.chats.insert_one(group_document())
            wait_for(lambda: pushed() == 1, "the push", 5)
            assert "replica sets" in row().mode_detail
        client.drop_database(settings.CHAT_DATABASE)
    assert sum("no change stream" in record.message for record in caplog.records) == 1


def test_it_comes_back_to_the_doorbell(chats, mongo_db, settings, redis_client):
    settings.CHAT_DOORBELL_RETRY_SECONDS = 0.2
    with looping(interval=0.2):
        wait_for(mode_is("doorbell"), "doorbell")
        _end_streams(mongo_db)
        wait_for(lambda: row().mode == "doorbell" and not row().mode_detail, "the doorbell again")
        chats.insert_one(group_document())
        wait_for(lambda: pushed() == 1, "the push", 5)


def _end_streams(mongo_db) -> None:
    """Drop and make the collection again: its change stream ends."""
    mongo_db.chats.drop()
    mongo_db.chats.create_index([("createAt", 1), ("_id", 1)])


def test_a_stream_that_is_silent_about_new_messages_is_found_out_and_trusted_again_when_heard(
    chats, mongo_db, settings, redis_client, caplog
):
    settings.CHAT_DOORBELL_RETRY_SECONDS = 0.2
    with looping(interval=0.3, listens_to="elsewhere"):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document("unannounced"))
        wait_for(mode_is("deaf"), "deaf")
        assert pushed() == 1
        assert "missed 1 new message" in notes.english(row().mode_detail)
        assert notes.code(row().last_error) is Sentence.STREAM_MISSED
        time.sleep(1.5)
        assert row().mode == "deaf"  # another stream is open by now, but has said nothing yet
        mongo_db.elsewhere.insert_one(group_document())
        wait_for(mode_is("doorbell"), "the doorbell again")
        wait_for(lambda: row().mode_detail == "", "no complaint")
    assert sum("the change stream missed" in record.message for record in caplog.records) == 1


def test_a_stream_that_rings_is_never_taken_for_deaf(chats, redis_client):
    with looping(interval=0.1):
        wait_for(mode_is("doorbell"), "doorbell")
        for n in range(30):
            chats.insert_one(group_document(str(n)))
            time.sleep(0.07)
        wait_for(lambda: pushed() == 30, "every push")
        assert row().mode == "doorbell"
    assert row().last_error == ""


def test_old_and_future_messages_accuse_no_stream():
    ears = Ears()
    assert ears.waited(0, 0, now=0) == 0
    ears.read([3_600, -60], interval=10, now=0)  # a rewind's, and one whose time has come
    assert ears.waited(0, 0, now=10) == 0
    ears.read([1], interval=10, now=10)
    assert ears.waited(0, 0, now=12.9) == 0  # it may be slow
    assert (ears.waited(0, 0, now=13), ears.is_deaf) == (1, True)
    ears.reset()
    ears.read([1], interval=10, now=20)  # made before the new stream was opened
    assert ears.waited(0, 0, now=30) == 0
    assert (ears.waited(1, 0, now=31), ears.is_deaf) == (0, False)


@pytest.mark.parametrize("has_doorbell", [True, False])
def test_it_gives_signs_of_life_during_a_long_wait(chats, redis_client, monkeypatch, has_doorbell):
    monkeypatch.setattr("chatscan.scanning.runner.HEARTBEAT_SECONDS", 0.2)
    with looping(interval=300, has_doorbell=has_doorbell):
        wait_for(mode_is("doorbell", "polling"), "its mode")
        before = row()
        later = ScannerPosition.objects.filter(heartbeat_at__gt=before.heartbeat_at)
        wait_for(later.exists, "a sign of life", 5)
        assert row().scanned_at == before.scanned_at


def test_a_defect_that_ends_it_is_kept_and_does_not_look_like_a_stop(chats, settings, redis_client):
    settings.CHAT_GROUP_DIRECTORY = "tests.chatscan.scanning.test_scanner.BrokenGroups"
    with looping(interval=0.1, fails_with=ConnectionError):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document())
        wait_for(mode_is("failing"), "failing")
    assert row().mode == "failing"
    assert "no directory today" in row().last_error


def test_a_missing_index_on_the_groups_is_shown_with_its_command(chats, mongo_db, redis_client):
    mongo_db.groups.drop_index("group_id_1")
    with looping(interval=0.1):
        wait_for(ScannerPosition.objects.filter(advice__contains="createIndex").exists, "the advice")
    mongo_db.groups.create_index("group_id")
    with looping(interval=0.1):
        wait_for(ScannerPosition.objects.filter(advice="").exists, "no advice")


def test_a_group_in_which_nobody_is_found_is_shown(chats, mongo_db, redis_client):
    mongo_db.groups.update_one({"group_id": 7}, {"$set": {"members": []}})
    with looping(interval=0.1):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document())
        wait_for(ScannerPosition.objects.filter(advice__contains=Sentence.DESERTED.value).exists, "the advice", 12)


def test_a_deep_lane_is_waited_for(chats, redis_client, settings):
    settings.BACKLOG_JOBS = 1
    redis_client.rpush("rq:queue:higo_group_chat_message1", "job")
    with looping(interval=0.1):
        wait_for(mode_is("backlogged"), "backlogged")
        chats.insert_one(group_document())
        time.sleep(0.5)
        assert pushed() == 0
        redis_client.delete("rq:queue:higo_group_chat_message1")
        wait_for(lambda: pushed() == 1, "the push", 10)


def test_a_missing_index_is_waited_for_and_said_once(mongo_db, redis_client, caplog):
    mongo_db.groups.insert_one(group())
    with looping(interval=0.1):
        wait_for(mode_is("failing"), "failing")
        mongo_db.chats.insert_one(group_document())
        time.sleep(1.2)
        mongo_db.chats.create_index([("createAt", 1), ("_id", 1)])
        wait_for(lambda: pushed() == 1, "the push", 15)
    assert "createIndex" in row().last_error
    assert row().last_error_at is not None
    assert sum("trying again" in record.message for record in caplog.records) == 1
    assert sum("working again" in record.message for record in caplog.records) == 1


def test_mongodb_may_go_away_and_come_back(settings, redis_client, tmp_path):
    settings.MONGO_TIMEOUT_SECONDS = 1.0
    server = embedded.Mongod(tmp_path / "mongod", is_replica_set=False)
    client: MongoClient[dict[str, Any]]
    with embedded.running(server), (client := MongoClient(server.url)):
        settings.MONGO_URL = server.url
        chats = client[embedded.MONGO_DATABASE].chats
        chats.create_index([("createAt", 1), ("_id", 1)])
        client[embedded.MONGO_DATABASE].groups.insert_one(group())
        with looping(interval=0.2):
            wait_for(mode_is("polling"), "polling")
            server.stop()
            wait_for(mode_is("failing"), "failing")
            server.start()
            chats.insert_one(group_document())
            wait_for(lambda: pushed() == 1, "the push", 40)
        assert str(server.port) in row().last_error


def test_redis_may_go_away_and_come_back(chats, settings, redis_client):
    here = django_settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with looping(interval=0.1):
        wait_for(lambda: mode_is("failing")() or _is_failing(), "failing")
        chats.insert_one(group_document())
        settings.REDIS_URL = here
        wait_for(lambda: pushed() == 1, "the push", 20)
    assert "ConnectionError" in row().last_error


def _is_failing() -> bool:
    return ScannerPosition.objects.filter(pk="group").exclude(last_error="").exists()


def test_it_shows_signs_of_life_and_says_that_it_stopped(chats, redis_client):
    with looping(interval=0.1):
        wait_for(mode_is("doorbell"), "doorbell")
        chats.insert_one(group_document())
        wait_for(lambda: pushed() == 1, "the push", 5)
    after = row()
    assert after.mode == "stopped"
    assert None not in (after.heartbeat_at, after.scanned_at, after.started_at)
    assert (after.interval_seconds, after.lag_seconds) == (0.1, 0)


def test_two_scanners_of_one_kind_double_nothing(chats, redis_client):
    with looping(interval=0.05), looping(interval=0.05, has_doorbell=False):
        wait_for(mode_is("doorbell", "polling"), "a start")
        for n in range(40):
            chats.insert_one(group_document(str(n)))
            time.sleep(0.01)
        wait_for(lambda: pushed() == 40, "every push")
        time.sleep(0.3)
    assert pushed() == 40
    assert row().accepted == 40


@pytest.mark.parametrize(
    ("error", "text"), [(ChatStoreError("a\n b"), "a b"), (RedisError("x"), "RedisError: x"), (OSError(), "OSError: ")]
)
def test_errors_are_said_in_one_line(error, text):
    assert notes.of_error(error) == text
