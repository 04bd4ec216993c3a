"""Records become deliveries: every refusal on a row, one query a look-up, and once whatever happens."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.test import TestCase
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from redis import Redis, RedisError

from pushes import lanes
from pushes.distribution.distribute import distribute, enqueue_by_key
from pushes.distribution.planned import order_key
from pushes.models import Account, AppKey, DeliveryResult, Device, PushRecord, PushTypePolicy
from pushes.names import App, Environment, Kind, Platform, PushType, Reason, RecordStatus, Status
from pushes.people.directory import TableDirectory, presence_key
from pushes.submit import submit
from pushes.text import notes
from pushes.workers import queues
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.rows import leave_redis, make_message
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
CHAT, ORDER = PushType.CHAT, PushType.NEW_ORDER


@pytest.fixture
def key() -> AppKey:
    return make_app_key()


def phone(account_id: str, app: App = App.HIGO, **fields: Any) -> Device:
    """A device of an account that may be pushed to."""
    account = Account.objects.filter(pk=account_id).first() or make_account(account_id)
    return make_device(account, app, **fields)


def push(*account_ids: str, **fields: Any) -> list[DeliveryResult]:
    """Submit one message and distribute it; its rows by id."""
    fields = {"push_type": ORDER} | fields
    ids = submit([make_message(*account_ids, **fields)]).record_ids
    distribute(ids)
    return list(DeliveryResult.objects.filter(record_id__in=ids).order_by("id"))


def chat(*account_ids: str, **fields: Any) -> list[DeliveryResult]:
    return push(*account_ids, **{"push_type": CHAT, "kind": Kind.GROUP, "conversation": "group:7"} | fields)


def reasons(rows: Sequence[DeliveryResult]) -> list[tuple[str, str]]:
    return [(row.status, row.reason) for row in rows]


SENT = (Status.PENDING, "")


# --- a record for very many accounts -----------------------------------------------------------


@pytest.fixture
def large(key: AppKey, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> int:
    """A message to a group of 25, distributed in parts of 10; its record's id."""
    monkeypatch.setattr("pushes.distribution.distribute.PART_ACCOUNTS", 10)
    people = [f"u{number:02}" for number in range(25)]
    for account_id in people[:-3]:
        phone(account_id)
    [record_id] = submit(
        [make_message(*people, *people[:5], push_type=CHAT, kind=Kind.GROUP, conversation="group:7")]
    ).record_ids
    return record_id


def parts_made(*record_ids: int) -> list[int]:
    """Distribute as the jobs would, until nothing is enqueued any more; rows made by each."""
    made, waiting = list[int](), list(record_ids)
    while waiting:
        with TestCase.captureOnCommitCallbacks(execute=True):
            made.append(distribute(waiting))
        distributing = [queues.queue(name) for name in lanes.queue_names("group", 4) if "chat_message" in name]
        waiting = [record_id for one in distributing for job in one.get_jobs() for record_id in job.args[0]]
        for one in distributing:
            one.empty()
    return made


def sent_ids() -> list[int]:
    sending = [queues.queue(name) for name in lanes.queue_names("group", 4) if "xinge" in name]
    return sorted(row_id for one in sending for job in one.get_jobs() for row_id in job.args[0])


def test_a_large_group_is_distributed_in_parts_and_everybody_once(large: int):
    assert parts_made(large) == [10, 10, 5]
    rows = DeliveryResult.objects.order_by("id")
    assert [row.account_id for row in rows] == [f"u{number:02}" for number in range(25)]
    assert PushRecord.objects.get().status == RecordStatus.DISTRIBUTED
    assert sent_ids() == [row.pk for row in rows if row.status == Status.PENDING]


def test_a_part_that_was_made_before_a_crash_is_not_made_again(large: int, settings: Settings):
    settings.COALESCE_SECONDS = 10
    distribute([large])  # and its successor's job is lost
    assert PushRecord.objects.get().status == RecordStatus.PENDING
    assert parts_made(large) == [10, 5]
    assert DeliveryResult.objects.count() == 25
    assert not DeliveryResult.objects.filter(reason=Reason.COALESCED).exists()


