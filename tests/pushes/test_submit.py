from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from django.db import DatabaseError, DataError, transaction
from django.utils import timezone as clock
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from redis import Redis, RedisError

from pushes import lanes
from pushes.models import DeadLetter, PushRecord, PushTypePolicy
from pushes.names import App, Kind, Platform, PushType, RecordStatus
from pushes.storage import bulk, shared_redis
from pushes.submit import InvalidMessageError, Refused, Stored, dead_letter, is_backlogged, refusal, submit, submit_all
from pushes.text.notes import Note, said
from pushes.text.sentences import Sentence
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
from tests.pushes.rows import leave_redis, make_message
from tests.together import together

pytestmark = pytest.mark.django_db
ON_COMMIT = DjangoCaptureOnCommitCallbacks


def waiting(lane: str = "system", shard: int = 0) -> list[list[int]]:
    """The record ids of each distribute job of a queue."""
    return [job.args[0] for job in queues.queue(lanes.distribute_queue(lane, shard)).get_jobs()]


# --- storing ----------------------------------------------------------------------------------


def test_a_message_is_stored_as_it_came():
    happened = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
    message = make_message(
        "u1",
        "u2",
        app=App.HIGIRL,
        platform=Platform.IOS,
        push_type=PushType.GOODS_SENT,
        title="标题 😀",
        text="正文",
        data={"order": 9, "列表": [1, None, "x"]},
        message_id="m-1",
        occurred_at=happened,
    )
    record = PushRecord.objects.get(pk=submit([message]).record_ids[0])
    assert (record.kind, record.app, record.platform, record.push_type) == ("system", "higirl", "ios", 7)
    assert (record.accounts, record.title, record.text) == (["u1", "u2"], "标题 😀", "正文")
    assert (record.data, record.message_id, record.source) == (message.data, "m-1", "test")
    assert (record.occurred_at, record.status, record.shard) == (happened, RecordStatus.PENDING, 0)


def test_without_an_instant_of_its_own_a_message_occurred_when_it_was_accepted():
    record = PushRecord.objects.get(pk=submit([make_message()]).record_ids[0])
    assert record.occurred_at == record.created_at
    assert clock.now() - record.created_at < timedelta(seconds=5)


def test_it_expires_by_the_time_to_live_of_its_type():
    PushTypePolicy.objects.filter(push_type=PushType.REPORTED).update(ttl_seconds=90)
    now = clock.now()
    submit([make_message(push_type=PushType.REPORTED)], now=now)
    assert PushRecord.objects.get().expires_at == now + timedelta(seconds=90)


def test_an_expiry_of_its_own_overrides_the_types():
    expires_at = clock.now() + timedelta(minutes=3)
    submit([make_message(expires_at=expires_at)])
    assert PushRecord.objects.get().expires_at == expires_at


@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.PRIVATE])
def test_a_conversation_always_goes_to_its_own_shard(kind: Kind, settings: Settings):
    settings.QUEUE_MAX = 16
    submit([make_message(kind=kind, conversation="group:7") for _ in range(3)])
    assert set(PushRecord.objects.values_list("shard", flat=True)) == {lanes.shard_of(kind, "group:7", 16)}


