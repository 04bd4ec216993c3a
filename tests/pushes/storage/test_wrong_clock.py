"""A machine with a wrong clock stops itself, and no other; what it writes is by the database's clock all the same."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.console.overview import alerts
from pushes.distribution import distribute
from pushes.history import exports, vitals
from pushes.models import DeliveryResult, Export, PushRecord
from pushes.names import ExportStatus, PushType, Reason, RecordStatus, Status
from pushes.providers import answers
from pushes.storage import clocks
from pushes.submit import submit
from pushes.upkeep import postdated
from pushes.upkeep.sweep import sweep, take_lease
from pushes.workers import pulse
from pushes.workers.pulse import CLOCK, Pulse
from tests.needs import needs
from tests.pushes.rows import leave_redis, make_delivery, make_message, make_record
from tests.pushes.sending.test_job import ACCEPTED, due, make_key, send, states
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def off_by(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Put this machine's clock forward, or back: both ways of reading it."""
    real_time, real_now = time.time, timezone.now

    def put(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real_time() + seconds)
        monkeypatch.setattr(timezone, "now", lambda: real_now() + timedelta(seconds=seconds))

    yield put
    pulse._Process.clock_refused_at = None


# --- a refusal for the time of a call ---------------------------------------------------------


@pytest.mark.parametrize("seconds", [3_600, -3_600, 900])
def test_a_machine_with_a_wrong_clock_stops_itself_and_not_the_key(
    sandbox: Sandbox, off_by: Callable[[float], None], seconds: float
):
    key = make_key(sandbox)
    row, other = due(key), due(key)
    off_by(seconds)
    here = clocks.now()  # the shared time, which on SQLite is this clock's
    DeliveryResult.objects.update(expires_at=here + 3 * HOUR, due_at=here - SECOND)
    assert send(row) == [(Status.RETRYING, Reason.WRONG_CLOCK)]
    key.refresh_from_db()
    assert (key.paused_at, row.attempts) == (None, 0)
    assert send(other) == [(Status.RETRYING, Reason.WRONG_CLOCK)]
    assert other.sent_at is None
    off_by(0)
    DeliveryResult.objects.update(due_at=timezone.now() - SECOND)
    assert send(row, other) == [ACCEPTED, ACCEPTED]


