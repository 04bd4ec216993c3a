"""What vendors' refusals of device tokens do to devices: from the answer through the belief to the rows."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pushes.ledger import claims
from pushes.models import AppKey, DeliveryResult, Device, PushRecord, SuspectToken, policies
from pushes.names import CHANNELS, App, PauseCode, Platform, ProviderKind, Reason, Status
from pushes.providers.base import HttpResponse
from pushes.providers.registry import provider
from pushes.sending import outcomes
from pushes.values import Content
from tests.make import make_account, make_app_key, make_device
from tests.pushes.providers.vendors import VENDORS, Vendor
from tests.pushes.rows import make_delivery, make_record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

WAITS, FAILED = (Status.RETRYING, Reason.TOKENS_DOUBTED), (Status.FAILED, Reason.BAD_TOKEN)
ACCEPTED = (Status.ACCEPTED, "")


def of_apns(reason: str, status: int = 400, **fields: Any) -> HttpResponse:
    return HttpResponse(status, json.dumps({"reason": reason, **fields}).encode())


def of_fcm(code: str, status: int, text: str = "no") -> HttpResponse:
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}
    return HttpResponse(status, json.dumps({"error": {"message": text, "details": [detail]}}).encode())


NO_TOKEN = "The registration token is not a valid FCM registration token"
#: Everything that says of a token that it is of no use, and may say it of all because the key is wrong.
REFUSALS = [
    (ProviderKind.APNS, of_apns("BadDeviceToken")),
    (ProviderKind.APNS, of_apns("DeviceTokenNotForTopic")),
    (ProviderKind.APNS, of_apns("Unregistered", 410)),
    (ProviderKind.APNS, of_apns("ExpiredToken", 410)),
    (ProviderKind.FCM, of_fcm("UNREGISTERED", 404)),
    (ProviderKind.FCM, of_fcm("SENDER_ID_MISMATCH", 403)),
    (ProviderKind.FCM, of_fcm("INVALID_ARGUMENT", 400, NO_TOKEN)),
]


def vendor_of(kind: str) -> Vendor:
    return next(vendor for vendor in VENDORS if vendor.kind == kind)


def key_of(kind: ProviderKind) -> AppKey:
    vendor = vendor_of(kind)
    access_id, secret = provider(kind).sealed(vendor.entered)
    return make_app_key(App.HIGO, vendor.platform, provider=kind, access_id=access_id, secret=secret)


def due(key: AppKey) -> DeliveryResult:
    """A delivery of a message of its own to a device of its own."""
    platform, channel = Platform(key.platform), CHANNELS[ProviderKind(key.provider)]
    device = make_device(make_account(), platform=platform, channel=channel)
    return make_delivery(make_record(), device, app_key_id=key.pk)


def answered(key: AppKey, answers: dict[DeliveryResult, HttpResponse]) -> list[tuple[str, str]]:
    """Settle the deliveries as the job does when the vendor answers so; return their states."""
    ids = [row.pk for row in answers]
    claim, claimed = claims.claim(ids, now=timezone.now(), lease_seconds=60)
    claims.begin(ids, claim, now=timezone.now(), lease_seconds=60)
    rows = {row.id: row for row in claimed}
    records = PushRecord.objects.filter(deliveries__in=ids).values_list(*Content._fields)
    contents = {content.id: content for content in map(Content._make, records)}
    own = provider(key.provider)
    finished = [(rows[row.pk], own.read(answer)) for row, answer in answers.items()]
    outcomes.settle(key, claim, finished, policies(), contents)
    for row in answers:
        row.refresh_from_db()
    return [(row.status, row.reason) for row in answers]


def inactive() -> set[int]:
    return set(Device.objects.filter(is_active=False).values_list("pk", flat=True))


@pytest.mark.parametrize(("kind", "refusal"), REFUSALS, ids=lambda value: str(value)[:60])
def test_a_refusal_of_all_tokens_takes_no_device_and_pauses_the_key(kind: ProviderKind, refusal: HttpResponse):
    key = key_of(kind)
    assert set(answered(key, {due(key): refusal for _ in range(60)})) == {WAITS}
    assert inactive() == set()
    key.refresh_from_db()
    assert (key.is_paused, key.paused_code) == (True, PauseCode.TOKENS_DOUBTED)


@pytest.mark.parametrize(("kind", "refusal"), REFUSALS, ids=lambda value: str(value)[:60])
def test_one_after_the_other_it_is_noticed_as_well(kind: ProviderKind, refusal: HttpResponse):
    key = key_of(kind)
    found = [answered(key, {due(key): refusal})[0] for _ in range(10)]
    assert found == [FAILED] * 9 + [WAITS]
    assert inactive() == set()


@pytest.mark.parametrize(("kind", "refusal"), REFUSALS, ids=lambda value: str(value)[:60])
def test_of_a_healthy_key_a_dead_token_is_believed(kind: ProviderKind, refusal: HttpResponse):
    key, yes = key_of(kind), vendor_of(kind).yes.answer
    rows = {due(key): refusal if number == 0 else yes for number in range(20)}
    assert answered(key, rows) == [FAILED] + [ACCEPTED] * 19
    assert inactive() == {next(iter(rows)).device_id}


def test_what_a_vendor_finds_wrong_with_one_call_stops_nobody_else():
    key = key_of(ProviderKind.FCM)
    record = make_record()
    rows = [make_delivery(record, make_device(), app_key_id=key.pk) for _ in range(3)]
    states = answered(key, {rows[0]: of_fcm("INVALID_ARGUMENT", 400, "something else")})
    assert states == [(Status.FAILED, Reason.BAD_PAYLOAD)]
    assert set(DeliveryResult.objects.filter(pk__in=[rows[1].pk, rows[2].pk]).values_list("status", flat=True)) == {
        Status.PENDING
    }
    assert inactive() == set()


# --- a token that was dead, and whose device registered again ----------------------------------------


def unregistered(moment: Any) -> HttpResponse:
    return of_apns("Unregistered", 410, timestamp=int(moment.timestamp() * 1000))


@pytest.mark.parametrize(("registered", "stays"), [(timedelta(hours=1), True), (timedelta(hours=-1), False)])
def test_a_device_stays_that_registered_after_its_token_was_known_to_be_dead(registered: timedelta, stays: bool):
    key, dead_since = key_of(ProviderKind.APNS), timezone.now() - timedelta(days=3)
    row, others = due(key), [due(key) for _ in range(4)]
    Device.objects.filter(token=row.token).update(seen_at=dead_since + registered)
    yes = vendor_of(ProviderKind.APNS).yes.answer
    states = answered(key, {row: unregistered(dead_since), **dict.fromkeys(others, yes)})
    assert states == [FAILED] + [ACCEPTED] * 4
    assert inactive() == (set() if stays else {row.device_id})
    assert not SuspectToken.objects.exists()


def test_such_refusals_say_nothing_of_the_key_either():
    key, dead_since = key_of(ProviderKind.APNS), timezone.now() - timedelta(days=3)
    rows = [due(key) for _ in range(20)]
    assert set(answered(key, dict.fromkeys(rows, unregistered(dead_since)))) == {FAILED}
    assert not SuspectToken.objects.exists()
    key.refresh_from_db()
    assert not key.is_paused


def test_a_refusal_without_a_moment_is_one_of_now():
    key = key_of(ProviderKind.APNS)
    row = due(key)
    Device.objects.filter(token=row.token).update(seen_at=timezone.now() - timedelta(seconds=1))
    answered(key, {row: of_apns("Unregistered", 410)})
    assert SuspectToken.objects.get().token == row.token


def test_a_directorys_own_device_has_no_moment_to_compare_with():
    key = key_of(ProviderKind.APNS)
    row = make_delivery(app_key_id=key.pk)
    answered(key, {row: unregistered(timezone.now() - timedelta(days=3))})
    assert SuspectToken.objects.get().token == row.token