def test_the_next_message_of_the_group_waits_for_all_parts(large: int):
    later = submit([make_message("u24", "u00", push_type=CHAT, kind=Kind.GROUP, conversation="group:7")]).record_ids
    assert parts_made(*later) == [10, 10, 5, 2]
    of_u00 = DeliveryResult.objects.filter(account_id="u00").order_by("id")
    assert [row.record_id for row in of_u00] == [large, *later]


def test_a_large_group_that_expires_half_way_ends_there(large: int):
    distribute([large])
    PushRecord.objects.update(expires_at=timezone.now())
    assert parts_made(large) == [0]
    assert PushRecord.objects.get().status == RecordStatus.EXPIRED
    assert DeliveryResult.objects.count() == 10


def test_small_ones_before_a_large_one_are_done_with_it(large: int):
    small = submit([make_message("u24", push_type=CHAT, kind=Kind.GROUP, conversation="group:7", identity="x")])
    PushRecord.objects.filter(pk=small.record_ids[0]).update(created_at=timezone.now() - timedelta(seconds=5))
    assert sum(parts_made(large, *small.record_ids)) == 26


def test_the_jobs_of_two_keys_take_turns(redis_client: Redis, settings: Settings):
    settings.JOB_SIZE = 2
    pending = [("group", 1, 1 if number <= 5 else 2, number) for number in range(1, 9)]
    with TestCase.captureOnCommitCallbacks(execute=True):
        enqueue_by_key(pending)
    jobs = queues.queue(lanes.send_queue("group", 1)).get_jobs()
    assert [(job.meta["app_key_id"], job.args[0]) for job in jobs] == [
        (1, [1, 2]),
        (2, [6, 7]),
        (1, [3, 4]),
        (2, [8]),
        (1, [5]),
    ]


# --- rows -------------------------------------------------------------------------------------


def test_a_willing_recipient_gets_a_row_ready_to_send(key: AppKey):
    device = phone("u1")
    [row] = push("u1")
    record = PushRecord.objects.get()
    assert (row.status, row.reason, row.account_id, row.token) == (Status.PENDING, "", "u1", device.token)
    assert (row.device_id, row.app_key_id, row.platform, row.environment) == (
        device.pk,
        key.pk,
        "android",
        "production",
    )
    assert (row.kind, row.push_type, row.app, row.shard) == ("system", 5, "higo", 0)
    assert (row.due_at, row.expires_at, row.attempts) == (record.distributed_at, record.expires_at, 0)
    assert (row.order_key, row.finished_at, row.sent_at, row.claim) == (None, None, None, "")


def test_every_device_of_an_account_gets_a_row(key: AppKey):
    ios = make_app_key(platform=Platform.IOS)
    phones = [phone("u1"), phone("u1"), phone("u1", platform=Platform.IOS)]
    rows = push("u1")
    assert {row.token for row in rows} == {device.token for device in phones}
    assert {(row.platform, row.app_key_id) for row in rows} == {("android", key.pk), ("ios", ios.pk)}


@pytest.mark.parametrize(("via", "platforms"), [(None, {"android", "ios"}), ("ios", {"ios"}), ("android", {"android"})])
def test_a_platform_named_by_the_producer_is_the_only_one(key: AppKey, via: str | None, platforms: set[str]):
    make_app_key(platform=Platform.IOS)
    phone("u1"), phone("u1", platform=Platform.IOS)
    rows = push("u1", platform=Platform(via) if via else None)
    assert {row.platform for row in rows} == platforms
    assert set(reasons(rows)) == {SENT}


def test_without_a_device_on_that_platform_there_is_none(key: AppKey):
    phone("u1")
    rows = push("u1", platform=Platform.IOS)
    assert reasons(rows) == [(Status.SKIPPED, Reason.NO_DEVICE)]
    assert rows[0].platform == "ios"


def test_an_apps_push_goes_to_that_apps_devices_only(key: AppKey):
    make_app_key(App.HIGIRL)
    phone("u1"), phone("u1", App.HIGIRL, token="merchant-phone")
    assert [row.token for row in push("u1", app=App.HIGIRL)] == ["merchant-phone"]


def test_a_test_build_is_reached_under_its_own_key(key: AppKey):
    local = make_app_key(environment=Environment.LOCAL)
    phone("u1", environment=Environment.LOCAL)
    assert [row.app_key_id for row in push("u1")] == [local.pk]


