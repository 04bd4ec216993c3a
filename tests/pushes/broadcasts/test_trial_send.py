"""Test sends of a broadcast's message to devices that somebody names."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from redis import Redis

from pushes.broadcasts import progress, trial_send
from pushes.models import AppKey, Broadcast, DeliveryResult, PushRecord
from pushes.models.broadcasts import BOTH_APPS
from pushes.names import App, BroadcastStatus, Platform, RecordStatus, Status
from pushes.submit import InvalidMessageError
from pushes.workers import queues
from tests.make import make_account, make_app_key, make_broadcast, make_device, make_secret, make_token
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def broadcast() -> Broadcast:
    make_app_key()
    return make_broadcast(title="大促", text="全场七折", data={"page": "sale"})


def sent(broadcast: Broadcast, *names: str, nonce: str = "n") -> bool:
    return trial_send.send_broadcast(broadcast, named(broadcast, *names).devices, nonce=nonce)


def named(broadcast: Broadcast, *names: str) -> trial_send.Named:
    return trial_send.devices_of(broadcast.apps, names)


# --- who is meant -----------------------------------------------------------------------------


def test_an_account_means_its_active_devices_in_the_app(broadcast: Broadcast):
    account = make_account("7")
    phones = {make_device(account).token, make_device(account, platform=Platform.IOS).token}
    make_device(account, App.HIGIRL), make_device(account, is_active=False)
    found = named(broadcast, "7")
    assert ({device.token for device in found.devices[App.HIGO]}, found.unknown) == (phones, [])


def test_a_token_means_its_device_alone(broadcast: Broadcast):
    account = make_account("7")
    device = make_device(account)
    make_device(account)
    assert [d.device_id for d in named(broadcast, device.token).devices[App.HIGO]] == [device.pk]


def test_the_same_device_named_twice_is_one(broadcast: Broadcast):
    device = make_device(make_account("7"))
    assert named(broadcast, "7", device.token).number == 1


def test_what_means_nothing_is_named(broadcast: Broadcast):
    inactive, other = make_device(is_active=False), make_device(app=App.HIGIRL)
    make_account("no phone")
    names = ["nobody", "no phone", inactive.token, other.token]
    assert named(broadcast, *names) == trial_send.Named({}, names)


# --- sending ----------------------------------------------------------------------------------


def test_it_is_a_push_of_its_own_and_counts_for_nothing(broadcast: Broadcast):
    device = make_device()
    assert sent(broadcast, device.account_id)
    record = PushRecord.objects.get()
    assert (record.title, record.text, record.data) == ("大促", "全场七折", {"page": "sale"})
    assert (record.source, record.status) == ("broadcast-test", RecordStatus.DISTRIBUTED)
    assert (record.broadcast, record.message_id) == (None, f"broadcast-{broadcast.pk}-test")
    assert record.expires_at <= timezone.now() + timedelta(minutes=10)
    assert progress.progress(broadcast.pk).total == 0
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.DRAFT
    assert [row.token for row in trial_send.results(broadcast)] == [device.token]
    assert trial_send.results(make_broadcast()) == []


def test_the_same_form_sent_twice_sends_once(broadcast: Broadcast):
    device = make_device()
    assert [sent(broadcast, device.token) for _ in range(2)] == [True, False]
    assert sent(broadcast, device.token, nonce="another form")
    assert DeliveryResult.objects.count() == 2


def test_it_goes_at_any_hour(broadcast: Broadcast, settings: Settings):
    opens = timezone.localtime() + timedelta(hours=2)
    settings.DELIVERY_WINDOW = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M}"
    sent(broadcast, make_device().token)
    assert DeliveryResult.objects.get().status == Status.PENDING


def test_it_is_refused_as_the_broadcast_would_be(broadcast: Broadcast):
    device = make_device(make_account(login_status=0))
    sent(broadcast, device.token, make_device(platform=Platform.IOS).token)
    reasons = {row.reason for row in trial_send.results(broadcast)}
    assert reasons == {"logged_out", "no_app_key"}


def test_a_message_that_cannot_be_sent_is_refused(broadcast: Broadcast):
    broadcast.text = "长" * 30_000
    with pytest.raises(InvalidMessageError, match="text="):
        sent(broadcast, make_device().token)
    assert not PushRecord.objects.exists()


def test_one_for_both_apps_is_tested_in_both_each_with_its_own_key(broadcast: Broadcast):
    Broadcast.objects.update(app=BOTH_APPS)
    broadcast.refresh_from_db()
    other_key, account = make_app_key(App.HIGIRL), make_account("7")
    phones = {make_device(account).token: AppKey.objects.exclude(pk=other_key.pk).get().pk}
    phones[make_device(account, App.HIGIRL).token] = other_key.pk
    assert [sent(broadcast, "7") for _ in range(2)] == [True, False]
    assert {row.token: row.app_key_id for row in trial_send.results(broadcast)} == phones


@pytest.mark.django_db(transaction=True)
def test_it_goes_in_front_of_a_running_broadcast(
    broadcast: Broadcast, redis_client: Redis, run_jobs: Callable[..., int]
):
    queue = queues.queue("higo_broadcast_xinge_queue")
    queues.enqueue_send("broadcast", 0, [1, 2, 3], app_key_id=9)
    sent(broadcast, make_device().token)
    assert queue.get_jobs()[0].args[0] == [DeliveryResult.objects.get().pk]
    assert queue.count == 2


@pytest.mark.django_db(transaction=True)
def test_every_phone_has_an_answer_of_its_own(sandbox: Sandbox, run_jobs: Callable[..., int]):
    secret = make_secret()
    key: Any = make_app_key(endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    good = [make_device().token for _ in range(4)]
    dead = make_device(token=f"dead0000{make_token()[8:]}").token
    broadcast = make_broadcast()
    sent(broadcast, *good, dead)
    run_jobs()
    assert {row.token: row.status for row in trial_send.results(broadcast)} == dict.fromkeys(good, "accepted") | {
        dead: "failed"
    }
    assert sorted(push["token"] for push in sandbox.received()) == sorted(good)