def test_no_message_is_nothing_to_do(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert submit([]).record_ids == []


def test_a_batch_costs_the_same_number_of_queries_whatever_its_size(django_assert_max_num_queries):
    for size in (1, 10, 500):
        with django_assert_max_num_queries(6):
            assert submit([make_message() for _ in range(size)]).accepted == size


# --- once -------------------------------------------------------------------------------------


def test_the_same_message_again_is_the_same_record():
    message = make_message()
    first, again = submit([message]), submit([message])
    assert (again.accepted, again.duplicates, again.record_ids) == (0, 1, first.record_ids)
    assert PushRecord.objects.count() == 1


def test_a_repeat_changes_nothing_of_the_record():
    message = make_message(text="first", identity="same")
    submit([message])
    submit([make_message(text="second", identity="same")])
    assert PushRecord.objects.get().text == "first"


def test_a_batch_may_repeat_itself():
    one, other = make_message(), make_message()
    result = submit([one, other, one, one])
    assert (result.accepted, result.duplicates) == (2, 2)
    assert result.record_ids == [result.record_ids[0], result.record_ids[1], *[result.record_ids[0]] * 2]


def test_of_a_batch_that_repeats_itself_the_first_is_stored():
    result = submit([make_message(text=text, identity="same") for text in ("first", "second", "third")])
    assert (result.accepted, result.duplicates) == (1, 2)
    assert PushRecord.objects.get().text == "first"


def test_old_and_new_in_one_batch_keep_their_places():
    old = make_message()
    [old_id] = submit([old]).record_ids
    result = submit([make_message(), old, make_message()])
    assert (result.accepted, result.duplicates, result.record_ids[1]) == (2, 1, old_id)
    assert len(set(result.record_ids)) == 3


def test_ids_rise_in_the_order_of_the_batch():
    ids = submit([make_message() for _ in range(300)]).record_ids
    assert ids == sorted(ids)


def test_the_same_identity_from_another_source_is_another_message():
    assert submit([make_message(identity="1", source=source) for source in ("intake", "api")]).accepted == 2


@pytest.mark.django_db(transaction=True)
def test_producers_that_submit_the_same_at_once_make_one_record_each(redis_client: Redis):
    messages = [make_message() for _ in range(50)]
    results = together([partial(submit, messages[::order]) for order in (1, -1, 1, -1)])
    assert sum(result.accepted for result in results) == PushRecord.objects.count() == 50


# --- what follows -----------------------------------------------------------------------------


def test_new_records_are_enqueued_after_commit(redis_client: Redis, django_capture_on_commit_callbacks: ON_COMMIT):
    with django_capture_on_commit_callbacks(execute=True):
        result = submit([make_message(), make_message()])
        assert waiting() == []
    assert waiting() == [result.record_ids]


def test_a_repeat_is_not_enqueued_again(redis_client: Redis, django_capture_on_commit_callbacks: ON_COMMIT):
    message = make_message()
    submit([message])
    with django_capture_on_commit_callbacks(execute=True):
        submit([message])
    assert waiting() == []


def test_every_shard_gets_its_own_job(
    redis_client: Redis, django_capture_on_commit_callbacks: ON_COMMIT, settings: Settings
):
    messages = [make_message(kind=Kind.GROUP, conversation=f"group:{n}") for n in range(40)]
    with django_capture_on_commit_callbacks(execute=True):
        result = submit(messages)
    by_shard = {shard: waiting("group", shard) for shard in range(1, settings.QUEUE_MAX + 1)}
    assert all(len(jobs) == 1 for jobs in by_shard.values())
    assert sorted(pk for [job] in by_shard.values() for pk in job) == result.record_ids


def test_no_job_is_larger_than_the_job_size(
    redis_client: Redis, django_capture_on_commit_callbacks: ON_COMMIT, settings: Settings
):
    settings.JOB_SIZE = 40
    with django_capture_on_commit_callbacks(execute=True):
        submit([make_message() for _ in range(100)])
    assert [len(ids) for ids in waiting()] == [40, 40, 20]


@pytest.mark.django_db(transaction=True)
def test_a_callers_transaction_that_rolls_back_leaves_nothing(redis_client: Redis):
    with transaction.atomic():
        assert submit([make_message()]).accepted == 1
        transaction.set_rollback(True)
    assert PushRecord.objects.count() == 0
    assert waiting() == []


@pytest.mark.django_db(transaction=True)
def test_inside_a_callers_transaction_nothing_is_enqueued_before_its_end(redis_client: Redis):
    with transaction.atomic():
        result = submit([make_message()])
        assert waiting() == []
    assert waiting() == [result.record_ids]


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_record_is_kept_and_the_sweeper_enqueues_it(redis_client: Redis, settings: Settings):
    came_back = settings.REDIS_URL
    leave_redis(settings)
    with pytest.raises(RedisError):
        shared_redis.connection().ping()
    result = submit([make_message()])
    settings.REDIS_URL = came_back
    assert result.accepted == 1
    assert waiting() == []
    swept = sweep(now=clock.now() + timedelta(seconds=settings.STUCK_SECONDS + 1))
    assert swept
    assert swept.records_enqueued == 1
    assert waiting() == [result.record_ids]


# --- refusals ---------------------------------------------------------------------------------

NAIVE = datetime(2026, 5, 1)  # noqa: DTZ001
DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"deeper": DEEP}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("kind", {"kind": "sms"}, "'sms'"),
    ("app", {"app": "higame"}, "'higame'"),
    ("push_type", {"push_type": 4}, "'4'"),
    ("identity", {"identity": ""}, "''"),
    ("title", {"title": "t" * 129}, "longer than 128 characters"),
    ("message_id", {"message_id": "m" * 129}, "longer than 128 characters"),
    ("conversation", {"conversation": "c" * 141}, "longer than 140 characters"),
    ("sender_id", {"sender_id": "s" * 65}, "longer than 64 characters"),
    ("source", {"source": "s" * 17}, "longer than 16 characters"),
    ("text", {"text": "文" * 22_000}, "longer than 65536 bytes"),
    ("text", {"text": "half \ud83d"}, "half \\ud83d"),
    ("title", {"title": "\udc00"}, "not valid Unicode"),
    ("identity", {"identity": "\udc00"}, "not valid Unicode"),
    ("data", {"data": {"x": "\udc00"}}, "cannot be written as JSON"),
    ("data", {"data": {"x": object()}}, "cannot be written as JSON"),
    ("data", {"data": {"x": 2**64}}, "cannot be written as JSON"),
    ("data", {"data": DEEP}, "cannot be written as JSON"),
    ("data", {"data": {"x": "y" * 65_536}}, "longer than 65536 bytes"),
    ("data", {"data": ["x"]}, "must be a dict"),
    ("data", {"data": MappingProxyType({"x": 1})}, "must be a dict"),
    ("expires_at", {"expires_at": NAIVE}, "no time zone"),
    ("occurred_at", {"occurred_at": NAIVE}, "no time zone"),
]


