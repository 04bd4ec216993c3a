"""The sweeper puts back what is due: from the database alone, one at a time, and harmlessly twice."""

import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import TestCase
from django.utils import timezone
from pytest_django import Settings
from redis import Redis, RedisError
from rq.utils import utcformat

from pushes import lanes
from pushes.keys import gate
from pushes.ledger import claims
from pushes.management.commands.runsweeper import run_until
from pushes.models import (
    AppKey,
    Broadcast,
    DeadLetter,
    DeliveryResult,
    Device,
    DeviceEvent,
    Lease,
    MinuteCount,
    MultiPush,
    PushRecord,
    PushTypePolicy,
)
from pushes.names import (
    CLAIMABLE,
    SWEEPER_LEASE,
    TERMINAL,
    BroadcastStatus,
    Environment,
    Kind,
    PushType,
    Reason,
    RecordStatus,
    Status,
)
from pushes.storage import batches
from pushes.submit import submit
from pushes.upkeep import lost_jobs
from pushes.upkeep.sweep import HOLDER, QUIET_JOBS, Swept, sweep, take_lease
from pushes.workers import queues
from tests.make import make_app_key, make_broadcast, make_dead_letter, make_device
from tests.pushes.rows import leave_redis, make_delivery, make_message, make_record
from tests.redis_database import empty
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client", "new_watch")]
COMMITTED = pytest.mark.django_db(transaction=True)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ORDER, CHAT = PushType.NEW_ORDER, PushType.CHAT  # resend, keep


