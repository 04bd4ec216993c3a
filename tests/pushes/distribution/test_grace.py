"""A reader who is online: waited for, spared what was read, and reached at once when gone."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from pushes.distribution import grace
from pushes.distribution.distribute import distribute
from pushes.management.commands.runsweeper import run_until
from pushes.models import DeliveryResult
from pushes.names import App, Kind
from pushes.people.directory import presence_key, read_positions
from pushes.submit import submit
from pushes.upkeep.sweep import sweep
from pushes.values import Audience, PushMessage
from tests.make import make_account, make_app_key, make_device
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)
READ_KEY = "higo:read:{account_id}:{conversation}"
Run = Callable[..., int]


@pytest.fixture
def reader(redis_client: redis.Redis, sandbox: Sandbox, settings: Settings) -> redis.Redis:
    """One reader who is online, a grace of a minute for private chats, and the sandbox as provider."""
    settings.SANDBOX_URL = sandbox.url
    settings.GRACE_SECONDS = {"private": 60.0}
    settings.READ_POSITION_KEY = READ_KEY
    key = make_app_key(secret="a" * 32, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), "a" * 32)
    make_device(make_account("reader"))
    redis_client.set(presence_key("reader"), 1)
    return redis_client


def say(sequence: int, **data: Any) -> int:
    """A private message to the reader, distributed; its record's id."""
    message = PushMessage(
        kind=Kind.PRIVATE,
        app=App.HIGO,
        audience=Audience(("reader",)),
        text="在吗",
        source="private",
        identity=str(sequence),
        push_type=1,
        data={"seq": sequence, **data},
        conversation="private:reader:wang",
        sender_id="wang",
    )
    (record_id,) = submit([message]).record_ids
    distribute([record_id])
    return record_id


def state() -> tuple[str, str]:
    row = DeliveryResult.objects.order_by("-id").first()
    assert row is not None
    return row.status, row.reason


def end_the_grace() -> None:
    DeliveryResult.objects.filter(status="held").update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_reader_who_is_online_is_waited_for(reader: redis.Redis) -> None:
    say(1)
    assert state() == ("held", "online")


def test_without_a_grace_the_push_is_skipped_at_once(reader: redis.Redis, settings: Settings) -> None:
    settings.GRACE_SECONDS = {}
    say(1)
    assert state() == ("skipped", "online")


def test_who_stays_online_is_not_pushed_to(reader: redis.Redis, run_jobs: Run) -> None:
    say(1)
    end_the_grace()
    sweep()
    run_jobs()
    assert state() == ("skipped", "online")


def test_who_goes_offline_gets_it_at_once(reader: redis.Redis, run_jobs: Run) -> None:
    say(1)
    sweep()
    run_jobs()
    assert state() == ("held", "online")
    reader.delete(presence_key("reader"))
    sweep()
    run_jobs()
    assert state() == ("accepted", "")


def test_who_leaves_through_the_api_gets_it_without_any_sweeper(reader: redis.Redis, run_jobs: Run) -> None:
    say(1)
    reader.delete(presence_key("reader"))
    assert grace.left("reader") == 1
    run_jobs()
    assert state() == ("accepted", "")


def test_who_leaves_wakes_nobody_elses_pushes(reader: redis.Redis) -> None:
    say(1)
    assert grace.left("somebody") == 0
    assert state() == ("held", "online")


def test_without_a_grace_nobody_is_looked_for(
    reader: redis.Redis, settings: Settings, django_assert_num_queries: Any
) -> None:
    settings.GRACE_SECONDS = {"group": 0.0, "private": 0.0}
    with django_assert_num_queries(0):
        assert (grace.left("reader"), grace.wake_gone()) == (0, 0)


def test_what_waits_behind_in_the_conversation_leaves_too_and_in_order(
    reader: redis.Redis, settings: Settings, run_jobs: Run, sandbox: Sandbox
) -> None:
    settings.COALESCE_SECONDS = 0
    say(1)
    reader.delete(presence_key("reader"))
    say(2)
    run_jobs()
    assert list(DeliveryResult.objects.order_by("id").values_list("status", flat=True)) == ["held", "pending"]
    grace.wake_gone()
    run_jobs()
    assert [entry["custom"]["seq"] for entry in sandbox.received()] == ["1", "2"]


def test_the_running_sweeper_notices_long_before_its_next_round(reader: redis.Redis, settings: Settings) -> None:
    settings.SWEEP_INTERVAL = 60.0
    say(1)
    stop = threading.Event()
    threading.Timer(0.5, reader.delete, [presence_key("reader")]).start()
    threading.Timer(2.0, stop.set).start()
    run_until(stop)
    assert state() == ("pending", "")


@pytest.mark.parametrize(("position", "expected"), [(5, ("skipped", "read")), (4, ("accepted", ""))])
def test_what_was_read_meanwhile_is_dropped(
    reader: redis.Redis, run_jobs: Run, position: int, expected: tuple[str, str]
) -> None:
    say(5)
    reader.set(READ_KEY.format(account_id="reader", conversation="private:reader:wang"), position)
    reader.delete(presence_key("reader"))
    sweep()
    run_jobs()
    assert state() == expected


@pytest.mark.parametrize(
    ("sequence", "expected"), [("5", ("skipped", "read")), ("6", ("accepted", "")), ("5a", ("accepted", ""))]
)
def test_a_sequence_number_that_is_written_as_text_counts(
    reader: redis.Redis, run_jobs: Run, sequence: str, expected: tuple[str, str]
) -> None:
    say(5, seq=sequence)
    reader.set(READ_KEY.format(account_id="reader", conversation="private:reader:wang"), 5)
    reader.delete(presence_key("reader"))
    sweep()
    run_jobs()
    assert state() == expected


def test_a_position_that_is_no_number_is_no_position(reader: redis.Redis) -> None:
    reader.set(READ_KEY.format(account_id="reader", conversation="c"), "soon")
    assert read_positions([("reader", "c"), ("reader", "d")]) == {}


def test_read_positions_are_asked_only_when_the_setting_names_them(reader: redis.Redis, settings: Settings) -> None:
    settings.READ_POSITION_KEY = ""
    assert read_positions([("reader", "c")]) == {}