@pytest.mark.parametrize(("field", "fields", "said"), REFUSED)
def test_a_message_that_cannot_be_stored_is_refused_by_field_and_value(field: str, fields: Any, said: str):
    refused = refusal(make_message(**fields))
    assert refused
    assert (refused.field, refused.code) == (field, "invalid")
    assert str(refused.error()).startswith(f"{field}=")
    assert said in str(refused.error())


def test_what_is_refused_stops_no_other_message():
    done = submit([make_message(), make_message(title="t" * 129), make_message()])
    first, last = PushRecord.objects.order_by("id").values_list("id", flat=True)
    refused = Refused("title", "t" * 129, Note(Sentence.TOO_LONG, most=128))
    assert done.results == [Stored(first, True), refused, Stored(last, True)]
    assert (done.accepted, done.duplicates, done.record_ids) == (2, 0, [first, last])


def test_what_is_all_refused_asks_nothing_of_the_database(django_assert_num_queries: Any):
    with django_assert_num_queries(0):
        assert submit([make_message(title="t" * 129)]).accepted == 0


def test_a_refusal_as_text_does_not_repeat_the_value():
    refused = refusal(make_message(title="secret" * 99))
    assert refused
    assert refused.note == "title: is longer than 128 characters"


def test_all_or_none_of_the_messages_are_stored(redis_client: Redis, django_capture_on_commit_callbacks: ON_COMMIT):
    with django_capture_on_commit_callbacks() as enqueued, pytest.raises(InvalidMessageError, match="title="):
        submit_all([make_message(), make_message(title="t" * 129)])
    assert (PushRecord.objects.count(), enqueued) == (0, [])
    assert submit_all([make_message(), make_message()]).accepted == 2


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> DatabaseError:
    """The error with which the database refuses every row that has the word in it."""
    real: Callable[..., None] = bulk.insert_rows
    error = DataError(1366, "Incorrect string value")

    def insert(model: type, rows: Any, **how: Any) -> None:
        if any("poison" in str(row) for row in rows):
            raise error
        real(model, rows, **how)

    monkeypatch.setattr("pushes.storage.bulk.insert_rows", insert)
    return error