@pytest.fixture
def new_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that has seen nothing yet."""
    monkeypatch.setattr("pushes.upkeep.sweep.WATCH", lost_jobs.Watch())


def swept(**options: Any) -> Swept:
    """A round that certainly holds the lease."""
    Lease.objects.all().delete()
    with TestCase.captureOnCommitCallbacks(execute=True):
        done = sweep(**options)
    assert done is not None
    return done


def sends(lane: str = "system", shard: int = 0) -> list[int]:
    return [pk for job in queues.queue(lanes.send_queue(lane, shard)).get_jobs() for pk in job.args[0]]


def distributions(lane: str = "system", shard: int = 0) -> list[int]:
    return [pk for job in queues.queue(lanes.distribute_queue(lane, shard)).get_jobs() for pk in job.args[0]]


def fill(redis_client: Redis, lane: str) -> None:
    """The lane has more jobs than a quiet one."""
    for number in range(QUIET_JOBS + 1):
        redis_client.rpush(f"rq:queue:{lanes.send_queue(lane)}", f"job-{number}")


def state(row: DeliveryResult) -> tuple[str, str]:
    row.refresh_from_db()
    return row.status, row.reason


# --- one at a time ----------------------------------------------------------------------------


def test_one_sweeper_holds_the_lease_and_renews_it():
    now = timezone.now()
    assert take_lease(now)
    first = Lease.objects.get().until
    assert take_lease(now + SECOND)
    assert Lease.objects.get().until == first + SECOND


def test_while_another_holds_the_lease_nothing_is_done():
    Lease.objects.create(name=SWEEPER_LEASE, holder="another", until=timezone.now() + MINUTE)
    row = make_delivery(status=Status.RETRYING)
    assert sweep() is None
    assert (sends(), state(row)) == ([], (Status.RETRYING, ""))


def test_the_lease_of_a_dead_sweeper_is_inherited():
    Lease.objects.create(name=SWEEPER_LEASE, holder="another", until=timezone.now() - SECOND)
    assert sweep() is not None
    assert Lease.objects.get().holder == HOLDER


def test_a_lease_from_a_clock_that_was_ahead_is_no_lease():
    """Else nothing would be swept until the others have caught up."""
    Lease.objects.create(name=SWEEPER_LEASE, holder="another", until=timezone.now() + 24 * HOUR)
    assert take_lease(timezone.now())


@COMMITTED
def test_sweepers_that_start_at_once_meet_no_error():
    assert any(together([lambda: take_lease(timezone.now())] * 4))
    assert Lease.objects.count() == 1


@COMMITTED
def test_two_rounds_at_once_do_no_harm(run_jobs: Callable[..., int]):
    """Both believe that the lease is theirs."""
    key = make_app_key(is_enabled=False)
    rows = [make_delivery(status=Status.RETRYING, app_key_id=key.pk) for _ in range(5)]
    take_lease(timezone.now())
    together([sweep] * 2)
    run_jobs()
    assert {state(row) for row in rows} == {(Status.SKIPPED, Reason.NO_APP_KEY)}


# --- expired leases ---------------------------------------------------------------------------


def abandoned(
    *, is_begun: bool, push_type: int = ORDER, call_key: str = "", order_key: int = 7, **fields: Any
) -> DeliveryResult:
    """A row whose sender died a minute ago, before or after it had begun the call."""
    past = timezone.now() - MINUTE
    row = make_delivery(make_record(push_type=push_type), order_key=order_key, **fields)
    token, _ = claims.claim([row.pk], now=timezone.now(), lease_seconds=-60)
    if is_begun:
        call_keys = {call_key: [row.pk]} if call_key else None
        claims.begin([row.pk], token, now=past, lease_seconds=-60, call_keys=call_keys)
    return row


def test_what_was_not_begun_is_pending_again_and_enqueued_at_once(redis_client: Redis):
    fill(redis_client, "system")
    row = abandoned(is_begun=False, push_type=CHAT)
    assert swept().leases_to_pending == 1
    assert state(row) == (Status.PENDING, "")
    assert (row.claim, row.lease_until, row.attempts, row.order_key) == ("", None, 0, 7)
    assert not row.may_have_arrived
    assert len(sends()) == 1


def test_what_was_begun_is_unknown_when_a_loss_is_better():
    row = abandoned(is_begun=True, push_type=CHAT)
    assert swept().leases_to_unknown == 1
    assert state(row) == (Status.UNKNOWN, Reason.CUT_OFF)
    assert (row.claim, row.lease_until, row.order_key, row.attempts) == ("", None, None, 1)
    assert row.may_have_arrived
    assert row.finished_at is not None
    assert sends() == []


def test_what_was_begun_is_sent_again_when_a_duplicate_is_better(settings: Settings):
    row = abandoned(is_begun=True)
    now = timezone.now()
    assert swept(now=now).leases_to_retry == 1
    assert state(row) == (Status.RETRYING, Reason.CUT_OFF)
    assert (row.claim, row.attempts, row.order_key, row.may_have_arrived) == ("", 1, 7, True)
    assert row.due_at == now + timedelta(seconds=settings.RETRY_BASE_SECONDS)


@pytest.mark.parametrize("push_type", [ORDER, CHAT])
def test_what_was_begun_with_a_call_key_is_asked_for_again_whatever_the_policy(settings: Settings, push_type: int):
    row = abandoned(is_begun=True, push_type=push_type, call_key="app-7", attempts=settings.MAX_ATTEMPTS)
    now = timezone.now()
    found = swept(now=now)
    assert (found.leases_to_retry, found.leases_to_unknown) == (1, 0)
    assert state(row) == (Status.RETRYING, Reason.CUT_OFF)
    assert (row.call_key, row.claim, row.order_key, row.may_have_arrived) == ("app-7", "", 7, False)
    assert row.due_at == now + timedelta(seconds=settings.RETRY_BASE_SECONDS)


def test_what_has_a_call_key_but_no_time_left_is_unknown():
    row = abandoned(is_begun=True, call_key="app-7", expires_at=timezone.now() + SECOND)
    assert swept().leases_to_unknown == 1
    assert state(row) == (Status.UNKNOWN, Reason.CUT_OFF)
    assert row.may_have_arrived


@pytest.mark.parametrize("number", range(5))
def test_a_lease_that_ends_between_two_statements_is_like_any_other(number: int):
    rows = [abandoned(is_begun=True, push_type=CHAT, call_key="app-7"), abandoned(is_begun=True, order_key=8)]
    late = DeliveryResult.objects.filter(pk__in=[row.pk for row in rows])
    late.update(lease_until=timezone.now() + MINUTE)
    statements = itertools.count()

    def end_leases(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if "lease_until" in sql and next(statements) == number:
            late.update(lease_until=timezone.now() - MINUTE)
        return execute(sql, *rest)

    with connection.execute_wrapper(end_leases):
        swept()
    assert next(statements) > number
    swept()
    assert {state(row)[0] for row in rows} <= {Status.RETRYING, Status.PENDING}
    assert [row.may_have_arrived for row in rows] == [False, True]


def test_the_policy_is_the_one_of_now():
    PushTypePolicy.objects.filter(push_type=ORDER).update(unknown_policy="keep")
    row = abandoned(is_begun=True)
    swept()
    assert state(row)[0] == Status.UNKNOWN


def test_after_the_last_attempt_nobody_knows(settings: Settings):
    row = abandoned(is_begun=True, attempts=settings.MAX_ATTEMPTS - 1)
    swept()
    assert state(row) == (Status.UNKNOWN, Reason.CUT_OFF)


def test_what_expires_before_its_retry_may_have_arrived_and_so_is_unknown():
    row = abandoned(is_begun=True, expires_at=timezone.now() + SECOND)
    swept()
    assert state(row) == (Status.UNKNOWN, Reason.CUT_OFF)


def test_a_lease_that_still_runs_is_left_alone():
    row = make_delivery()
    claims.claim([row.pk], now=timezone.now(), lease_seconds=60)
    done = swept()
    assert (done.leases_to_pending, done.leases_to_unknown, done.leases_to_retry) == (0, 0, 0)
    assert state(row)[0] == Status.SENDING


def test_a_lease_that_a_clock_put_back_has_made_endless_is_over():
    row = make_delivery()
    claims.claim([row.pk], now=timezone.now(), lease_seconds=86_400)
    assert swept().leases_to_pending == 1


# --- what is due ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.RETRYING, Status.HELD])
@pytest.mark.parametrize("is_busy", [False, True])
def test_what_waited_for_its_time_is_enqueued_once_however_busy_the_lane(
    redis_client: Redis, status: Status, is_busy: bool
):
    row = make_delivery(status=status, reason=Reason.THROTTLED)
    if is_busy:
        fill(redis_client, "system")
    assert swept().sends_enqueued == 1
    assert swept().sends_enqueued == 0
    assert sends() == [row.pk]
    assert state(row) == (Status.PENDING, "")


@pytest.mark.parametrize("status", [Status.RETRYING, Status.HELD])
def test_before_its_time_nothing_happens(status: Status):
    now = timezone.now()
    row = make_delivery(status=status, due_at=now + SECOND)
    assert swept(now=now).sends_enqueued == 0
    assert swept(now=now + SECOND).sends_enqueued == 1
    assert sends() == [row.pk]


@pytest.mark.parametrize("status", sorted(set(Status) - set(CLAIMABLE)))
def test_what_is_over_or_under_way_is_not_enqueued(status: Status):
    make_delivery(status=status, due_at=timezone.now() - HOUR, lease_until=timezone.now() + HOUR)
    assert swept().sends_enqueued == 0


def test_a_pending_row_that_no_job_is_about_is_enqueued_after_a_while(settings: Settings):
    now = timezone.now()
    row = make_delivery(due_at=now)
    wait = timedelta(seconds=settings.STUCK_SECONDS)
    assert swept(now=now + wait - SECOND).sends_enqueued == 0
    assert swept(now=now + wait).sends_enqueued == 1
    assert sends() == [row.pk]


def test_in_a_busy_lane_a_pending_row_has_a_job_that_waits(redis_client: Redis):
    make_delivery(due_at=timezone.now() - HOUR)
    fill(redis_client, "system")
    assert swept().sends_enqueued == 0


def busy(redis_client: Redis, enqueued_at: datetime) -> None:
    """The system lane is deep in send jobs, the oldest of which waits since then."""
    for _ in range(QUIET_JOBS + 1):
        job = queues.queue(lanes.send_queue("system")).enqueue(queues.SEND_JOB, [0])
        redis_client.hset(job.key, "enqueued_at", utcformat(enqueued_at))


def test_a_pending_row_that_is_older_than_every_job_that_waits_has_lost_its_own(redis_client: Redis):
    """As behind a message of its conversation that expired: a lane that is never quiet must not starve it."""
    now = timezone.now()
    row = make_delivery(due_at=now - HOUR)
    busy(redis_client, now - SECOND)
    assert swept(now=now).sends_enqueued == 1
    assert row.pk in sends()
    assert swept(now=now + SECOND).sends_enqueued == 0


def test_a_pending_row_as_old_as_a_job_that_waits_may_be_what_the_job_is_about(redis_client: Redis):
    now = timezone.now()
    make_delivery(due_at=now - HOUR)
    busy(redis_client, now - HOUR)
    assert swept(now=now).sends_enqueued == 0


def test_the_rows_of_a_key_that_is_shut_for_now_keep_no_place_from_others(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pushes.upkeep.sweep.ROWS_PER_ROUND", 3)
    shut, open_key = make_app_key(), make_app_key(environment=Environment.LOCAL)
    gate.report(shut.pk, answered=0, failed=0, pause_seconds=100)
    for _ in range(3):
        make_delivery(status=Status.RETRYING, app_key_id=shut.pk, due_at=timezone.now() - HOUR)
    free = make_delivery(status=Status.RETRYING, app_key_id=open_key.pk)
    assert swept().sends_enqueued == 1
    assert sends() == [free.pk]
    gate.forget(shut.pk)
    assert swept().sends_enqueued == 3


def test_another_lanes_work_is_no_reason_to_wait(redis_client: Redis):
    make_delivery(due_at=timezone.now() - HOUR)
    fill(redis_client, "broadcast")
    assert swept().sends_enqueued == 1


def test_under_a_paused_key_nothing_is_enqueued_and_beside_it_everything():
    paused, open_key = make_app_key(paused_at=timezone.now()), make_app_key(environment=Environment.LOCAL)
    waiting = make_delivery(status=Status.RETRYING, app_key_id=paused.pk)
    make_delivery(app_key_id=paused.pk, due_at=timezone.now() - HOUR)
    free = make_delivery(status=Status.RETRYING, app_key_id=open_key.pk)
    assert swept().sends_enqueued == 1
    assert sends() == [free.pk]
    assert state(waiting)[0] == Status.RETRYING
    AppKey.objects.update(paused_at=None)
    assert swept().sends_enqueued == 2


def test_what_waits_behind_a_message_of_its_conversation_comes_along():
    record = make_record(kind=Kind.GROUP, shard=1, conversation="group:7")
    first = make_delivery(record, status=Status.RETRYING, order_key=7)
    second, another = make_delivery(record, order_key=7), make_delivery(record, order_key=8)
    swept()
    assert sends("group", 1) == [first.pk, second.pk]
    assert another.pk > second.pk


def test_each_lane_and_key_gets_a_job_of_its_own():
    keys = [make_app_key(), make_app_key(environment=Environment.LOCAL)]
    for key, kind in itertools.product(keys, (Kind.SYSTEM, Kind.PRIVATE)):
        record = make_record(kind=kind, shard=3 if kind == Kind.PRIVATE else 0)
        make_delivery(record, status=Status.RETRYING, app_key_id=key.pk)
    assert swept().sends_enqueued == 4
    assert [queues.queue(name).count for name in ("hg_xinge_queue", "higo_private_xinge_queue3")] == [2, 2]


def test_a_round_is_a_bounded_number_of_queries(django_assert_max_num_queries):
    for size in (2, 50):
        for _ in range(size):
            make_delivery(status=Status.RETRYING)
        with django_assert_max_num_queries(40):
            assert swept(thorough=False).sends_enqueued == size


# --- records ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shard"), [(Kind.SYSTEM, 0), (Kind.GROUP, 2)])
def test_a_record_whose_job_was_lost_is_enqueued_after_a_while(settings: Settings, kind: Kind, shard: int):
    now = timezone.now()
    record = make_record(kind=kind, shard=shard, status=RecordStatus.PENDING, created_at=now)
    wait = timedelta(seconds=settings.STUCK_SECONDS)
    assert swept(now=now + wait - SECOND).records_enqueued == 0
    assert swept(now=now + wait).records_enqueued == 1
    assert distributions(kind, shard) == [record.pk]


@pytest.mark.parametrize("status", sorted(set(RecordStatus) - {RecordStatus.PENDING}))
def test_a_record_that_is_not_pending_is_left_alone(status: RecordStatus):
    make_record(status=status, created_at=timezone.now() - HOUR)
    assert swept().records_enqueued == 0


def test_in_a_busy_lane_records_wait_for_their_jobs(redis_client: Redis):
    record = make_record(status=RecordStatus.PENDING, created_at=timezone.now() - HOUR)
    fill(redis_client, "system")
    queues.queue(lanes.distribute_queue("system")).enqueue(queues.DISTRIBUTE_JOB, [record.pk])
    for looks in range(5):
        assert swept(now=timezone.now() + looks * MINUTE).records_enqueued == 0


def test_in_a_busy_lane_a_record_without_a_job_is_enqueued_before_all_others_within_a_minute(redis_client: Redis):
    """As after Redis was away for a moment in a lane that is never quiet."""
    now = timezone.now()
    lost = make_record(status=RecordStatus.PENDING, created_at=now)
    waiting = make_record(status=RecordStatus.PENDING, created_at=now)
    fill(redis_client, "system")
    queues.queue(lanes.distribute_queue("system")).enqueue(queues.DISTRIBUTE_JOB, [waiting.pk])
    rounds = [swept(now=now + timedelta(seconds=n), thorough=False).records_enqueued for n in range(0, 62, 2)]
    assert sum(rounds) == 1
    assert distributions() == [lost.pk, waiting.pk]


@COMMITTED
def test_losing_everything_in_redis_loses_no_accepted_push(
    redis_client: Redis, run_jobs: Callable[..., int], settings: Settings
):
    settings.STUCK_SECONDS = 0.0
    make_app_key(is_enabled=False)
    device = make_device()
    submit([make_message(device.account_id, push_type=ORDER) for _ in range(3)])
    empty(redis_client)
    swept()
    run_jobs()
    assert DeliveryResult.objects.filter(status__in=TERMINAL).count() == 3


# --- expiry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_what_has_expired_says_so_unless_it_is_over_or_under_way(status: Status):
    now = timezone.now()
    row = make_delivery(status=status, expires_at=now, order_key=7, due_at=now + HOUR)
    swept(now=now)
    if status in CLAIMABLE:
        assert state(row) == (Status.EXPIRED, Reason.TOO_LATE)
        assert (row.order_key, row.finished_at) == (None, now)
    else:
        assert state(row)[0] == status


def test_what_expires_or_is_given_up_is_counted_like_every_end():
    """Or the success rate would be best when nothing is sent at all."""
    now = timezone.now()
    for _ in range(3):
        make_delivery(expires_at=now, app_key_id=7)
    given_up = abandoned(is_begun=True, push_type=CHAT, app_key_id=8)
    swept(now=now)
    swept(now=now)
    counted = MinuteCount.objects.values_list("kind", "event", "reason", "app_key_id", "count")
    assert set(counted) == {
        ("system", Status.EXPIRED, Reason.TOO_LATE, 7, 3),
        ("system", Status.UNKNOWN, Reason.CUT_OFF, 8, 1),
    }
    assert state(given_up)[0] == Status.UNKNOWN


def test_what_has_not_expired_stays():
    now = timezone.now()
    row = make_delivery(expires_at=now + SECOND)
    assert swept(now=now).expired == 0
    assert state(row)[0] == Status.PENDING


def test_a_record_that_expires_before_its_distribution_says_so():
    now = timezone.now()
    record = make_record(status=RecordStatus.PENDING, expires_at=now)
    swept(now=now)
    record.refresh_from_db()
    assert record.status == RecordStatus.EXPIRED


def test_a_record_that_is_distributed_at_the_last_moment_stays_distributed():
    record = make_record(status=RecordStatus.PENDING, expires_at=timezone.now())

    def distribute_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and PushRecord._meta.db_table in sql:
            with context["connection"].cursor() as cursor:
                cursor.cursor.execute(f"UPDATE {PushRecord._meta.db_table} SET status = 'distributed'")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(distribute_first):
        swept()
    record.refresh_from_db()
    assert record.status == RecordStatus.DISTRIBUTED


def test_expiry_is_left_for_the_thorough_round():
    row = make_delivery(expires_at=timezone.now() - SECOND)
    assert swept(thorough=False).expired == 0
    assert state(row)[0] == Status.PENDING


# --- retention --------------------------------------------------------------------------------


@pytest.fixture
def kept_from(settings: Settings) -> datetime:
    settings.RETENTION_DAYS = 30
    return timezone.now() - timedelta(days=30)


def test_old_rows_go_and_younger_ones_stay(kept_from: datetime):
    old, young = make_record(created_at=kept_from - MINUTE), make_record(created_at=kept_from + MINUTE)
    make_delivery(old, created_at=kept_from - MINUTE)
    kept = make_delivery(young, created_at=kept_from + MINUTE)
    MultiPush.objects.create(record=old, app_key=make_app_key(), push_id="1")
    assert swept().deleted >= 2
    assert list(PushRecord.objects.all()) == [young]
    assert list(DeliveryResult.objects.all()) == [kept]
    assert not MultiPush.objects.exists()


def test_a_record_goes_after_the_last_of_its_deliveries(kept_from: datetime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batches, "CHUNK", 2)
    record = make_record(created_at=kept_from - MINUTE)
    for _ in range(5):
        make_delivery(record, created_at=kept_from - MINUTE)
    left = []
    for _ in range(4):
        swept()
        left.append((DeliveryResult.objects.count(), PushRecord.objects.count()))
    assert left == [(3, 1), (1, 1), (0, 0), (0, 0)]


def test_dead_letters_go_after_as_long_and_what_nobody_has_resolved_is_told(
    kept_from: datetime, caplog: pytest.LogCaptureFixture
):
    kept = make_dead_letter(created_at=kept_from + MINUTE)
    for status in ("new", "replayed", "discarded"):
        make_dead_letter(status=status, created_at=kept_from - MINUTE)
    with caplog.at_level("WARNING", "pushes.upkeep.sweep"):
        swept()
    assert DeadLetter.objects.get() == kept
    assert "deleting 1 unresolved dead letters that are older than RETENTION_DAYS" in caplog.text


def test_a_devices_history_is_kept_as_long_but_the_device_for_ever(kept_from: datetime):
    device = make_device()
    for created_at in (kept_from - MINUTE, kept_from + MINUTE):
        DeviceEvent.objects.create(device=device, event="registered", created_at=created_at)
    Device.objects.update(created_at=kept_from - HOUR)
    swept()
    assert DeviceEvent.objects.get().created_at == kept_from + MINUTE
    assert Device.objects.count() == 1


def test_retention_is_left_for_the_thorough_round(kept_from: datetime):
    make_record(created_at=kept_from - MINUTE)
    assert swept(thorough=False).deleted == 0


def test_minutes_of_the_counters_become_hours():
    minute = (timezone.now() - timedelta(days=3)).replace(second=0, microsecond=0)
    for offset in (0, 1):
        MinuteCount.objects.create(
            granularity="minute",
            bucket_at=minute.replace(minute=10 + offset),
            kind="system",
            event="accepted",
            count=2,
        )
    swept()
    hour = MinuteCount.objects.get()
    assert (hour.granularity, hour.bucket_at, hour.count) == ("hour", minute.replace(minute=0), 4)


# --- broadcasts -------------------------------------------------------------------------------


def test_a_round_launches_finishes_and_wakes_broadcasts(settings: Settings):
    past = timezone.now() - HOUR
    due = make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=past)
    done = make_broadcast(status=BroadcastStatus.SENDING, is_expanded=True, started_at=past)
    asleep = make_broadcast(status=BroadcastStatus.SENDING, started_at=past)
    assert swept().broadcasts_finished == 1
    states = dict(Broadcast.objects.values_list("id", "status"))
    assert states == {due.pk: "sending", done.pk: "finished", asleep.pk: "sending"}
    jobs = queues.queue("higo_broadcast_queue").get_jobs()
    assert [job.func_name for job in jobs].count(queues.DISTRIBUTE_JOB) == 1


def test_an_expansion_that_a_crash_left_asleep_is_woken():
    broadcast = make_broadcast(status=BroadcastStatus.SENDING, started_at=timezone.now() - HOUR)
    swept()
    [job] = queues.queue("higo_broadcast_queue").get_jobs()
    assert (job.func_name, job.args) == (queues.EXPAND_JOB, [broadcast.pk])


# --- without Redis ----------------------------------------------------------------------------


def test_without_redis_the_databases_part_is_done_first(settings: Settings):
    lost, late = abandoned(is_begun=True, push_type=CHAT), make_delivery(expires_at=timezone.now())
    leave_redis(settings)
    with pytest.raises(RedisError):
        swept()
    assert (state(lost)[0], state(late)[0]) == (Status.UNKNOWN, Status.EXPIRED)


# --- the command ------------------------------------------------------------------------------


def test_once_says_what_it_did():
    make_delivery(status=Status.RETRYING)
    said = StringIO()
    call_command("runsweeper", "--once", stdout=said)
    assert said.getvalue() == "sends_enqueued 1\n"


def test_once_with_nothing_to_do_says_so():
    said = StringIO()
    call_command("runsweeper", "--once", stdout=said)
    assert said.getvalue() == "nothing to do\n"


def test_once_beside_another_sweeper_says_so():
    Lease.objects.create(name=SWEEPER_LEASE, holder="another", until=timezone.now() + MINUTE)
    said = StringIO()
    call_command("runsweeper", "--once", stdout=said)
    assert "another sweeper is running" in said.getvalue()


@COMMITTED
def test_the_loop_goes_on_when_redis_comes_back(settings: Settings, caplog: pytest.LogCaptureFixture):
    settings.SWEEP_INTERVAL = 0.05
    here = settings.REDIS_URL
    row, stop = make_delivery(status=Status.RETRYING), threading.Event()
    leave_redis(settings)

    def repair() -> None:
        settings.REDIS_URL = here
        threading.Timer(0.5, stop.set).start()

    threading.Timer(0.3, repair).start()
    run_until(stop)
    assert sends() == [row.pk]
    assert [record.message for record in caplog.records if "cut short" in record.message][1:] == []
