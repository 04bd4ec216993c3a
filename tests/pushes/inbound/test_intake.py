import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import phpserialize
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from redis import Redis

from higo_push.running import embedded
from pushes.inbound.intake import Counts, Intake, store
from pushes.inbound.raw_list import Batch, RawList
from pushes.lanes import RAW_LIST, distribute_queue
from pushes.ledger.dead_letter_store import MAX_RAW_BYTES
from pushes.models import DeadLetter, PushRecord
from pushes.text import notes
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.workers import queues


def raw(**fields: object) -> bytes:
    return bytes(phpserialize.dumps({"to_id": "7", "app": "higo", "message": "hello"} | fields))


def batch_of(*raws: bytes) -> Batch:
    return Batch("batch", list(raws))


def drain(client: Any, size: int = 100) -> Counts:
    return Intake(RawList(client), batch_size=size).drain()


@contextmanager
def running(intake: Intake) -> Iterator[threading.Thread]:
    def run() -> None:
        try:
            intake.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        intake.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()


def eventually(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.mark.django_db
class TestStore:
    def test_each_message_becomes_a_record(self, redis_client: Any):
        counts = store(batch_of(raw(type="5", to_id=[1, 2], title="T", data={"a": 1}, via="iphone", msg_id=9)))
        record = PushRecord.objects.get()
        assert (counts.received, counts.accepted, counts.refused.total()) == (1, 1, 0)
        assert (record.kind, record.push_type, record.app, record.platform) == ("system", 5, "higo", "ios")
        assert (record.accounts, record.title, record.text, record.data) == (["1", "2"], "T", "hello", {"a": 1})
        assert (record.source, record.message_id) == ("intake", "9")

    def test_json_is_taken_as_well(self, redis_client: Any):
        store(batch_of('{"to_id": 7, "app": "higirl", "message": "你好"}'.encode()))
        assert PushRecord.objects.get().text == "你好"

    def test_what_cannot_be_used_becomes_a_dead_letter_and_the_rest_goes_on(self, redis_client: Any):
        counts = store(batch_of(raw(), b"O:1:", raw(type=3), raw(app="x"), raw()))
        assert counts.accepted == 2
        assert counts.refused == {"object": 1, "unknown_type": 1, "unknown_app": 1}
        assert dict(DeadLetter.objects.values_list("position", "reason")) == {
            "batch:1": "object",
            "batch:2": "unknown_type",
            "batch:3": "unknown_app",
        }

    def test_a_dead_letter_keeps_the_bytes_and_the_detail(self, redis_client: Any):
        store(batch_of(b"\xff\x00 garbage"))
        letter = DeadLetter.objects.get()
        assert bytes(letter.raw) == b"\xff\x00 garbage"
        assert (letter.source, letter.status) == ("intake", "new")
        assert notes.read(letter.detail) == [Note(Sentence.NOT_PHP, at=0)]

    def test_of_an_enormous_message_only_the_beginning_is_kept(self, redis_client: Any):
        store(batch_of(b"x" * (MAX_RAW_BYTES + 1)))
        letter = DeadLetter.objects.get()
        assert (letter.reason, len(bytes(letter.raw))) == ("too_large", MAX_RAW_BYTES)
        assert "only the first 65536 bytes are kept" in notes.english(letter.detail)

    def test_what_submit_alone_refuses_becomes_a_dead_letter_too(self, redis_client: Any):
        # 12,000 control characters fit into 64 KiB of PHP, but not of JSON, which writes six bytes for each.
        counts = store(batch_of(raw(), raw(data={"x": "\x01" * 12_000}), raw(message="b")))
        assert (counts.accepted, counts.refused) == (2, {"invalid": 1})
        assert notes.english(DeadLetter.objects.get().detail).startswith("data: is longer than")

    def test_storing_a_batch_again_does_nothing(self, redis_client: Any):
        batch = batch_of(raw(), raw(msg_id="m"), b"bad")
        assert store(batch).accepted == 2
        assert (store(batch).accepted, store(batch).duplicates) == (0, 2)
        assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (2, 1)

    def test_equal_messages_without_a_msg_id_are_different_pushes(self, redis_client: Any):
        assert store(batch_of(raw(), raw())).accepted == 2

    def test_the_same_msg_id_is_one_push_within_a_batch_and_across_batches(self, redis_client: Any):
        first = store(batch_of(raw(msg_id="m"), raw(msg_id="m")))
        second = store(Batch("other", [raw(msg_id="m")]))
        assert (first.accepted, first.duplicates) == (1, 1)
        assert (second.accepted, second.duplicates) == (0, 1)

    def test_a_large_batch_takes_few_queries(self, redis_client: Any):
        with CaptureQueriesContext(
            connection,
        ) as few:
            store(Batch("few", [raw(), b"bad"]))
        with CaptureQueriesContext(connection) as many:
            store(Batch("many", [raw() for _ in range(300)] + [b"bad"] * 10))
        assert len(many) == len(few)


@pytest.mark.django_db
class TestDrain:
    def test_everything_is_stored_and_nothing_stays_in_redis(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, *(raw(message=f"m{n}") for n in range(25)), b"bad")
        counts = drain(redis_client, size=10)
        assert (counts.received, counts.accepted, counts.refused) == (26, 25, {"malformed": 1})
        assert redis_client.keys(f"{RAW_LIST}*") == []

    def test_records_keep_the_order_of_the_list(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, *(raw(message=f"m{n}") for n in range(25)))
        drain(redis_client, size=10)
        assert list(PushRecord.objects.order_by("id").values_list("text", flat=True)) == [f"m{n}" for n in range(25)]

    def test_a_crash_before_storing_loses_nothing(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, raw(), b"bad")
        dead = RawList(redis_client)
        dead.take(10)
        dead.retire()
        assert drain(redis_client).accepted == 1
        assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (1, 1)

    def test_a_crash_after_storing_doubles_nothing(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, raw(), b"bad")
        dead = RawList(redis_client)
        batch = dead.take(10)
        assert batch
        store(batch)
        dead.retire()
        assert drain(redis_client).duplicates == 1
        assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (1, 1)
        assert redis_client.keys(f"{RAW_LIST}*") == []

    def test_a_living_intakes_batch_is_left_alone(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, raw())
        RawList(redis_client).take(10)
        assert drain(redis_client).received == 0

    def test_counts_read_as_a_sentence(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, raw(msg_id=1), raw(msg_id=1), b"bad", b"worse")
        assert str(drain(redis_client)) == "4 received, 1 accepted, 1 duplicates, 2 dead letters (malformed 2)"


@pytest.mark.django_db(transaction=True)
class TestLoop:
    def test_a_message_is_picked_up_at_once(self, redis_client: Any):
        with running(Intake(RawList(redis_client), batch_size=100)):
            eventually(lambda: redis_client.info("clients")["blocked_clients"] > 0)
            delays = []
            for number in range(5):
                redis_client.rpush(RAW_LIST, raw(msg_id=f"quick-{number}"))
                started = time.monotonic()
                eventually(PushRecord.objects.filter(message_id=f"quick-{number}").exists)
                delays.append(time.monotonic() - started)
        assert sorted(delays)[2] < 0.25

    def test_stopping_finishes_the_batch(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, *(raw() for _ in range(500)))
        intake = Intake(RawList(redis_client), batch_size=100)
        with running(intake):
            eventually(lambda: intake.counts.accepted)
        assert PushRecord.objects.count() + redis_client.llen(RAW_LIST) == 500
        assert not redis_client.exists(f"{RAW_LIST}:taken")

    def test_it_waits_while_the_lane_is_full(
        self, redis_client: Any, settings: Settings, caplog: pytest.LogCaptureFixture
    ):
        settings.BACKLOG_JOBS = 3
        jobs_key = f"rq:queue:{distribute_queue('system')}"
        redis_client.rpush(jobs_key, "a", "b", "c")
        with running(Intake(RawList(redis_client), batch_size=100)):
            redis_client.rpush(RAW_LIST, raw())
            time.sleep(1)
            assert redis_client.llen(RAW_LIST) == 1
            redis_client.ltrim(jobs_key, 2, -1)
            eventually(lambda: PushRecord.objects.exists())
        assert [r.getMessage() for r in caplog.records if "the system lane" in r.getMessage()] == [
            "the system lane is full: the intake waits",
            "the system lane is free again",
        ]

    def test_a_broken_database_is_waited_for(self, redis_client: Any, caplog: pytest.LogCaptureFixture):
        table = connection.ops.quote_name(PushRecord._meta.db_table)
        with running(Intake(RawList(redis_client), batch_size=100)), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO pushes_away")
            try:
                redis_client.rpush(RAW_LIST, raw(), b"bad")
                time.sleep(1.5)
            finally:
                cursor.execute(f"ALTER TABLE pushes_away RENAME TO {table}")
            eventually(lambda: PushRecord.objects.exists())
        assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (1, 1)
        messages = [r.getMessage() for r in caplog.records if r.name == "pushes.inbound.intake"]
        assert len(messages) == 2, messages
        assert messages[0].startswith("the database cannot be used, trying again")
        assert messages[1] == "the database is back: the intake goes on"

    def test_a_redis_restart_is_waited_for(
        self, transactional_db: None, tmp_path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
    ):
        valkey = embedded.Valkey(tmp_path, is_durable=True)
        client: Any
        with embedded.running(valkey) as server, Redis.from_url(server.url) as client:
            settings.REDIS_URL = server.url
            with running(Intake(RawList(client), batch_size=100)):
                client.rpush(RAW_LIST, raw())
                eventually(lambda: PushRecord.objects.exists())
                server.kill()
                time.sleep(1)
                server.start()
                eventually(lambda: client.rpush(RAW_LIST, raw(message="after")))
                eventually(lambda: PushRecord.objects.filter(text="after").exists())
        messages = [r.getMessage() for r in caplog.records if r.name == "pushes.inbound.intake"]
        assert len(messages) == 2, messages
        assert messages[0].startswith("Redis cannot be used, trying again")
        assert messages[1] == "Redis is back: the intake goes on"

    def test_a_fault_of_ours_is_logged_with_its_place_and_waited_for(
        self, redis_client: Any, settings: Settings, caplog: pytest.LogCaptureFixture
    ):
        settings.BACKLOG_JOBS = None
        redis_client.rpush(RAW_LIST, raw())
        with running(Intake(RawList(redis_client), batch_size=100)):
            eventually(lambda: "the program cannot be used" in caplog.text)
            time.sleep(0.5)
            settings.BACKLOG_JOBS = 100
            eventually(lambda: PushRecord.objects.exists())
        assert "is_backlogged" in caplog.text
        assert len([r for r in caplog.records if r.name == "pushes.inbound.intake"]) == 2

    def test_a_summary_is_logged_without_any_text(self, redis_client: Any, caplog: pytest.LogCaptureFixture):
        caplog.set_level(logging.INFO, logger="pushes.inbound.intake")
        redis_client.rpush(RAW_LIST, *(raw(message="geheim") for _ in range(300)))
        intake = Intake(RawList(redis_client), batch_size=10)
        with running(intake):
            eventually(lambda: intake.counts.accepted == 300)
        messages = [r.getMessage() for r in caplog.records if r.name == "pushes.inbound.intake"]
        assert 1 <= len(messages) <= 10
        assert sum(int(message.split()[0]) for message in messages) == 300
        assert "geheim" not in caplog.text

    def test_accepted_messages_are_enqueued_for_distribution(self, redis_client: Any):
        redis_client.rpush(RAW_LIST, raw())
        drain(redis_client)
        assert queues.lane_depth("system") == 1
