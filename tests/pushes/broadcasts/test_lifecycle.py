"""Broadcasts from launch to finish: once, in chunks, and stoppable at every moment."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from redis import Redis, RedisError

from pushes.broadcasts import audiences, lifecycle, rows
from pushes.broadcasts.audiences import estimate
from pushes.broadcasts.expansion import expand
from pushes.broadcasts.lifecycle import cancel, finish_done, launch, pause, resume
from pushes.broadcasts.progress import progress
from pushes.broadcasts.rows import BroadcastStateError
from pushes.ledger import claims, endings
from pushes.models import Broadcast, DeliveryResult, Device, MinuteCount, PushRecord, PushTypePolicy
from pushes.names import CLAIMABLE, TERMINAL, App, BroadcastStatus, Platform, PushType, Reason, Status
from pushes.people import tags
from pushes.people.directory import TableDirectory
from pushes.sending.job import deliver
from pushes.storage import batches
from pushes.submit import InvalidMessageError
from pushes.text import notes
from pushes.text.notes import said
from pushes.text.sentences import Sentence
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
from tests.make import make_account, make_app_key, make_broadcast, make_device, make_operator, make_secret
from tests.pushes.rows import leave_redis
from tests.redis_database import empty
from tests.sandbox_process import Sandbox
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
STARTABLE = {BroadcastStatus.DRAFT, BroadcastStatus.WAITING, BroadcastStatus.SCHEDULED}


@pytest.fixture
def key() -> Any:
    return make_app_key()


def phones(number: int, **fields: Any) -> list[Device]:
    return [make_device(**fields) for _ in range(number)]


def launched(**fields: Any) -> Broadcast:
    return launch(make_broadcast(**fields).pk)


def expanded(**fields: Any) -> Broadcast:
    """A launched broadcast with all its deliveries."""
    broadcast = launched(**fields)
    while not Broadcast.objects.get(pk=broadcast.pk).is_expanded:
        expand(broadcast.pk)
    broadcast.refresh_from_db()
    return broadcast


def tokens() -> list[str]:
    return list(DeliveryResult.objects.order_by("id").values_list("token", flat=True))


def states() -> list[tuple[str, str]]:
    return list(DeliveryResult.objects.order_by("id").values_list("status", "reason"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiences, "EXPAND_DEVICES", 3)
    monkeypatch.setattr(audiences, "EXPAND_ACCOUNTS", 3)


# --- launch -----------------------------------------------------------------------------------


def test_launching_submits_one_message_and_starts_sending(key: Any):
    phones(2)
    broadcast = launched(title="大促", text="全场七折", data={"page": "sale"}, push_type=PushType.GOODS_DETAIL)
    record = PushRecord.objects.get()
    assert (broadcast.status, broadcast.estimate) == (BroadcastStatus.SENDING, 2)
    assert broadcast.started_at is not None
    assert (record.broadcast, record.kind, record.push_type) == (broadcast, "broadcast", 20)
    assert (record.title, record.text, record.data) == ("大促", "全场七折", {"page": "sale"})
    assert record.message_id == f"broadcast-{broadcast.pk}"


def test_launching_twice_sends_once():
    broadcast = launched()
    with pytest.raises(BroadcastStateError, match=rf"#{broadcast.pk} is sending: it cannot be launched"):
        launch(broadcast.pk)
    assert PushRecord.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_launching_at_the_same_time_sends_once():
    broadcast = make_broadcast()

    def is_launched() -> bool:
        try:
            launch(broadcast.pk)
        except BroadcastStateError:
            return False
        return True

    assert sorted(together([is_launched] * 4)) == [False, False, False, True]
    assert PushRecord.objects.count() == 1


@pytest.mark.parametrize("status", BroadcastStatus)
def test_only_what_has_not_started_can_be_launched(status: BroadcastStatus):
    broadcast = make_broadcast(status=status)
    if status in STARTABLE:
        assert launch(broadcast.pk).status == BroadcastStatus.SENDING
        return
    with pytest.raises(BroadcastStateError):
        launch(broadcast.pk)
    assert PushRecord.objects.count() == 0


def test_who_launched_it_is_kept():
    user = make_operator()
    assert launch(make_broadcast().pk, by=user).approved_by == user
    assert User.objects.count() == 1


def test_before_its_time_it_waits():
    broadcast = launched(scheduled_at=timezone.now() + timedelta(hours=1))
    assert broadcast.status == BroadcastStatus.SCHEDULED
    assert PushRecord.objects.count() == 0


def test_its_expiry_is_that_of_its_pushes():
    expires_at = timezone.now() + timedelta(hours=2)
    launched(expires_at=expires_at)
    assert PushRecord.objects.get().expires_at == expires_at


@pytest.mark.parametrize("hours", [None, 5])
def test_what_would_expire_before_it_is_sent_is_refused_at_launch(hours: int | None):
    now = timezone.now()
    scheduled_at = now + timedelta(hours=hours) if hours else None
    broadcast = make_broadcast(scheduled_at=scheduled_at, expires_at=scheduled_at or now)
    with pytest.raises(InvalidMessageError, match=r"expires_at=.*: The broadcast would expire before it is sent"):
        launch(broadcast.pk)
    assert not PushRecord.objects.exists()


@pytest.mark.parametrize("delay", [None, timedelta(days=1)])
def test_what_could_not_be_sent_is_refused_at_launch(delay: timedelta | None):
    scheduled_at = timezone.now() + delay if delay else None
    broadcast = make_broadcast(text="长" * 30_000, scheduled_at=scheduled_at)
    with pytest.raises(InvalidMessageError, match="text="):
        launch(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.DRAFT


# --- audience ---------------------------------------------------------------------------------


def test_the_audience_of_an_app_is_its_active_devices(key: Any):
    wanted = phones(3)
    phones(1, app=App.HIGIRL), phones(1, is_active=False)
    broadcast = expanded()
    assert tokens() == [device.token for device in wanted]
    assert broadcast.estimate == estimate(broadcast) == 3


def test_a_platform_narrows_it(key: Any):
    make_app_key(platform=Platform.IOS)
    phones(2)
    [wanted] = phones(1, platform=Platform.IOS)
    broadcast = expanded(platform=Platform.IOS)
    assert tokens() == [wanted.token]
    assert estimate(broadcast) == 1


def test_a_tag_narrows_it(key: Any):
    make_app_key(platform=Platform.IOS)
    wanted = [*phones(2), *phones(1, platform=Platform.IOS)]
    tags.replace({device.pk: ["vip"] for device in wanted} | {device.pk: ["other"] for device in phones(2)})
    broadcast = expanded(audience_kind="tag", tag="vip")
    assert tokens() == [device.token for device in wanted]
    assert broadcast.estimate == 3
    assert estimate(make_broadcast(audience_kind="tag", tag="vip", platform=Platform.IOS)) == 1


def test_without_its_tag_it_goes_to_nobody_rather_than_to_everybody(key: Any):
    phones(2)
    with pytest.raises(InvalidMessageError, match="tag='': The broadcast has no tag"):
        launched(audience_kind="tag")
    assert not PushRecord.objects.exists()


def test_a_list_of_accounts_reaches_all_their_devices(key: Any):
    one, two = make_account("1"), make_account("two")
    wanted = [make_device(one), make_device(one), make_device(two)]
    phones(2)
    broadcast = expanded(audience_kind="accounts", accounts=[1, "two", "two", "nobody"])
    reached = [row.token for row in DeliveryResult.objects.exclude(token="")]
    assert sorted(reached) == sorted(device.token for device in wanted)
    assert DeliveryResult.objects.get(account_id="nobody").reason == Reason.NO_ACCOUNT
    assert estimate(broadcast) == 3


def test_a_list_of_accounts_is_narrowed_by_platform_too(key: Any):
    account = make_account("1")
    make_device(account)
    wanted = make_device(account, platform=Platform.IOS)
    make_app_key(platform=Platform.IOS)
    broadcast = expanded(audience_kind="accounts", accounts=["1"], platform=Platform.IOS)
    assert tokens() == [wanted.token]
    assert estimate(broadcast) == 1


@pytest.mark.parametrize("audience_kind", ["app", "accounts"])
def test_an_audience_of_nobody_is_soon_finished(audience_kind: str):
    broadcast = expanded(audience_kind=audience_kind)
    told = progress(broadcast.pk)
    assert (told.counts, told.total, told.is_expanded) == ({}, 0, True)
    assert finish_done() == 1


def test_accounts_that_refuse_are_refused_with_their_reason(key: Any):
    make_device(make_account(login_status=0))
    make_device(make_account(push_status=0))
    make_device()
    expanded()
    assert states() == [("skipped", "logged_out"), ("skipped", "do_not_disturb"), ("pending", "")]


# --- expansion in chunks ----------------------------------------------------------------------


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("number", [1, 3, 6, 7])
def test_a_large_audience_is_expanded_a_chunk_at_a_time(key: Any, number: int):
    devices = phones(number)
    broadcast = launched()
    made = []
    while not Broadcast.objects.get(pk=broadcast.pk).is_expanded:
        made.append(expand(broadcast.pk))
    assert max(made) <= 3
    assert sum(made) == number
    assert tokens() == [device.token for device in devices]


@pytest.mark.usefixtures("small_chunks")
def test_accounts_are_expanded_a_chunk_at_a_time(key: Any):
    devices = phones(7)
    broadcast = launched(audience_kind="accounts", accounts=[device.account_id for device in devices])
    assert [expand(broadcast.pk) for _ in range(4)] == [3, 3, 1, 0]
    assert sorted(tokens()) == sorted(device.token for device in devices)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.django_db(transaction=True)
def test_workers_that_expand_at_the_same_time_make_every_row_once(key: Any):
    devices = phones(12)
    broadcast = launched()

    def work() -> None:
        for _ in range(5):
            expand(broadcast.pk)

    together([work] * 3)
    assert sorted(tokens()) == sorted(device.token for device in devices)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.django_db(transaction=True)
def test_an_expansion_whose_job_was_lost_goes_on_where_it_stopped(
    key: Any, redis_client: Redis, run_jobs: Callable[..., int], settings: Settings
):
    settings.STUCK_SECONDS = 0.0
    devices = phones(8)
    broadcast = launched()
    expand(broadcast.pk)
    empty(redis_client)
    sweep()
    run_jobs(allow_failed=True)
    assert sorted(tokens()) == sorted(device.token for device in devices)
    assert Broadcast.objects.get().is_expanded


class BrokenDirectory(TableDirectory):
    def accounts(self, account_ids: Sequence[str]) -> Any:
        raise LookupError("the directory is away")


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_that_fails_half_way_leaves_nothing_and_moves_nothing(key: Any, settings: Settings):
    phones(5)
    broadcast = launched()
    expand(broadcast.pk)
    settings.DIRECTORY = f"{__name__}.BrokenDirectory"
    assert expand(broadcast.pk) == 0
    assert len(tokens()) == 3
    # An error that does not pass by itself: the broadcast stands still, and says why.
    stopped = Broadcast.objects.get()
    assert stopped.status == BroadcastStatus.PAUSED
    assert notes.english(stopped.status_reason) == "LookupError: the directory is away"
    settings.DIRECTORY = "pushes.people.directory.TableDirectory"
    resume(broadcast.pk)
    assert expand(broadcast.pk) == 2


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_enqueues_its_own_rows_only(key: Any, django_capture_on_commit_callbacks):
    phones(5)
    broadcast = launched()
    expand(broadcast.pk)
    with django_capture_on_commit_callbacks(execute=True):
        expand(broadcast.pk)
    [job] = queues.queue("higo_broadcast_xinge_queue").get_jobs()
    assert job.args[0] == list(DeliveryResult.objects.order_by("id").values_list("id", flat=True))[3:]


def test_a_device_that_registers_meanwhile_is_part_of_it(key: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audiences, "EXPAND_DEVICES", 2)
    phones(3)
    broadcast = launched()
    expand(broadcast.pk)
    phones(1)
    expand(broadcast.pk)
    expand(broadcast.pk)
    assert len(tokens()) == 4


# --- pause, resume, cancel --------------------------------------------------------------------

ALLOWED: dict[Callable[..., Broadcast], set[BroadcastStatus]] = {
    pause: {BroadcastStatus.SENDING},
    resume: {BroadcastStatus.PAUSED},
    cancel: {*STARTABLE, BroadcastStatus.SENDING, BroadcastStatus.PAUSED},
}


@pytest.mark.parametrize("status", BroadcastStatus)
@pytest.mark.parametrize("step", ALLOWED, ids=lambda step: step.__name__)
def test_every_step_is_possible_in_its_states_only(step: Callable[..., Broadcast], status: BroadcastStatus):
    broadcast = make_broadcast(status=status)
    if status in ALLOWED[step]:
        step(broadcast.pk)
        return
    with pytest.raises(BroadcastStateError, match=rf"#{broadcast.pk} is {status}"):
        step(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == status


def test_pausing_holds_what_has_not_left_and_resuming_lets_it_go(key: Any):
    phones(3)
    broadcast = expanded()
    first = DeliveryResult.objects.order_by("id")[0]
    DeliveryResult.objects.filter(pk=first.pk).update(status=Status.ACCEPTED)
    pause(broadcast.pk)
    assert states() == [("accepted", ""), *[("held", "broadcast_paused")] * 2]
    assert deliver(list(DeliveryResult.objects.values_list("id", flat=True))) == 0
    resume(broadcast.pk)
    assert states() == [("accepted", ""), *[("held", "")] * 2]
    assert set(DeliveryResult.objects.filter(due_at__lte=timezone.now()).values_list("status", flat=True)) == {
        "accepted",
        "held",
    }


def test_who_did_it_and_why_is_kept():
    user = make_operator()
    broadcast = launched()
    assert notes.english(pause(broadcast.pk, by=user).status_reason) == f"paused by {user}"
    assert notes.english(resume(broadcast.pk, by=user).status_reason) == f"resumed by {user}"
    assert pause(broadcast.pk, reason=said("too many bad tokens")).status_reason == "too many bad tokens"
    assert notes.english(cancel(broadcast.pk, by=user).status_reason) == f"cancelled by {user}"


@pytest.mark.usefixtures("small_chunks")
def test_a_paused_broadcast_is_not_expanded_until_it_is_resumed(key: Any):
    phones(5)
    broadcast = launched()
    expand(broadcast.pk)
    pause(broadcast.pk)
    assert expand(broadcast.pk) == 0
    resume(broadcast.pk)
    assert expand(broadcast.pk) == 2


def test_resuming_outside_the_window_holds_until_it_opens(key: Any, settings: Settings):
    opens = (timezone.localtime() + timedelta(hours=2)).replace(second=0, microsecond=0)
    phones(1)
    broadcast = expanded()
    pause(broadcast.pk)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    resume(broadcast.pk)
    row = DeliveryResult.objects.get()
    assert (row.status, row.reason, row.due_at) == (Status.HELD, Reason.OUTSIDE_WINDOW, opens)


@pytest.mark.parametrize(
    ("own", "expected"),
    [("", ("held", "outside_window")), ("drop", ("skipped", "outside_window")), ("send", ("pending", ""))],
)
def test_its_own_word_on_the_window_goes_before_its_type_s(
    key: Any, settings: Settings, own: str, expected: tuple[str, str]
):
    opens = timezone.localtime() + timedelta(hours=2)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    phones(1)
    broadcast = expanded(window_policy=own)
    assert states() == [expected]
    assert PushRecord.objects.get().window_policy == own
    pause(broadcast.pk)
    resume(broadcast.pk)
    assert states() == [("held", "") if own == "send" else expected]


def test_resuming_outside_the_window_sends_nothing_of_a_type_that_drops(sandbox: Sandbox, settings: Settings):
    make_app_key(endpoint_url=sandbox.url)
    phones(1)
    broadcast = expanded()
    pause(broadcast.pk)
    PushTypePolicy.objects.update(window_policy="drop")
    opens = timezone.localtime() + timedelta(hours=2)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    resume(broadcast.pk)
    deliver([DeliveryResult.objects.get().pk])
    assert states() == [("skipped", "outside_window")]
    assert sandbox.received() == []


@pytest.mark.parametrize("before", [(), (pause,)], ids=["sending", "paused"])
def test_cancelling_ends_what_has_not_left(key: Any, before: tuple[Callable[..., Broadcast], ...]):
    phones(3)
    broadcast = expanded()
    for step in before:
        step(broadcast.pk)
    cancel(broadcast.pk)
    broadcast.refresh_from_db()
    assert set(states()) == {("cancelled", "cancelled")}
    assert broadcast.finished_at is not None
    assert not DeliveryResult.objects.filter(finished_at=None).exists()


def test_what_was_cancelled_is_counted_in_its_minute_and_in_its_totals(key: Any):
    phones(3)
    broadcast = expanded()
    endings.end(DeliveryResult.objects.filter(pk=tokens_ids()[0]), Status.FAILED, Reason.CUT_OFF, now=timezone.now())
    cancel(broadcast.pk)
    counted = MinuteCount.objects.filter(event=Status.CANCELLED).values_list("kind", "reason", "app_key_id", "count")
    assert list(counted) == [("broadcast", "cancelled", key.pk, 2)]
    assert progress(broadcast.pk).counts == {"failed": 1, "cancelled": 2}


def tokens_ids() -> list[int]:
    return list(DeliveryResult.objects.order_by("id").values_list("id", flat=True))


@pytest.mark.parametrize(("step", "status"), [(cancel, Status.CANCELLED), (pause, Status.HELD)])
def test_what_a_worker_has_claimed_but_not_begun_is_taken_back(
    key: Any, step: Callable[..., Broadcast], status: Status
):
    """Between its look at the broadcast and its call a worker may take seconds: creating a list at the provider."""
    phones(2)
    broadcast = expanded()
    ids, now = tokens_ids(), timezone.now()
    claim, _rows = claims.claim(ids, now=now, lease_seconds=60)
    assert claims.begin(ids[:1], claim, now=now, lease_seconds=60) == {ids[0]}
    step(broadcast.pk)
    assert claims.begin(ids[1:], claim, now=now, lease_seconds=60) == set()
    assert [row[0] for row in states()] == [Status.SENDING, status]
    assert claims.settle(ids[:1], claim, status=Status.ACCEPTED, finished_at=now) == 1


def test_a_very_large_one_is_stopped_at_once_and_marked_by_and_by(key: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lifecycle, "CANCELLED_AT_ONCE", 2)
    phones(5)
    broadcast = expanded()
    cancel(broadcast.pk)
    assert deliver(tokens_ids()[:3]) == 0
    assert [lifecycle.finish_cancelled() for _ in range(3)] == [2, 0, 0]
    broadcast.refresh_from_db()
    assert broadcast.finished_at is not None
    assert set(states()) == {("cancelled", "cancelled")}
    assert progress(broadcast.pk).counts == {"cancelled": 5}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(3))
def test_operators_and_workers_at_the_same_time_send_nothing_after_the_cancel_and_nothing_twice(
    sandbox: Sandbox, settings: Settings, seed: int
):
    """Two workers send while two operators pause, resume and, in the end, cancel."""
    settings.MULTI_PUSH_LEAST = 1_000
    secret = make_secret()
    key = make_app_key(endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    phones(120)
    broadcast = expanded()
    ids, is_over, errors = tokens_ids(), threading.Event(), list[Exception]()

    def sending() -> None:
        try:
            while not is_over.is_set():
                live = DeliveryResult.objects.filter(status__in=CLAIMABLE, due_at__lte=timezone.now())
                for chunk in batches.chunks(list(live.values_list("id", flat=True)), 10):
                    deliver(chunk)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    def operating() -> None:
        for step in (pause, resume) * 3:
            with contextlib.suppress(BroadcastStateError):
                step(broadcast.pk)
            time.sleep(random.Random(seed).random() / 50)
        connection.close()

    threads = [threading.Thread(target=target) for target in (sending, sending, operating, operating)]
    for thread in threads:
        thread.start()
    for thread in threads[2:]:
        thread.join(timeout=30)
    with contextlib.suppress(BroadcastStateError):
        pause(broadcast.pk)
    cancel(broadcast.pk)
    begun = set(DeliveryResult.objects.filter(sent_at__isnull=False).values_list("token", flat=True))
    is_over.set()
    for thread in threads[:2]:
        thread.join(timeout=30)
    assert errors == []
    received = [push["token"] for push in sandbox.received()]
    assert len(received) == len(set(received))
    assert set(received) <= begun
    assert deliver(ids) == 0
    told = progress(broadcast.pk)
    assert told.counts.get("accepted", 0) == len(received)
    assert sum(told.counts.values()) == told.total == 120


def test_a_draft_that_is_cancelled_never_starts():
    broadcast = make_broadcast()
    cancel(broadcast.pk)
    with pytest.raises(BroadcastStateError):
        launch(broadcast.pk)


@pytest.mark.usefixtures("small_chunks")
def test_a_cancelled_broadcast_is_not_expanded_further(key: Any):
    phones(5)
    broadcast = launched()
    expand(broadcast.pk)
    cancel(broadcast.pk)
    assert expand(broadcast.pk) == 0
    assert len(tokens()) == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("step", "state"), [(pause, "held"), (cancel, "cancelled")])
def test_nothing_leaves_after_a_stop(
    sandbox: Sandbox,
    redis_client: Redis,
    run_jobs: Callable[..., int],
    step: Callable[..., Broadcast],
    state: str,
    settings: Settings,
):
    """A rate leaves most of it waiting; a few rows are under way at the moment of the stop and come back."""
    settings.MULTI_PUSH_LEAST = 1_000
    secret = make_secret()
    key = make_app_key(endpoint_url=sandbox.url, secret=secret, rate_per_second=3)
    sandbox.add_key(int(key.access_id), secret)
    phones(20)
    broadcast = launched()
    run_jobs()
    sent = len(sandbox.received())
    under_way = DeliveryResult.objects.filter(status=Status.RETRYING).order_by("id").values_list("id", flat=True)[:4]
    DeliveryResult.objects.filter(pk__in=list(under_way)).update(status=Status.SENDING, claim="busy")
    step(broadcast.pk)
    DeliveryResult.objects.filter(claim="busy").update(status=Status.RETRYING, claim="", due_at=timezone.now())
    empty(redis_client)
    for _ in range(2):
        sweep()
        run_jobs()
    assert 0 < sent <= 6
    assert len(sandbox.received()) == sent
    told = progress(broadcast.pk)
    assert (told.counts.pop("accepted"), told.counts) == (sent, {state: 20 - sent} if state == "cancelled" else {})
    assert told.total == 20


# --- progress and the end ---------------------------------------------------------------------


def test_progress_counts_every_end_and_everybody_who_waits(key: Any):
    phones(8)
    make_device(make_account(login_status=0))
    broadcast = expanded()
    for pk, status in zip(tokens_ids()[: len(TERMINAL)], TERMINAL, strict=True):
        endings.end(DeliveryResult.objects.filter(pk=pk), status, Reason.CUT_OFF, now=timezone.now())
    told = progress(broadcast.pk)
    assert told.counts == dict.fromkeys(map(str, TERMINAL), 1) | {"skipped": 2}
    assert (told.total, told.done, told.waiting, told.recent, told.is_expanded) == (9, 7, 2, 7, True)


def test_an_account_that_refuses_is_counted_with_all_its_phones(key: Any):
    account = make_account(login_status=0)
    phones(2, account=account)
    broadcast = expanded()
    assert (progress(broadcast.pk).total, progress(broadcast.pk).counts) == (2, {"skipped": 2})
    assert broadcast.estimate == progress(broadcast.pk).devices == 2


def test_accounts_without_a_device_are_told_apart_from_the_devices(key: Any):
    away, here = make_account(login_status=0), make_account()
    phones(2, account=away)
    phones(3, account=here)
    listed = [away.pk, here.pk, make_account().pk, "nobody"]
    broadcast = expanded(audience_kind="accounts", accounts=listed)
    told = progress(broadcast.pk)
    assert (told.total, told.devices, told.without_device) == (7, 5, 2)
    assert told.counts == {"skipped": 4}
    broadcast.refresh_from_db()
    assert broadcast.estimate == 5


def test_the_estimate_becomes_what_was_listed(key: Any):
    phones(3)
    broadcast = launched()
    phones(2)
    expand(broadcast.pk)
    broadcast.refresh_from_db()
    assert (broadcast.estimate, progress(broadcast.pk).devices) == (5, 5)


def test_one_that_starts_with_nobody_says_so(key: Any):
    broadcast = expanded()
    broadcast.refresh_from_db()
    assert notes.code(broadcast.status_reason) is Sentence.NOBODY


def test_progress_costs_two_queries_however_many_rows_there_are(key: Any, django_assert_num_queries: Any):
    phones(3)
    broadcast = expanded()
    with django_assert_num_queries(2) as queries:
        progress(broadcast.pk)
    assert not any("deliveryresult" in query["sql"] for query in queries.captured_queries)


def test_progress_leaves_out_other_broadcasts(key: Any):
    phones(2)
    first, second = expanded(), expanded()
    assert progress(first.pk).total == progress(second.pk).total == 2


def test_progress_of_a_draft_is_nothing():
    told = progress(make_broadcast().pk)
    assert (told.counts, told.total, told.is_expanded) == ({}, 0, False)


def test_progress_of_what_does_not_exist_is_an_error():
    with pytest.raises(Broadcast.DoesNotExist):
        progress(7)


@pytest.mark.parametrize("status", Status)
def test_it_is_finished_when_every_delivery_is_over(key: Any, status: Status):
    phones(2)
    broadcast = expanded()
    first, second = DeliveryResult.objects.values_list("id", flat=True)
    DeliveryResult.objects.filter(pk=first).update(status=Status.ACCEPTED)
    DeliveryResult.objects.filter(pk=second).update(status=status)
    is_over = status not in (Status.PENDING, Status.HELD, Status.SENDING, Status.RETRYING)
    assert finish_done() == int(is_over)
    broadcast.refresh_from_db()
    assert (broadcast.status == BroadcastStatus.FINISHED) == is_over
    assert (broadcast.finished_at is not None) == is_over


def test_it_is_not_finished_before_it_is_expanded(key: Any):
    launched()
    assert finish_done() == 0


@pytest.mark.parametrize("status", sorted(set(BroadcastStatus) - {BroadcastStatus.SENDING}))
def test_only_what_is_sending_can_finish(status: BroadcastStatus):
    make_broadcast(status=status, is_expanded=True)
    assert finish_done() == 0


# --- what the sweeper puts back ---------------------------------------------------------------


def test_a_scheduled_broadcast_is_launched_at_its_time():
    later = launched(scheduled_at=timezone.now() + timedelta(hours=1))
    due = launched(scheduled_at=timezone.now() + timedelta(hours=1))
    Broadcast.objects.filter(pk=due.pk).update(scheduled_at=timezone.now() - timedelta(seconds=1))
    lifecycle.put_back()
    assert PushRecord.objects.get().broadcast_id == due.pk
    later.refresh_from_db()
    assert later.status == BroadcastStatus.SCHEDULED


def test_a_scheduled_broadcast_that_cannot_be_sent_is_cancelled_and_holds_up_no_other(caplog: pytest.LogCaptureFixture):
    past = timezone.now() - timedelta(seconds=1)
    broken = make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=past, text="长" * 30_000)
    fine = make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=past)
    lifecycle.put_back()
    broken.refresh_from_db()
    fine.refresh_from_db()
    assert (broken.status, fine.status) == (BroadcastStatus.CANCELLED, BroadcastStatus.SENDING)
    assert notes.english(broken.status_reason).startswith("text=")
    assert "cancelled" in caplog.text


def test_a_scheduled_broadcast_that_was_cancelled_the_moment_before_is_no_error():
    broadcast = make_broadcast(status=BroadcastStatus.CANCELLED)
    lifecycle._launch_scheduled(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_an_expansion_that_is_still_enqueued_gets_no_second_chain(redis_client: Redis, settings: Settings):
    settings.STUCK_SECONDS = 0.0
    launched()
    for _ in range(3):
        lifecycle.put_back()
    # The record's own job is in the queue: it will start the expansion.
    assert queues.depths([lifecycle.EXPANSIONS]) == {lifecycle.EXPANSIONS: 1}
    empty(redis_client)
    for _ in range(3):
        lifecycle.put_back()
    assert queues.depths([lifecycle.EXPANSIONS]) == {lifecycle.EXPANSIONS: 1}


def test_without_redis_what_is_due_is_launched_all_the_same(settings: Settings):
    past = timezone.now() - timedelta(seconds=1)
    broadcast = make_broadcast(status=BroadcastStatus.SCHEDULED, scheduled_at=past)
    leave_redis(settings)
    with pytest.raises(RedisError):
        lifecycle.put_back()
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.SENDING


def test_the_state_of_a_records_broadcast_is_known():
    paused = launched()
    pause(paused.pk)
    running = launched()
    ids = {record.broadcast_id: record.pk for record in PushRecord.objects.all()}
    assert rows.states(list(ids.values())) == {ids[paused.pk]: "paused", ids[running.pk]: "sending"}