def test_an_account_that_is_named_twice_is_pushed_to_once(key: AppKey):
    phone("u1")
    assert len(push("u1", "u1")) == 1


def test_an_inactive_device_is_left_out(key: AppKey):
    phone("u1", is_active=False)
    assert reasons(push("u1")) == [(Status.SKIPPED, Reason.NO_DEVICE)]


def test_the_record_says_when_it_was_distributed(key: AppKey):
    push("u1")
    record = PushRecord.objects.get()
    assert record.status == RecordStatus.DISTRIBUTED
    assert record.distributed_at
    assert record.created_at <= record.distributed_at


# --- every refusal ends up on a row -----------------------------------------------------------


def refused(rows: Sequence[DeliveryResult]) -> Reason:
    """The reason on the single row, which is over."""
    [row] = rows
    assert row.status == Status.SKIPPED
    assert row.finished_at == row.created_at
    assert row.order_key is None
    return Reason(row.reason)


def test_no_account():
    assert refused(push("nobody")) is Reason.NO_ACCOUNT


def test_no_device():
    make_account("u1")
    assert refused(push("u1")) is Reason.NO_DEVICE


def test_logged_out(key: AppKey):
    make_device(make_account("u1", login_status=0))
    assert refused(push("u1")) is Reason.LOGGED_OUT


def test_do_not_disturb(key: AppKey):
    make_device(make_account("u1", push_status=0))
    assert refused(chat("u1")) is Reason.DO_NOT_DISTURB


def test_an_order_ignores_do_not_disturb(key: AppKey):
    make_device(make_account("u1", push_status=0))
    assert reasons(push("u1")) == [SENT]


def test_online(key: AppKey, redis_client: Redis):
    phone("u1")
    redis_client.set(presence_key("u1"), 1)
    assert refused(chat("u1")) is Reason.ONLINE


def test_muted(key: AppKey):
    make_device(make_account("u1", muted_conversations=["group:7"]))
    assert refused(chat("u1")) is Reason.MUTED


def test_blocked(key: AppKey):
    make_device(make_account("u1", blocked_accounts=["u2"]))
    assert refused(chat("u1", sender_id="u2")) is Reason.BLOCKED


def test_own_message(key: AppKey):
    phone("u1")
    assert refused(chat("u1", sender_id="u1")) is Reason.OWN_MESSAGE


def test_type_disabled(key: AppKey):
    PushTypePolicy.objects.filter(push_type=ORDER).update(is_enabled=False)
    phone("u1")
    assert refused(push("u1")) is Reason.TYPE_DISABLED


@pytest.mark.parametrize("changes", [{"is_enabled": False}, {"environment": "local"}, {"app": "higirl"}])
def test_no_app_key(key: AppKey, changes: dict[str, Any]):
    AppKey.objects.update(**changes)
    device = phone("u1")
    rows = push("u1")
    assert refused(rows) is Reason.NO_APP_KEY
    assert (rows[0].token, rows[0].app_key_id) == (device.token, None)


def test_a_paused_key_keeps_its_pushes(key: AppKey):
    AppKey.objects.update(paused_at=timezone.now())
    phone("u1")
    assert reasons(push("u1")) == [SENT]


def test_each_recipient_of_a_message_is_judged_alone(key: AppKey, redis_client: Redis):
    phone("willing"), phone("online"), phone("sender")
    make_device(make_account("muted", muted_conversations=["group:7"]))
    redis_client.set(presence_key("online"), 1)
    rows = chat("willing", "online", "sender", "muted", "nobody", sender_id="sender")
    assert {row.account_id: row.reason for row in rows} == {
        "willing": "",
        "online": "online",
        "sender": "own_message",
        "muted": "muted",
        "nobody": "no_account",
    }


# --- windows ----------------------------------------------------------------------------------


@pytest.fixture
def night(settings: Settings) -> Any:
    """A delivery window that is shut now and opens in about two hours; returns when."""
    opens = (timezone.localtime() + timedelta(hours=2)).replace(second=0, microsecond=0)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    return opens


