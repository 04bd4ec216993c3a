"""What was decided on earlier is asked again before it leaves; what is fresh costs nothing more."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.ledger import claims
from pushes.models import Account, AppKey, DeliveryResult, Device, MinuteCount, PushTypePolicy, policies
from pushes.names import BroadcastStatus, Kind, PushType, Reason, Status
from pushes.people.directory import presence_key
from pushes.sending import recheck
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.rows import make_delivery, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
CHAT, ORDER = PushType.CHAT, PushType.NEW_ORDER
OLD = timedelta(minutes=5)


@pytest.fixture
def key() -> AppKey:
    return make_app_key()


def row_for(key: AppKey, device: Device | None = None, *, age: timedelta = OLD, **fields: Any) -> DeliveryResult:
    record = make_record(**{"push_type": ORDER} | fields)
    made_at = timezone.now() - age
    return make_delivery(record, device or make_device(), app_key_id=key.pk, created_at=made_at, due_at=made_at)


def claimed(key: AppKey, *rows: DeliveryResult) -> tuple[Sequence[claims.Claimed], recheck.Claim]:
    now = timezone.now()
    token, taken = claims.claim([row.pk for row in rows], now=now, lease_seconds=60)
    return taken, recheck.Claim(token, key.app, key.pk, now)


def wanted(key: AppKey, *rows: DeliveryResult) -> list[bool]:
    """Claim the rows and ask again: which are still to be sent?"""
    kept = {row.id for row in recheck.still_wanted(*claimed(key, *rows), policies())}
    for row in rows:
        row.refresh_from_db()
    return [row.pk in kept for row in rows]


def test_what_is_still_wanted_stays_claimed(key: AppKey):
    row = row_for(key)
    assert wanted(key, row) == [True]
    assert (row.status, bool(row.claim)) == (Status.SENDING, True)


# --- the verdict again ------------------------------------------------------------------------


def skipped(key: AppKey, row: DeliveryResult) -> str:
    assert wanted(key, row) == [False]
    assert (row.status, row.claim, row.order_key) == (Status.SKIPPED, "", None)
    assert row.finished_at is not None
    return row.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"login_status": 0}, Reason.LOGGED_OUT),
        ({"push_status": 0}, Reason.DO_NOT_DISTURB),
        ({"muted_conversations": ["group:7"]}, Reason.MUTED),
        ({"blocked_accounts": ["u2"]}, Reason.BLOCKED),
    ],
)
def test_an_account_that_has_changed_its_mind_is_not_pushed_to(key: AppKey, changes: dict[str, Any], reason: Reason):
    row = row_for(key, push_type=CHAT, conversation="group:7", sender_id="u2")
    Account.objects.update(**changes)
    assert skipped(key, row) == reason


def test_an_account_that_is_gone_is_not_pushed_to(key: AppKey):
    row = row_for(key)
    Account.objects.all().delete()
    assert skipped(key, row) == Reason.NO_ACCOUNT


@pytest.mark.parametrize("age", [timedelta(), OLD])
def test_a_device_that_was_deactivated_is_not_sent_to(key: AppKey, age: timedelta):
    device = make_device()
    make_device(device.account)
    row = row_for(key, device, age=age)
    Device.objects.filter(pk=device.pk).update(is_active=False)
    assert skipped(key, row) == Reason.NO_DEVICE


FRESH = timedelta(seconds=1)


@pytest.mark.parametrize("age", [FRESH, OLD])
def test_a_phone_that_is_somebody_elses_by_now_shows_nothing_of_the_former_owner(key: AppKey, age: timedelta):
    device = make_device()
    row = row_for(key, device, age=age)
    Device.objects.filter(pk=device.pk).update(account=make_account())
    assert skipped(key, row) == Reason.NO_DEVICE


def test_of_a_device_that_another_directory_keeps_nothing_is_asked_while_it_is_fresh(key: AppKey):
    row = make_delivery(make_record(push_type=ORDER), app_key_id=key.pk, created_at=timezone.now())
    assert wanted(key, row) == [True]


def test_a_type_that_was_turned_off_is_not_sent(key: AppKey):
    row = row_for(key)
    PushTypePolicy.objects.filter(push_type=ORDER).update(is_enabled=False)
    assert skipped(key, row) == Reason.TYPE_DISABLED


def test_a_fresh_row_is_not_judged_a_second_time(key: AppKey):
    row = row_for(key, age=timedelta(seconds=5))
    Account.objects.update(login_status=0)
    assert wanted(key, row) == [True]


def test_a_row_that_was_tried_before_is_judged_again_however_fresh(key: AppKey):
    row = row_for(key, age=timedelta(seconds=5))
    DeliveryResult.objects.update(attempts=1)
    Account.objects.update(login_status=0)
    assert skipped(key, row) == Reason.LOGGED_OUT


def test_fresh_rows_cost_no_query_and_old_ones_a_few(key: AppKey, django_assert_num_queries):
    rules = policies()
    fresh = claimed(key, *[row_for(key, age=timedelta()) for _ in range(5)])
    with django_assert_num_queries(0):
        assert len(recheck.still_wanted(*fresh, rules)) == 5
    for size in (2, 30):
        old = claimed(key, *[row_for(key) for _ in range(size)])
        with django_assert_num_queries(3):
            assert len(recheck.still_wanted(*old, rules)) == size


# --- presence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [timedelta(), OLD])
def test_who_is_online_is_left_alone_where_the_type_minds(key: AppKey, redis_client: Redis, age: timedelta):
    chat, order = row_for(key, push_type=CHAT, age=age), row_for(key, age=age)
    for row in (chat, order):
        redis_client.set(presence_key(row.account_id), 1)
    assert wanted(key, chat, order) == [False, True]
    assert chat.reason == Reason.ONLINE


# --- the delivery window ----------------------------------------------------------------------


@pytest.fixture
def opens(settings: Settings) -> datetime:
    """A delivery window that is shut now and opens in about two hours."""
    at = (timezone.localtime() + timedelta(hours=2)).replace(second=0, microsecond=0)
    settings.DELIVERY_WINDOW = f"{at:%H:%M}-{at + timedelta(hours=1):%H:%M}"
    return at


def test_a_push_whose_window_has_shut_meanwhile_is_held(key: AppKey, opens: datetime):
    row = row_for(key, age=timedelta(), expires_at=opens + timedelta(hours=1))
    assert wanted(key, row) == [False]
    assert (row.status, row.reason, row.due_at) == (Status.HELD, Reason.OUTSIDE_WINDOW, opens)
    assert (row.claim, row.finished_at) == ("", None)


def test_one_that_expires_before_the_window_opens_is_skipped(key: AppKey, opens: datetime):
    assert skipped(key, row_for(key, expires_at=opens)) == Reason.OUTSIDE_WINDOW


@pytest.mark.parametrize(("policy", "is_sent"), [("drop", False), ("send", True)])
def test_each_type_has_its_own_rule(key: AppKey, opens: datetime, policy: str, is_sent: bool):
    PushTypePolicy.objects.filter(push_type=ORDER).update(window_policy=policy)
    later = opens + timedelta(hours=1)
    order, chat = row_for(key, expires_at=later), row_for(key, push_type=CHAT, expires_at=later)
    assert wanted(key, order, chat) == [is_sent, False]
    assert (order.status, chat.status) == (Status.SENDING if is_sent else Status.SKIPPED, Status.HELD)


# --- broadcasts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "kept"), [("", Status.HELD), ("hold", Status.HELD), ("drop", Status.SKIPPED), ("send", Status.SENDING)]
)
def test_a_broadcast_s_own_word_on_the_window_goes_before_its_type_s(
    key: AppKey, opens: datetime, own: str, kept: Status
):
    record = make_record(kind=Kind.BROADCAST, window_policy=own, expires_at=opens + timedelta(hours=1))
    row = make_delivery(record, make_device(), app_key_id=key.pk)
    wanted(key, row)
    assert row.status == kept


def broadcast_row(key: AppKey, status: BroadcastStatus) -> DeliveryResult:
    return row_for(key, kind=Kind.BROADCAST, broadcast=make_broadcast(status=status), age=timedelta())


def test_a_paused_broadcasts_row_that_came_back_is_held_with_the_others(key: AppKey):
    row = broadcast_row(key, BroadcastStatus.PAUSED)
    assert wanted(key, row) == [False]
    assert (row.status, row.reason) == (Status.HELD, Reason.BROADCAST_PAUSED)
    assert row.due_at > timezone.now() + timedelta(days=365)


def test_a_cancelled_broadcasts_row_never_leaves(key: AppKey):
    row = broadcast_row(key, BroadcastStatus.CANCELLED)
    assert wanted(key, row) == [False]
    assert (row.status, row.reason) == (Status.CANCELLED, Reason.CANCELLED)
    assert row.finished_at is not None


def test_a_running_broadcast_goes_on_beside_a_halted_one(key: AppKey):
    running, halted = broadcast_row(key, BroadcastStatus.SENDING), broadcast_row(key, BroadcastStatus.PAUSED)
    assert wanted(key, running, halted) == [True, False]


# --- counters ---------------------------------------------------------------------------------


def test_what_ends_here_is_counted(key: AppKey):
    rows = [row_for(key) for _ in range(3)]
    Account.objects.update(login_status=0)
    wanted(key, *rows)
    [counter] = MinuteCount.objects.all()
    assert (counter.event, counter.reason, counter.count) == (Status.SKIPPED, Reason.LOGGED_OUT, 3)