@pytest.mark.parametrize("places", [[0], [3], [6], [1, 5], list(range(7))])
def test_what_the_database_refuses_stops_no_other_message(places: list[int], poison: DatabaseError):
    done = submit([make_message(text="poison" if place in places else "fine") for place in range(7)])
    refused = [place for place, result in enumerate(done.results) if isinstance(result, Refused)]
    assert (refused, done.accepted, PushRecord.objects.count()) == (places, 7 - len(places), 7 - len(places))
    assert done.results[places[0]] == Refused("", "", Note(Sentence.DATABASE_REFUSES, error="DataError"), "unstorable")


def test_a_repetition_of_what_the_database_refuses_is_refused_as_well(poison: DatabaseError):
    message = make_message(text="poison")
    done = submit([message, message, make_message()], tells_conflicts=True)
    assert [type(result) for result in done.results] == [Refused, Refused, Stored]


def test_what_the_database_refuses_costs_few_statements(poison: DatabaseError, django_assert_max_num_queries: Any):
    messages = [make_message(text="poison" if number == 77 else "fine") for number in range(500)]
    with django_assert_max_num_queries(24):
        assert submit(messages).accepted == 499


@pytest.mark.parametrize(
    ("accounts", "said"),
    [(("u1", ""), "1 to 64"), (("u" * 65,), "'uuuu"), (("u1", "\ud800"), "not valid Unicode")],
)
def test_a_recipient_that_is_no_account_id_is_refused(accounts: tuple[str, ...], said: str):
    refused = refusal(make_message(*accounts))
    assert refused
    assert said in str(refused.error())


def test_a_message_for_nobody_is_refused():
    message = make_message()
    nobody = type(message.audience)(())
    refused = refusal(type(message)(Kind.SYSTEM, App.HIGO, nobody, "text", "test", "identity"))
    assert refused == Refused("accounts", "", Note(Sentence.NOBODY_NAMED))


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "题" * 128},
        {"text": "x" * 65_536},
        {"text": ""},
        {"conversation": "c" * 140, "sender_id": "s" * 64, "message_id": "m" * 128, "source": "s" * 16},
        {"identity": "i" * 10_000},
        {"data": {7: "number as a key", "nan": float("nan")}},
        {"text": "zero \0 byte"},
    ],
)
def test_what_just_fits_is_stored(fields: dict[str, Any]):
    assert submit([make_message("u" * 64, **fields)]).accepted == 1


def test_a_long_value_is_not_repeated_whole_in_the_error():
    refused = refusal(make_message(title="t" * 5_000))
    assert refused
    assert len(str(refused.error())) < 200


# --- dead letters and back-pressure -----------------------------------------------------------


def test_a_dead_letter_keeps_every_byte_and_the_reason():
    dead_letter("intake", "list:1", b"\x00\xff\xfe", "bad_utf8", said("d" * 400))
    stored = DeadLetter.objects.get()
    assert (bytes(stored.raw), stored.reason, len(stored.detail)) == (b"\x00\xff\xfe", "bad_utf8", 300)


def test_the_same_position_twice_is_one_dead_letter():
    for _ in range(2):
        dead_letter("intake", "list:1", b"x", "truncated", said(""))
    assert DeadLetter.objects.count() == 1


def test_a_lane_is_backlogged_by_the_jobs_of_all_its_queues(redis_client: Redis, settings: Settings):
    settings.BACKLOG_JOBS = 3
    redis_client.rpush("rq:queue:hg_message_queue", "a", "b")
    assert not is_backlogged("system")
    redis_client.rpush("rq:queue:hg_xinge_queue", "c")
    assert is_backlogged("system")
    assert not is_backlogged("group")


def test_without_redis_nobody_says_that_there_is_room(settings: Settings):
    leave_redis(settings)
    with pytest.raises(RedisError):
        is_backlogged("system")