def test_outside_its_window_a_push_is_held_until_it_opens(key: AppKey, night: Any):
    phone("u1")
    [row] = push("u1")
    assert (row.status, row.reason, row.due_at) == (Status.HELD, Reason.OUTSIDE_WINDOW, night)
    assert row.finished_at is None


def test_what_expires_before_the_window_opens_is_skipped(key: AppKey, night: Any):
    phone("u1")
    assert refused(push("u1", expires_at=night)) is Reason.OUTSIDE_WINDOW


@pytest.mark.parametrize(("policy", "state"), [("drop", (Status.SKIPPED, Reason.OUTSIDE_WINDOW)), ("send", SENT)])
def test_a_type_may_drop_or_send_outside_its_window(key: AppKey, night: Any, policy: str, state: tuple[str, str]):
    PushTypePolicy.objects.filter(push_type=ORDER).update(window_policy=policy)
    phone("u1")
    assert reasons(push("u1")) == [state]


def test_a_type_may_have_a_window_of_its_own(key: AppKey, night: Any):
    PushTypePolicy.objects.filter(push_type=ORDER).update(window="00:00-00:00")
    phone("u1")
    assert reasons(push("u1")) == [SENT]


# --- once -------------------------------------------------------------------------------------


def test_distributing_twice_makes_no_second_row(key: AppKey):
    phone("u1")
    [row] = push("u1")
    assert distribute([row.record_id]) == 0
    assert DeliveryResult.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_distributing_at_the_same_time_makes_every_row_once(key: AppKey):
    for number in range(30):
        phone(f"u{number}")
    ids = submit([make_message(f"u{number}", push_type=ORDER) for number in range(30)]).record_ids
    made = together([lambda: distribute(ids)] * 4)
    assert sum(made) == DeliveryResult.objects.count() == 30


def test_a_record_that_has_expired_is_not_distributed(key: AppKey):
    phone("u1")
    [record_id] = submit([make_message("u1", expires_at=timezone.now() - timedelta(seconds=1))]).record_ids
    assert distribute([record_id]) == 0
    assert PushRecord.objects.get().status == RecordStatus.EXPIRED


def test_what_is_no_longer_pending_is_left_alone(key: AppKey):
    phone("u1")
    ids = submit([make_message("u1")]).record_ids
    PushRecord.objects.update(status=RecordStatus.CANCELLED)
    assert distribute(ids) == 0
    assert PushRecord.objects.get().status == RecordStatus.CANCELLED


# --- what it costs, and what follows ----------------------------------------------------------


def test_a_batch_costs_the_same_number_of_queries_whatever_its_size(key: AppKey, django_assert_max_num_queries):
    for size in (2, 60):
        for number in range(size):
            phone(f"{size}-{number}")
        ids = submit([make_message(f"{size}-{number}", push_type=ORDER) for number in range(size)]).record_ids
        with django_assert_max_num_queries(13):
            assert distribute(ids) == size


def jobs(lane: str = "system", shard: int = 0) -> list[list[int]]:
    return [job.args[0] for job in queues.queue(lanes.send_queue(lane, shard)).get_jobs()]


def test_sending_is_enqueued_after_commit_one_job_a_key(
    key: AppKey, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
):
    make_app_key(platform=Platform.IOS)
    for number in range(4):
        phone(f"u{number}", platform=Platform.IOS if number % 2 else Platform.ANDROID)
    ids = submit([make_message(f"u{number}", push_type=ORDER) for number in range(4)]).record_ids
    with django_capture_on_commit_callbacks(execute=True):
        distribute(ids)
        assert jobs() == []
    rows = dict(DeliveryResult.objects.values_list("id", "app_key_id"))
    assert len(jobs()) == 2
    assert sorted(pk for job in jobs() for pk in job) == sorted(rows)
    assert all(len({rows[pk] for pk in job}) == 1 for job in jobs())


def test_what_is_refused_or_held_gets_no_job(
    key: AppKey, night: Any, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
):
    phone("u1")
    with django_capture_on_commit_callbacks(execute=True):
        push("u1")
        push("nobody")
    assert jobs() == []


