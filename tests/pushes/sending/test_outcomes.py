"""Outcomes become rows, counters, dead tokens, halted messages and paused keys."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.keys import gate, pausing
from pushes.ledger import claims
from pushes.ledger.claims import Claimed
from pushes.models import AppKey, DeliveryResult, Device, DeviceEvent, LatencyBucket, MinuteCount, PushRecord, policies
from pushes.names import CLAIMABLE, Platform, PushType, Reason, Status
from pushes.sending import outcomes
from pushes.text.notes import said
from pushes.values import Blame, Content, Outcome, Scope, Verdict
from tests.make import make_app_key, make_device, make_secret
from tests.pushes.rows import leave_redis, make_delivery, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

ACCEPTED = Outcome(Verdict.ACCEPTED, code="0", push_id="2854657652")
DEAD = Outcome(Verdict.BAD_TARGET, Reason.BAD_TOKEN, code="40", text="token does not exist")
BAD_MESSAGE = Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, code="-1", text="param error")
BAD_KEY = Outcome(
    Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, code="-103", text="sign error", blame=Blame.CREDENTIALS
)
THROTTLED = Outcome(Verdict.RETRY, Reason.THROTTLED, Scope.KEY, code="76", retry_after_seconds=30.0)
BUSY = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY, code="15")
OFFLINE = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET, code="90")
SILENT = Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER)


@pytest.fixture
def key() -> AppKey:
    return make_app_key()


def row_for(key: AppKey, record: PushRecord | None = None, **fields: Any) -> DeliveryResult:
    return make_delivery(
        record or make_record(push_type=PushType.NEW_ORDER), make_device(), app_key_id=key.pk, **fields
    )


def settle(key: AppKey, *pairs: tuple[DeliveryResult, Outcome], is_begun: bool = True) -> bool:
    """Claim the rows, begin their calls, and settle them as the job would."""
    ids = [row.pk for row, _ in pairs]
    token, claimed = claims.claim(ids, now=timezone.now(), lease_seconds=60)
    if is_begun:
        claims.begin(ids, token, now=timezone.now(), lease_seconds=60)
    by_id: dict[int, Claimed] = {row.id: row for row in claimed}
    records = PushRecord.objects.filter(deliveries__in=ids).values_list(*Content._fields)
    contents = {content.id: content for content in map(Content._make, records)}
    finished = [(by_id[row.pk], outcome) for row, outcome in pairs]
    goes_on = outcomes.settle(key, token, finished, policies(), contents, is_begun=is_begun)
    for row, _ in pairs:
        row.refresh_from_db()
    return goes_on


# --- rows -------------------------------------------------------------------------------------


def test_an_accepted_row_keeps_the_providers_words(key: AppKey):
    row = row_for(key, order_key=5)
    assert settle(key, (row, ACCEPTED))
    assert (row.status, row.reason, row.provider_code, row.provider_push_id) == ("accepted", "", "0", "2854657652")
    assert (row.order_key, row.claim, row.lease_until, row.attempts) == (None, "", None, 1)
    assert row.finished_at is not None


@pytest.mark.parametrize(
    ("outcome", "status", "attempts"),
    [
        (ACCEPTED, Status.ACCEPTED, 1),
        (DEAD, Status.FAILED, 1),
        (BAD_MESSAGE, Status.FAILED, 1),
        (BAD_KEY, Status.RETRYING, 0),
        (THROTTLED, Status.RETRYING, 0),
        (BUSY, Status.RETRYING, 1),
        (SILENT, Status.RETRYING, 1),
    ],
)
@pytest.mark.parametrize("is_begun", [True, False])
def test_an_attempt_counts_or_does_not_whether_begun_or_not(
    key: AppKey, outcome: Outcome, status: Status, attempts: int, is_begun: bool
):
    row = row_for(key)
    settle(key, (row, outcome), is_begun=is_begun)
    assert (row.status, row.attempts) == (status, attempts)


def test_a_row_that_will_be_tried_again_keeps_its_place_in_its_conversation(key: AppKey):
    row = row_for(key, order_key=5)
    settle(key, (row, BUSY))
    assert (row.order_key, row.finished_at) == (5, None)
    assert row.due_at > timezone.now()


@pytest.mark.parametrize(
    ("code", "http_status"), [("40", 400), ("BadDeviceToken", 410), ("", 404), ("", None), ("0", 200)]
)
def test_code_and_status_stand_beside_each_other(key: AppKey, code: str, http_status: int | None):
    row = row_for(key)
    settle(key, (row, Outcome(Verdict.FAILED, Reason.NO_DEVICE, code=code, http_status=http_status)))
    assert (row.provider_code, row.http_status) == (code, http_status)


def test_long_words_of_the_provider_are_cut(key: AppKey):
    row = row_for(key)
    settle(key, (row, Outcome(Verdict.FAILED, Reason.NO_DEVICE, text="错" * 500, code="8" * 50, push_id="9" * 70)))
    assert (len(row.provider_text), len(row.provider_code or ""), len(row.provider_push_id)) == (200, 40, 63)


def test_rows_of_a_lost_claim_stay_as_they_are(key: AppKey):
    row = row_for(key)
    token, [claimed] = claims.claim([row.pk], now=timezone.now(), lease_seconds=60)
    DeliveryResult.objects.filter(pk=row.pk).update(status=Status.UNKNOWN, claim="")
    content = Content(*PushRecord.objects.values_list(*Content._fields).get(pk=row.record_id))
    outcomes.settle(key, token, [(claimed, ACCEPTED)], policies(), {content.id: content})
    row.refresh_from_db()
    assert row.status == Status.UNKNOWN
    assert not MinuteCount.objects.exists()


def test_settling_many_rows_is_a_few_statements(key: AppKey, django_assert_max_num_queries):
    rows = [row_for(key) for _ in range(60)]
    with django_assert_max_num_queries(15):
        settle_only(key, rows)


def test_pushes_with_ids_of_their_own_are_a_few_statements_too(key: AppKey, django_assert_max_num_queries):
    rows = [row_for(key) for _ in range(60)]
    token, claimed = claims.claim([row.pk for row in rows], now=timezone.now(), lease_seconds=60)
    now = timezone.now()
    contents = {row.record_id: Content(*fields_of(row.record_id, now)) for row in claimed}
    finished = [(row, Outcome(Verdict.ACCEPTED, push_id=f"id-{row.id}" if row.id % 3 else "")) for row in claimed]
    with django_assert_max_num_queries(10):
        outcomes.settle(key, token, finished, policies(), contents, is_begun=False)
    stored = dict(DeliveryResult.objects.values_list("id", "provider_push_id"))
    assert stored == {row.id: f"id-{row.id}" if row.id % 3 else "" for row in claimed}
    assert set(DeliveryResult.objects.values_list("status", flat=True)) == {Status.ACCEPTED}


def settle_only(key: AppKey, rows: list[DeliveryResult]) -> None:
    token, claimed = claims.claim([row.pk for row in rows], now=timezone.now(), lease_seconds=60)
    now = timezone.now()
    contents = {row.record_id: Content(*fields_of(row.record_id, now)) for row in claimed}
    in_turn = itertools.cycle([ACCEPTED, BUSY])
    outcomes.settle(key, token, list(zip(claimed, in_turn, strict=False)), policies(), contents, is_begun=False)


def fields_of(record_id: int, now: Any) -> list[Any]:
    known = {"id": record_id, "push_type": 5, "data": {}, "created_at": now, "expires_at": now}
    return [known.get(name, "") for name in Content._fields]


# --- counters ---------------------------------------------------------------------------------


def test_what_happened_is_counted_by_key_and_reason(key: AppKey):
    settle(key, *[(row_for(key), ACCEPTED) for _ in range(3)], (row_for(key), DEAD))
    counted = {(c.event, c.reason, c.app_key_id): c.count for c in MinuteCount.objects.all()}
    assert counted == {("accepted", "", key.pk): 3, ("failed", "bad_token", key.pk): 1}


def test_the_time_from_accepted_message_to_accepted_push_is_counted(key: AppKey):
    old = make_record(created_at=timezone.now() - timedelta(seconds=3))
    settle(key, (row_for(key, old), ACCEPTED), (row_for(key), DEAD))
    [bucket] = LatencyBucket.objects.all()
    assert bucket.count == 1
    assert 3_000 <= bucket.le_ms <= 10_000


# --- tokens -----------------------------------------------------------------------------------


def test_a_dead_token_is_deactivated_with_the_providers_words(key: AppKey):
    dead, fine = row_for(key), row_for(key)
    settle(key, (dead, DEAD), (fine, ACCEPTED))
    assert list(Device.objects.filter(is_active=False).values_list("id", flat=True)) == [dead.device_id]
    assert DeviceEvent.objects.get().detail == "40 token does not exist"


@pytest.mark.parametrize("outcome", [BAD_MESSAGE, BAD_KEY, THROTTLED, BUSY, OFFLINE, SILENT])
def test_nothing_but_a_token_error_touches_tokens(key: AppKey, outcome: Outcome):
    settle(key, *[(row_for(key), outcome) for _ in range(3)])
    assert not Device.objects.filter(is_active=False).exists()
    assert not DeviceEvent.objects.exists()


def test_a_device_that_only_a_directory_knows_is_no_error(key: AppKey):
    row = make_delivery(app_key_id=key.pk)
    settle(key, (row, DEAD))
    assert row.status == Status.FAILED


# --- messages ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", CLAIMABLE)
def test_a_refused_message_is_spared_the_rest_of_its_devices(key: AppKey, status: Status):
    record = make_record()
    sent, waiting = row_for(key, record), row_for(key, record, status=status)
    settle(key, (sent, BAD_MESSAGE))
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason, waiting.provider_code) == ("failed", "bad_payload", "-1")
    assert waiting.finished_at is not None


def test_a_refused_message_harms_no_other_record_key_or_finished_row(key: AppKey):
    record, other_key = make_record(), make_app_key(platform=Platform.IOS)
    done = row_for(key, record, status=Status.ACCEPTED)
    elsewhere, another = row_for(other_key, record), row_for(key)
    settle(key, (row_for(key, record), BAD_MESSAGE))
    states = DeliveryResult.objects.filter(pk__in=[done.pk, elsewhere.pk, another.pk]).order_by("id")
    assert [row.status for row in states] == ["accepted", "pending", "pending"]
    key.refresh_from_db()
    assert not key.is_paused


# --- keys -------------------------------------------------------------------------------------


def test_refused_credentials_pause_the_key_with_the_reason(key: AppKey, caplog: pytest.LogCaptureFixture):
    assert not settle(key, (row_for(key), BAD_KEY))
    key.refresh_from_db()
    assert (key.is_paused, key.paused_reason) == (True, "-103 sign error")
    assert "paused" in caplog.text


def test_what_is_refused_or_halted_without_a_call_is_counted_too(key: AppKey):
    record = make_record(push_type=PushType.NEW_ORDER)
    asked, waiting, elsewhere = row_for(key, record), row_for(key, record), row_for(key)
    settle(key, (asked, BAD_MESSAGE))
    assert outcomes.refuse([elsewhere.pk, waiting.pk], Reason.NO_APP_KEY) == 1
    counted = MinuteCount.objects.filter(app_key_id=key.pk).values_list("event", "reason", "count")
    assert sorted(counted) == [(Status.FAILED, Reason.BAD_PAYLOAD, 2), (Status.SKIPPED, Reason.NO_APP_KEY, 1)]


@pytest.mark.parametrize("change", ["secret", "access_id", "endpoint_url"])
def test_a_refusal_of_what_the_key_was_before_does_not_pause_what_it_is_now(key: AppKey, change: str):
    """An operator corrects and resumes a key; calls that were under way with the old credentials fail after it."""
    row, corrected = row_for(key), AppKey.objects.get(pk=key.pk)
    if change == "secret":
        corrected.set_secret(make_secret())
    else:
        setattr(
            corrected, change, {"access_id": f"{key.access_id}1", "endpoint_url": "http://push.example.com"}[change]
        )
    corrected.save()
    assert not settle(key, (row, BAD_KEY))
    key.refresh_from_db()
    row.refresh_from_db()
    assert not key.is_paused
    assert (row.status, row.due_at <= timezone.now()) == (Status.RETRYING, True)


def test_the_first_reason_of_a_pause_is_kept(key: AppKey):
    pausing.pause_key(key, said("first"))
    pausing.pause_key(key, said("second"))
    key.refresh_from_db()
    assert key.paused_reason == "first"


def test_a_pause_without_words_still_has_a_reason(key: AppKey):
    pausing.pause_key(key, said(""))
    key.refresh_from_db()
    assert key.paused_reason


def test_resuming_lets_waiting_pushes_go_at_once(key: AppKey):
    later = timezone.now() + timedelta(minutes=50)
    waiting = row_for(key, status=Status.RETRYING, reason=Reason.KEY_PAUSED, due_at=later)
    retrying = row_for(key, status=Status.RETRYING, reason=Reason.PROVIDER_BUSY, due_at=later)
    pausing.pause_key(key, said("wrong secret"))
    gate.report(key.pk, answered=0, failed=0, pause_seconds=100)
    pausing.resume_key(key)
    key.refresh_from_db()
    waiting.refresh_from_db()
    retrying.refresh_from_db()
    assert (key.is_paused, key.paused_reason, gate.seconds_shut(key.pk)) == (False, "", 0)
    assert waiting.due_at <= timezone.now()
    assert retrying.due_at == later


def test_failures_without_an_answer_trip_the_breaker(key: AppKey, settings: Settings):
    settings.BREAKER_FAILURES = 4
    failures = [Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER) for _ in range(2)]
    failures += [Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY) for _ in range(2)]
    assert not settle(key, *[(row_for(key), outcome) for outcome in failures])
    assert gate.state(key.pk).is_tripped


def test_the_rows_of_one_list_call_are_one_failure(key: AppKey, settings: Settings):
    settings.BREAKER_FAILURES = 2
    assert settle(key, *[(row_for(key), SILENT) for _ in range(10)])
    assert not gate.state(key.pk).is_tripped


def test_phones_that_are_offline_say_nothing_about_the_provider(key: AppKey, settings: Settings):
    settings.BREAKER_FAILURES = 2
    for _ in range(5):
        outcome = Outcome(Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET, code="90")
        assert settle(key, (row_for(key), outcome))
    assert gate.seconds_shut(key.pk) == 0


def test_throttling_pauses_the_key_for_as_long_as_the_provider_says(key: AppKey):
    assert not settle(key, (row_for(key), THROTTLED))
    assert 28 < gate.seconds_shut(key.pk) <= 30
    assert not gate.state(key.pk).is_tripped


def test_outcomes_are_written_even_when_the_gate_cannot_be_told(
    key: AppKey, settings: Settings, redis_client: Redis, caplog: pytest.LogCaptureFixture
):
    leave_redis(settings)
    rows = [row_for(key), row_for(key)]
    assert settle(key, (rows[0], ACCEPTED), (rows[1], SILENT))
    assert [row.status for row in rows] == [Status.ACCEPTED, Status.RETRYING]
    assert "gate" in caplog.text


# --- rows that can no longer be sent ----------------------------------------------------------


def test_rows_without_a_key_are_skipped_with_the_reason(key: AppKey):
    rows = [row_for(key, status=status, order_key=n) for n, status in enumerate(CLAIMABLE)]
    done = row_for(key, status=Status.ACCEPTED)
    assert outcomes.refuse([row.pk for row in [*rows, done]], Reason.NO_APP_KEY) == len(CLAIMABLE)
    skipped = DeliveryResult.objects.filter(status=Status.SKIPPED, reason=Reason.NO_APP_KEY, order_key=None)
    assert skipped.exclude(finished_at=None).count() == len(CLAIMABLE)