def test_a_refusal_that_the_own_clock_does_not_explain_is_the_keys_matter(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """The provider's clock may be the wrong one: every machine would be refused."""
    key = make_key(sandbox)
    row = due(key)
    real = time.time
    monkeypatch.setattr("pushes.sending.calls.time.time", lambda: real() + 3_600)
    monkeypatch.setattr(clocks, "is_wrong", lambda: False)
    send(row)
    key.refresh_from_db()
    assert (key.is_paused, pulse.may_send()) == (True, True)


def test_without_a_server_to_compare_with_it_is_the_keys_matter_too(
    off_by: Callable[[float], None], settings: Settings
):
    if connection.vendor == "mysql":
        pytest.skip("MariaDB has a clock")
    off_by(3_600)
    leave_redis(settings)
    assert not clocks.is_wrong()


def test_every_worker_of_the_machine_stops_says_so_and_goes_on(
    redis_client: Redis, off_by: Callable[[float], None], settings: Settings
):
    settings.SHARD_LEASE_SECONDS = 30
    off_by(900)
    pulse.stop_sending()
    pulse._Process.clock_refused_at = None  # as in another process
    own, bystander = Pulse("workers-group", lambda: None, sends=True), Pulse("intake", lambda: None)
    own.start()
    bystander.start()
    assert (own.is_well, bystander.is_well) == (False, True)
    [said] = pulse.complaints()
    assert (said.process, said.what) == ("workers-group", CLOCK)
    [alert] = [one for one in alerts._unwell(vitals.redis_view()) if one.name.startswith("unwell")]
    assert said.host in alert.text
    off_by(0)
    own._look()
    assert (own.is_well, pulse.complaints()) == (True, [])
    own.stop()
    bystander.stop()


def test_a_date_to_retry_after_is_counted_from_the_answers_own_date(off_by: Callable[[float], None]):
    off_by(3_600)
    headers = {"date": "Fri, 27 Nov 2026 10:00:00 GMT", "retry-after": "Fri, 27 Nov 2026 10:00:30 GMT"}
    assert answers.retry_after(headers) == 30


# --- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3_600, -3_600])
def test_due_times_are_the_databases(off_by: Callable[[float], None], seconds: float, settings: Settings):
    needs("mariadb")
    right = timezone.now()
    off_by(seconds)
    submit([make_message("u1", push_type=PushType.DEFAULT)])
    record = PushRecord.objects.get()
    distribute.distribute([record.pk])
    assert take_lease(clocks.now())
    row = DeliveryResult.objects.get()
    for moment in (record.created_at, row.due_at, row.created_at, clocks.now()):
        assert abs(moment - right) < timedelta(seconds=20)


def test_clocks_that_agree_leave_the_own_time(off_by: Callable[[float], None]):
    off_by(0.2)
    assert abs(clocks.now() - timezone.now()) < timedelta(milliseconds=50)


def test_a_clock_that_is_set_while_the_process_runs_changes_nothing(off_by: Callable[[float], None]):
    needs("mariadb")
    before = clocks.now()
    off_by(7_200)
    assert abs(clocks.now() - before) < timedelta(seconds=20)


# --- what was written by a clock that was ahead -----------------------------------------------


def ahead(status: Status, reason: str, due_in: timedelta, **fields: Any) -> DeliveryResult:
    now = timezone.now()
    return make_delivery(
        make_record(expires_at=now + timedelta(days=3)), status=status, reason=reason, due_at=now + due_in, **fields
    )


@pytest.mark.parametrize(
    ("status", "reason", "due_in"),
    [
        (Status.RETRYING, Reason.NO_ANSWER, HOUR),
        (Status.RETRYING, Reason.UNREACHABLE, HOUR),
        (Status.RETRYING, Reason.CUT_OFF, 12 * HOUR),
        (Status.RETRYING, Reason.PROVIDER_BUSY, 2 * HOUR),
        (Status.PENDING, "", HOUR),
        (Status.HELD, Reason.ONLINE, HOUR),
        (Status.HELD, Reason.COALESCED, HOUR),
        (Status.HELD, Reason.OUTSIDE_WINDOW, 60 * HOUR),
    ],
)
def test_rows_that_are_due_too_far_ahead_are_due_now(status: Status, reason: str, due_in: timedelta):
    row = ahead(status, reason, due_in)
    assert postdated.bring_back(timezone.now()) == 1
    row.refresh_from_db()
    assert row.due_at <= timezone.now()
    assert sweep() is not None
    row.refresh_from_db()
    assert row.status == Status.PENDING


def test_a_retry_after_a_call_of_tomorrow_is_due_now():
    row = ahead(Status.RETRYING, Reason.THROTTLED, HOUR, sent_at=timezone.now() + HOUR)
    assert postdated.bring_back(timezone.now()) == 1
    row.refresh_from_db()
    assert row.due_at <= timezone.now()


@pytest.mark.parametrize(
    ("status", "reason", "due_in"),
    [
        (Status.RETRYING, Reason.NO_ANSWER, timedelta(minutes=5)),
        (Status.RETRYING, Reason.PROVIDER_BUSY, HOUR),
        (Status.RETRYING, Reason.THROTTLED, 10 * HOUR),
        (Status.HELD, Reason.OUTSIDE_WINDOW, 24 * HOUR),
        (Status.HELD, Reason.BROADCAST_PAUSED, timedelta(days=3_650)),
        (Status.HELD, Reason.ONLINE, timedelta(minutes=1)),
    ],
)
def test_rows_that_wait_as_they_should_go_on_waiting(status: Status, reason: str, due_in: timedelta):
    row = ahead(status, reason, due_in)
    assert postdated.bring_back(timezone.now()) == 0
    assert states(row) == [(status, reason)]


@pytest.mark.django_db(transaction=True)
def test_a_record_that_was_accepted_tomorrow_is_distributed_today(run_jobs: Callable[[], object]):
    record = make_record(status=RecordStatus.PENDING, accounts=["u1"], created_at=timezone.now() + HOUR)
    swept = sweep()
    assert swept is not None
    assert swept.records_enqueued == 1
    run_jobs()
    record.refresh_from_db()
    assert record.status == RecordStatus.DISTRIBUTED


def test_an_exports_lease_of_tomorrow_is_none(django_user_model: Any):
    soon: datetime = timezone.now() + HOUR
    owner = django_user_model.objects.create(username="mei")
    export = Export.objects.create(created_by=owner, status=ExportStatus.RUNNING, holder="gone", lease_until=soon)
    assert exports._claimed(export.pk) is not None