def test_a_broadcasts_record_has_its_expansion_enqueued(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
):
    broadcast = make_broadcast()
    [record_id] = submit([make_message(kind=Kind.BROADCAST, broadcast_id=broadcast.pk)]).record_ids
    with django_capture_on_commit_callbacks(execute=True):
        assert distribute([record_id]) == 0
    [job] = queues.queue(lanes.distribute_queue("broadcast")).get_jobs()
    assert (job.func_name, job.args) == (queues.EXPAND_JOB, [broadcast.pk])


# --- when something is wrong ------------------------------------------------------------------


def test_without_presence_nobody_is_guessed_to_be_offline(key: AppKey, settings: Settings):
    phone("u1")
    ids = submit([make_message("u1", push_type=CHAT)]).record_ids
    leave_redis(settings)
    with pytest.raises(RedisError):
        distribute(ids)
    assert PushRecord.objects.get().status == RecordStatus.PENDING
    assert DeliveryResult.objects.count() == 0


class PickyDirectory(TableDirectory):
    """Cannot bear one account."""

    def accounts(self, account_ids: Sequence[str]) -> Any:
        if "poison" in account_ids:
            raise LookupError("the account's row is broken")
        return super().accounts(account_ids)


@pytest.mark.parametrize("kind", [Kind.SYSTEM, Kind.GROUP])
def test_a_record_that_cannot_be_distributed_takes_no_other_with_it(key: AppKey, settings: Settings, kind: Kind):
    settings.DIRECTORY = f"{__name__}.PickyDirectory"
    phone("u1"), phone("u2")
    accounts = ("u1", "poison", "u2")
    ids = submit([make_message(a, kind=kind, conversation="group:7", push_type=ORDER) for a in accounts]).record_ids
    assert distribute(ids) == 2
    assert list(PushRecord.objects.order_by("id").values_list("status", flat=True)) == [
        RecordStatus.DISTRIBUTED,
        RecordStatus.FAILED,
        RecordStatus.DISTRIBUTED,
    ]
    detail = PushRecord.objects.get(pk=ids[1]).status_detail
    assert notes.english(detail) == "LookupError while it was distributed: the account's row is broken"


def test_a_lost_earlier_record_that_is_broken_does_not_condemn_the_one_asked_for(key: AppKey, settings: Settings):
    settings.DIRECTORY = f"{__name__}.PickyDirectory"
    phone("u1")
    ids = submit([make_message(a, kind=Kind.GROUP, conversation="group:7") for a in ("poison", "u1")]).record_ids
    assert distribute([ids[1]]) == 1
    assert list(PushRecord.objects.order_by("id").values_list("status", flat=True)) == ["failed", "distributed"]


def test_after_one_that_is_broken_nobody_overtakes_a_large_group(
    key: AppKey, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """Distributing one by one, too, the group's next message waits for all parts."""
    settings.DIRECTORY = f"{__name__}.PickyDirectory"
    monkeypatch.setattr("pushes.distribution.distribute.PART_ACCOUNTS", 10)
    phone("u24")
    group = [f"u{number:02}" for number in range(25)]
    audiences = (["poison"], group, ["u24", "u00"])
    ids = submit([make_message(*a, kind=Kind.GROUP, conversation="group:7") for a in audiences]).record_ids
    assert parts_made(*ids) == [10, 10, 5, 2]
    of_u24 = DeliveryResult.objects.filter(account_id="u24").order_by("id")
    assert [row.record_id for row in of_u24] == ids[1:]


# --- order ------------------------------------------------------------------------------------


def test_only_conversations_have_an_order():
    assert order_key("", "token") is None


def test_an_order_is_that_of_one_conversation_on_one_device():
    keys = {order_key(conversation, token) for conversation in ("group:7", "群:8") for token in ("a" * 40, "b" * 40)}
    assert len(keys) == 4
    assert all(key is not None and 0 <= key < 2**63 for key in keys)


def test_rows_of_a_conversation_have_ids_in_the_order_of_its_messages(key: AppKey, settings: Settings):
    settings.COALESCE_SECONDS = 0
    phone("u1")
    ids = submit([make_message("u1", kind=Kind.GROUP, conversation="group:7") for _ in range(20)]).record_ids
    distribute(list(reversed(ids)))
    rows = DeliveryResult.objects.order_by("id")
    assert [row.record_id for row in rows] == ids
    assert len({row.order_key for row in rows}) == 1
