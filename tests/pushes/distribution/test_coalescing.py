"""Bursts: what goes at once, what waits, what is replaced."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis
from django.utils import timezone as django_timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from pushes.distribution import coalescing, planned
from pushes.distribution.coalescing import Waiting, coalesce
from pushes.distribution.distribute import distribute
from pushes.distribution.planned import Draft, Pending
from pushes.models import DeliveryResult, MinuteCount, PushTypePolicy
from pushes.names import App, Kind, Reason, Status
from pushes.sending import compose
from pushes.submit import submit
from pushes.values import Audience, Content, PushMessage
from tests.make import make_account, make_app_key, make_device

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
WINDOW = timedelta(seconds=10)
RECORD = Pending(1, "group", 1, 1, "higo", "", [], "group:7", "", NOW + timedelta(days=1), None)


def draft(key: int | None = 7, **fields: object) -> Draft:
    made = Draft(RECORD, "u", None, 1, Status.PENDING, None, NOW, order_key=key)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_the_first_message_goes_at_once_and_begins_a_burst() -> None:
    first, ends = draft(), dict[int, datetime]()
    assert coalesce([first], {}, ends, NOW, WINDOW) == []
    assert (first.status, first.stands_for, ends) == (Status.PENDING, 1, {7: NOW + WINDOW})


def test_the_second_waits_for_the_end_of_the_burst() -> None:
    second = draft()
    coalesce([second], {}, {7: NOW + timedelta(seconds=4)}, NOW, WINDOW)
    assert (second.status, second.reason, second.due_at) == (Status.HELD, Reason.COALESCED, NOW + timedelta(seconds=4))


def test_the_third_replaces_the_second_and_stands_for_both() -> None:
    third = draft()
    end = NOW + timedelta(seconds=4)
    replaced = coalesce([third], {7: Waiting(41, end, Reason.COALESCED, 1)}, {7: end}, NOW, WINDOW)
    assert (replaced, third.status, third.stands_for, third.due_at) == ([41], Status.HELD, 2, end)


def test_a_burst_within_one_batch_ends_in_two_pushes() -> None:
    batch = [draft() for _ in range(5)]
    coalesce(batch, {}, {}, NOW, WINDOW)
    assert [d.status for d in batch] == [Status.PENDING, Status.SKIPPED, Status.SKIPPED, Status.SKIPPED, Status.HELD]
    assert batch[-1].stands_for == 4
    assert {d.order_key for d in batch[1:4]} == {None}


def test_after_the_burst_a_message_goes_at_once_again() -> None:
    later = draft()
    coalesce([later], {}, {7: NOW - timedelta(seconds=1)}, NOW, WINDOW)
    assert later.status is Status.PENDING


def test_what_waits_for_the_window_is_summarised_and_keeps_its_hour() -> None:
    opening = NOW + timedelta(hours=9)
    late = draft(status=Status.HELD, reason=Reason.OUTSIDE_WINDOW, due_at=opening)
    replaced = coalesce([late], {7: Waiting(5, opening, Reason.OUTSIDE_WINDOW, 3)}, {}, NOW, WINDOW)
    assert (replaced, late.stands_for, late.reason, late.due_at) == ([5], 4, Reason.OUTSIDE_WINDOW, opening)


def test_other_conversations_and_refused_rows_are_left_alone() -> None:
    system, refused, other = draft(None), draft(8, status=Status.SKIPPED), draft(9)
    ends = {7: NOW + WINDOW}
    coalesce([system, refused, other], {}, ends, NOW, WINDOW)
    assert [system.status, refused.status, other.status] == [Status.PENDING, Status.SKIPPED, Status.PENDING]
    assert [system.burst, refused.burst, other.burst] == [None] * 3
    assert ends == {7: NOW + WINDOW, 9: NOW + WINDOW}


@given(
    keys=st.lists(st.integers(1, 3), max_size=30),
    waiting=st.dictionaries(st.integers(1, 3), st.integers(1, 5), max_size=3),
    ends=st.dictionaries(st.integers(1, 3), st.integers(-5, 5), max_size=3),
)
def test_no_message_is_lost_in_any_burst(keys: list[int], waiting: dict[int, int], ends: dict[int, int]) -> None:
    stored = {key: Waiting(100 + key, NOW + WINDOW, Reason.COALESCED, n) for key, n in waiting.items()}
    batch = [draft(key) for key in keys]
    replaced = coalesce(batch, stored, {k: NOW + timedelta(seconds=s) for k, s in ends.items()}, NOW, WINDOW)
    live = [d for d in batch if d.status is not Status.SKIPPED]
    gone = sum(w.stands_for for w in stored.values() if w.id in replaced)
    assert sum(d.stands_for for d in live) == len(batch) + gone
    assert len(replaced) == len(set(replaced))


def say(text: str, number: int) -> PushMessage:
    return PushMessage(
        kind=Kind.GROUP,
        app=App.HIGO,
        audience=Audience(("reader",)),
        text=f"小王: {text}",
        source="group",
        identity=str(number),
        push_type=1,
        conversation="group:7",
        sender_id="wang",
        sender_name="小王",
    )


@pytest.fixture
def reader(db: None, redis_client: redis.Redis) -> None:
    make_app_key()
    make_device(make_account("reader"))


def states() -> list[tuple[str, str, int]]:
    return list(DeliveryResult.objects.order_by("id").values_list("status", "reason", "stands_for"))


def test_stored_and_new_messages_of_a_burst_are_merged(reader: None) -> None:
    for number in range(4):
        distribute(submit([say(f"第{number}条", number)]).record_ids)
    assert states() == [
        ("pending", "", 1),
        ("skipped", "coalesced", 1),
        ("skipped", "coalesced", 2),
        ("held", "coalesced", 3),
    ]


def test_a_burst_keeps_its_number_from_message_to_message(reader: None) -> None:
    for number in range(5):
        distribute(submit([say("hi", number)]).record_ids)
    first, *rest = DeliveryResult.objects.order_by("id").values_list("burst", flat=True)
    assert first is None
    assert len(set(rest)) == 1
    assert rest[0] is not None


def test_what_waits_without_a_reason_is_replaced_too(reader: None) -> None:
    for number in range(2):
        distribute(submit([say("hi", number)]).record_ids)
    DeliveryResult.objects.update(reason="")
    distribute(submit([say("hi", 2)]).record_ids)
    assert states() == [("pending", "", 1), ("skipped", "coalesced", 1), ("held", "", 2)]


def test_every_message_of_a_burst_is_counted(reader: None) -> None:
    for number in range(4):
        distribute(submit([say("hi", number)]).record_ids)
    counted = MinuteCount.objects.filter(event="skipped", reason="coalesced").values_list("kind", "count")
    assert list(counted) == [("group", 2)]
    assert sum(stands_for for status, _, stands_for in states() if status != "skipped") == 4


def test_without_bursts_a_night_is_summarised_all_the_same(reader: None, settings: Settings) -> None:
    settings.COALESCE_SECONDS = 0
    hour = django_timezone.localtime().hour
    PushTypePolicy.objects.filter(push_type=1).update(window=f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00")
    for number in range(3):
        distribute(submit([say("hi", number)]).record_ids)
    assert states() == [
        ("skipped", "coalesced", 1),
        ("skipped", "coalesced", 2),
        ("held", "outside_window", 3),
    ]


def test_without_a_window_every_message_goes_alone(reader: None, settings: Settings) -> None:
    settings.COALESCE_SECONDS = 0
    for number in range(3):
        distribute(submit([say("hi", number)]).record_ids)
    assert states() == [("pending", "", 1)] * 3


def test_chat_outside_the_delivery_window_becomes_one_summary(reader: None, settings: Settings) -> None:
    settings.COALESCE_SECONDS = 10
    hour = django_timezone.localtime().hour
    PushTypePolicy.objects.filter(push_type=1).update(window=f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00")
    for number in range(3):
        distribute(submit([say("hi", number)]).record_ids)
    assert states()[-1] == ("held", "outside_window", 3)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("小王", "小王: 在吗", "小王等 12 条新消息：在吗"),
        ("", "在吗", "12 条新消息：在吗"),
        ("", "你收到一条新消息", "你收到 12 条新消息"),
    ],
)
def test_the_summary_names_the_count_and_the_last_message(db: None, name: str, text: str, shown: str) -> None:
    policy = PushTypePolicy(push_type=1, default_title="新消息").as_value()
    content = Content(1, 1, "面膜团", text, {}, name, NOW, NOW + timedelta(hours=1))
    assert compose.compose(content, policy, NOW, stands_for=12).content == shown


def test_the_end_of_a_burst_is_remembered_in_redis(reader: None, redis_client: redis.Redis) -> None:
    made = draft(planned.order_key("group:7", "t"))
    coalescing.apply([made], django_timezone.now())
    milliseconds: Any = redis_client.pttl(coalescing.MARK.format(order_key=made.order_key))
    assert 8_000 < milliseconds <= 10_000


def test_what_was_replaced_is_over_and_bears_the_number_of_its_burst(reader: None) -> None:
    for number in range(2):
        distribute(submit([say("hi", number)]).record_ids)
    # It began to wait only after it was stored.
    DeliveryResult.objects.update(burst=None)
    other = replace(say("hi", 9), conversation="group:8")
    distribute(submit([say("hi", 2), other]).record_ids)
    _, replaced, last, elsewhere = DeliveryResult.objects.order_by("id")
    assert last.burst is not None
    assert (replaced.burst, replaced.order_key, replaced.finished_at is not None) == (last.burst, None, True)
    assert (elsewhere.status, elsewhere.burst) == (Status.PENDING, None)


def test_the_bursts_of_one_batch_have_their_own_ends_and_numbers(reader: None, redis_client: redis.Redis) -> None:
    now = django_timezone.now()
    begun = [draft(7), draft(8)]
    coalescing.apply(begun, now)
    waiting = [draft(7), draft(8), draft(9)]
    coalescing.apply(waiting, now + timedelta(seconds=2))
    assert [d.due_at for d in waiting[:2]] == [now + WINDOW] * 2
    assert [d.status for d in waiting] == [Status.HELD, Status.HELD, Status.PENDING]
    assert [d.burst for d in begun] == [None, None]
    assert waiting[0].burst != waiting[1].burst
    assert all(redis_client.exists(coalescing.MARK.format(order_key=key)) for key in (7, 8, 9))


@pytest.mark.parametrize("strange", ["soon", "", "nan", "inf", "1e300", "-1e300"])
def test_an_end_that_nobody_can_read_is_none(reader: None, redis_client: redis.Redis, strange: str) -> None:
    redis_client.set(coalescing.MARK.format(order_key=7), strange)
    made = draft()
    coalescing.apply([made], django_timezone.now())
    assert made.status is Status.PENDING


@pytest.mark.parametrize(
    ("seconds", "status"), [(9.9, Status.HELD), (10, Status.HELD), (11, Status.PENDING), (-1, Status.PENDING)]
)
def test_an_end_beyond_the_length_of_a_burst_is_none_of_ours(
    reader: None, redis_client: redis.Redis, seconds: float, status: Status
) -> None:
    now = django_timezone.now()
    redis_client.set(coalescing.MARK.format(order_key=7), str((now + timedelta(seconds=seconds)).timestamp()))
    made = draft()
    coalescing.apply([made], now)
    assert made.status is status


def test_an_end_that_is_remembered_is_not_written_again(reader: None, redis_client: redis.Redis) -> None:
    now = django_timezone.now()
    name, written = coalescing.MARK.format(order_key=7), f"{(now + timedelta(seconds=5)).timestamp():.9f}000"
    redis_client.set(name, written)
    made = draft()
    coalescing.apply([made], now)
    assert made.status is Status.HELD
    assert redis_client.get(name) == written.encode()
