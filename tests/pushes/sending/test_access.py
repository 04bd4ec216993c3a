"""Calls that carry an access token: renewed once in the middle of a window, and never a storm."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.keys import access_tokens, gate, rotation
from pushes.models import AppKey, DeliveryResult
from pushes.names import Platform, ProviderKind, Reason, Status
from pushes.sending import access
from pushes.sending.job import deliver
from tests.make import make_account, make_app_key, make_device, make_token
from tests.pushes.rows import make_delivery, make_record
from tests.pushes.token_server import Vendor, running_vendor, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
ACCEPTED = (Status.ACCEPTED, "")
OLD, NEW = "old-secret", "new-secret"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    access_tokens.forget()
    with running_vendor() as vendor:
        vendor.secret = OLD
        yield vendor
    access_tokens.forget()


@pytest.fixture
def key(vendor: Vendor) -> AppKey:
    return make_app_key(
        platform=Platform.ANDROID,
        provider=ProviderKind.HUAWEI_V1,
        access_id="100",
        secret=stored(OLD),
        endpoint_url=vendor.url,
    )


def due(key: AppKey, **fields: object) -> DeliveryResult:
    device = make_device(make_account(), token=make_token(), platform=key.platform, channel=key.channel)
    return make_delivery(make_record(), device, app_key_id=key.pk, **fields)


def send(*rows: DeliveryResult) -> list[tuple[str, str]]:
    deliver([row.pk for row in rows])
    return states(*rows)


def states(*rows: DeliveryResult) -> list[tuple[str, str]]:
    for row in rows:
        row.refresh_from_db()
    return [(row.status, row.reason) for row in rows]


def again(key: AppKey) -> AppKey:
    return AppKey.objects.get(pk=key.pk)


def test_every_call_carries_the_one_token(vendor: Vendor, key: AppKey):
    rows = [due(key) for _ in range(70)]
    assert set(send(*rows)) == {ACCEPTED}
    assert {bearer for _, bearer in vendor.pushed} == {"token-0"}
    assert vendor.exchanges == 1


def test_a_stale_token_in_the_middle_costs_the_affected_calls_one_more_try(
    vendor: Vendor, key: AppKey, monkeypatch: pytest.MonkeyPatch
):
    rows = [due(key) for _ in range(40)]
    push = vendor.push

    def expire_after_ten(bearer: str, body: dict[str, object]) -> tuple[int, object]:
        if len(vendor.pushed) >= 10 and vendor.exchanges == 1:
            vendor.expire()
        return push(bearer, body)

    monkeypatch.setattr(vendor, "push", expire_after_ten)
    assert set(send(*rows)) == {ACCEPTED}
    tokens = [token for token, _ in vendor.pushed]
    assert sorted(tokens) == sorted(row.token for row in rows)
    assert sorted({bearer for _, bearer in vendor.pushed}) == ["token-0", "token-1"]
    assert len(vendor.refused) == len(set(vendor.refused)) > 0
    assert vendor.exchanges == 2
    assert {row.attempts for row in rows} == {1}


def test_a_list_is_sent_once_more_too(vendor: Vendor, key: AppKey, settings: Settings):
    settings.MULTI_PUSH_LEAST = 2
    send(due(key))
    vendor.expire()
    record = make_record()
    devices = [make_device(make_account(), platform=key.platform, channel=key.channel) for _ in range(20)]
    rows = [make_delivery(record, device, app_key_id=key.pk) for device in devices]
    assert set(send(*rows)) == {ACCEPTED}
    assert (len(vendor.pushed), vendor.exchanges) == (21, 2)
    assert {row.attempts for row in rows} == {1}


def test_a_second_stale_answer_is_the_credentials_fault(vendor: Vendor, key: AppKey):
    vendor.grants_stale = True
    rows = [due(key) for _ in range(30)]
    assert set(send(*rows)) == {(Status.RETRYING, Reason.BAD_CREDENTIALS)}
    assert again(key).is_paused
    assert vendor.exchanges == 2  # one forced renewal, never two
    assert {row.attempts for row in rows} == {0}
    assert not vendor.pushed


def test_no_row_is_begun_while_there_is_no_token(vendor: Vendor, key: AppKey, settings: Settings):
    vendor.exchange_status = 503
    rows = [due(key) for _ in range(5)]
    before = timezone.now()
    [(status, _reason)] = set(send(*rows))
    assert status == Status.RETRYING
    assert {(row.attempts, row.sent_at) for row in rows} == {(0, None)}
    assert {row.due_at > before + timedelta(seconds=settings.RETRY_BASE_SECONDS / 2) for row in rows} == {True}
    assert not again(key).is_paused


def test_an_exchange_that_fails_again_and_again_trips_the_breaker(
    vendor: Vendor, key: AppKey, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access_tokens, "FAILED_SECONDS", 0.001)
    vendor.exchange_status = 503
    row = due(key)
    for _ in range(settings.BREAKER_FAILURES):
        DeliveryResult.objects.update(due_at=timezone.now())
        deliver([row.pk])
    assert gate.state(key.pk).is_tripped


def test_a_refused_exchange_pauses_the_key_and_says_why(vendor: Vendor, key: AppKey):
    vendor.secret = "another"
    assert send(due(key)) == [(Status.RETRYING, Reason.KEY_PAUSED)]
    assert again(key).paused_reason == "1101 access token: invalid client"


def test_a_refused_new_secret_falls_back_to_the_old_one(vendor: Vendor, key: AppKey):
    rotation.rotate(key, stored(NEW))
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.BAD_CREDENTIALS)]
    found = again(key)
    assert (found.credentials().secret, found.is_paused, found.fell_back_at is not None) == (stored(OLD), False, True)
    assert send(row) == [ACCEPTED]


def test_a_renewal_in_vain_leaves_no_call_in_doubt(vendor: Vendor, key: AppKey):
    send(due(key))
    vendor.expire()
    vendor.exchange_status = 503
    rows = [due(key) for _ in range(3)]
    assert {status for status, _ in send(*rows)} == {Status.RETRYING}
    assert not any(row.may_have_arrived for row in rows)


def test_a_long_job_notices_that_its_token_grows_old(
    vendor: Vendor, key: AppKey, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    """Before each batch; the messages of the job are written anew for the new token."""
    settings.SEND_CONCURRENCY = settings.SEND_THREADS = 1
    record = make_record(one_by_one=True)
    devices = [make_device(make_account(), platform=key.platform, channel=key.channel) for _ in range(3)]
    rows = [make_delivery(record, device, app_key_id=key.pk) for device in devices]
    monkeypatch.setattr(access_tokens, "RENEWED_AFTER", 0.0)
    assert set(send(*rows)) == {ACCEPTED}
    assert [bearer for _, bearer in vendor.pushed] == ["token-0", "token-1", "token-2"]


def test_of_rows_that_were_taken_away_meanwhile_none_is_sent_again(
    vendor: Vendor, key: AppKey, monkeypatch: pytest.MonkeyPatch
):
    send(due(key))
    vendor.expire()
    rows = [due(key) for _ in range(4)]
    renew = access.renewal_in_vain

    def slow(*args: Any) -> object:
        """The sweeper took one row while the token was renewed."""
        DeliveryResult.objects.filter(pk=rows[0].pk).update(status=Status.UNKNOWN, claim="")
        return renew(*args)

    monkeypatch.setattr(access, "renewal_in_vain", slow)
    assert send(*rows) == [(Status.UNKNOWN, ""), ACCEPTED, ACCEPTED, ACCEPTED]
    assert rows[0].token not in [token for token, _ in vendor.pushed]


def test_a_key_without_access_tokens_asks_for_none(redis_client: Redis):
    key = make_app_key(endpoint_url="http://127.0.0.1:9")
    send(due(key))
    assert not redis_client.keys("higo:access-token:*")
