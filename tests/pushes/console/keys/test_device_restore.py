"""What a wrong key made inactive becomes active again with one click: its own devices, of that time, and no others."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from pushes.console.overview import alerts
from pushes.history import vitals
from pushes.keys import pausing
from pushes.models import AppKey, Device, DeviceEvent
from pushes.names import App, Environment, PauseCode, Platform, Reason
from pushes.people import devices
from pushes.text.notes import Note, said
from pushes.text.sentences import Sentence
from tests.make import make_account, make_app_key, make_device
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> AppKey:
    """In doubt for three minutes, some days ago, and resumed since."""
    at = timezone.now() - timedelta(days=5)
    return make_app_key(doubted_since=at, doubted_until=at + timedelta(minutes=3))


def gone(at: datetime, *, reason: Any = Reason.BAD_TOKEN, **fields: Any) -> Device:
    device = make_device(make_account(), **fields)
    devices.deactivate([device.pk], reason, said("40 token does not exist"))
    Device.objects.filter(pk=device.pk).update(deactivated_at=at)
    return device


def active() -> set[int]:
    return set(Device.objects.filter(is_active=True).values_list("pk", flat=True))


def test_the_devices_of_the_last_spell_are_counted_and_then_active_again(key_manager: Client, key: AppKey):
    assert key.doubted_since
    mine = {gone(key.doubted_since + timedelta(seconds=second)).pk for second in range(60)}
    page = key_manager.get(url("appkey_restore_page", key.pk))
    assert ("Devices", "60") in page.context["question"].facts
    assert active() == set()
    done = key_manager.post(url("appkey_restore_page", key.pk), follow=True).content.decode()
    assert "60 devices are active again" in done
    assert active() == mine
    device = Device.objects.get(pk=min(mine))
    assert (device.deactivated_reason, device.deactivated_at) == ("", None)
    events = DeviceEvent.objects.filter(event="reactivated")
    assert events.count() == 60
    assert events.filter(detail__contains=Sentence.REFUSALS_UNDONE.value).count() == 60
    assert "60 devices are active again" in LogEntry.objects.get().change_message


def test_no_others_are_touched(key_manager: Client, key: AppKey):
    at = key.doubted_since
    assert at
    mine = gone(at)
    gone(at, app=App.HIGIRL)
    gone(at, platform=Platform.IOS)
    gone(at, environment=Environment.LOCAL)
    gone(at, reason=None)  # by an operator, or by the app itself
    gone(at - timedelta(hours=1))
    gone(at + timedelta(hours=1))
    key_manager.post(url("appkey_restore_page", key.pk))
    assert active() == {mine.pk}


def test_another_period_is_counted_before_anything_is_done(key_manager: Client, key: AppKey):
    at = timezone.localtime(timezone.now() - timedelta(days=9))
    old = gone(at)
    page = key_manager.get(url("appkey_restore_page", key.pk))
    period = {
        "seen": page.context["question"].seen,
        "since": f"{at - timedelta(hours=1):%Y-%m-%d %H:%M}",
        "until": f"{at + timedelta(hours=1):%Y-%m-%d %H:%M}",
    }
    again = key_manager.post(url("appkey_restore_page", key.pk), period, follow=True)
    assert "check the number of devices" in again.content.decode()
    assert ("Devices", "1") in again.context["question"].facts
    assert active() == set()
    address = again.redirect_chain[-1][0]
    key_manager.post(address, period | {"seen": again.context["question"].seen})
    assert active() == {old.pk}


@pytest.mark.parametrize("period", [{"since": "yesterday"}, {"since": "2026-05-02 08:00", "until": "2026-05-01 08:00"}])
def test_what_is_no_period_is_said_beside_it(key_manager: Client, key: AppKey, period: dict[str, str]):
    assert key.doubted_since
    gone(key.doubted_since)
    answer = key_manager.post(url("appkey_restore_page", key.pk), period)
    assert answer.status_code == 422
    assert active() == set()


def test_a_key_that_was_never_in_doubt_shows_the_last_day(key_manager: Client):
    recent = gone(timezone.now() - timedelta(hours=3))
    gone(timezone.now() - timedelta(hours=30))
    key_manager.post(url("appkey_restore_page", make_app_key().pk))
    assert active() == {recent.pk}


def test_nothing_to_undo_is_said(key_manager: Client, key: AppKey):
    done = key_manager.post(url("appkey_restore_page", key.pk), follow=True).content.decode()
    assert "No device was deactivated for this reason in this period" in done
    assert not LogEntry.objects.exists()


def test_many_take_several_transactions(key: AppKey, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "RESTORE_CHUNK", 7)
    at = timezone.now()
    for _ in range(20):
        gone(at)
    assert devices.restore(key.scope, at - timedelta(seconds=1), at + timedelta(seconds=1), by="test") == 20
    assert len(active()) == 20


def test_a_device_that_a_directory_of_its_own_keeps_is_pushed_to_again(key_manager: Client, key: AppKey):
    at = key.doubted_since
    devices.refuse({"token-of-7": "7"}, key.scope, Reason.BAD_TOKEN)
    Device.objects.update(deactivated_at=at)
    key_manager.post(url("appkey_restore_page", key.pk))
    assert len(active()) == 1


def test_the_overview_and_the_keys_page_say_what_is_wrong_in_the_readers_language(key_manager: Client, rf: Any):
    now = timezone.now()
    key = make_app_key()
    pausing.pause_key(key, Note(Sentence.TOKENS_DOUBTED), PauseCode.TOKENS_DOUBTED)
    request = rf.get("/admin/")
    request.user = key_manager.get("/admin/").wsgi_request.user
    raised = alerts.raised(request, None, vitals.key_states(), vitals.Waiting(None, None), now)
    [alert] = [one for one in raised if one.name == f"paused-{key.pk}"]
    assert alert.is_urgent
    assert "refuses nearly every device token" in alert.text
    page = key_manager.get(url("appkey_change", key.pk)).content.decode()
    assert "refuses nearly every device token" in page
    assert url("appkey_restore_page", key.pk) in page
    chinese = key_manager.get(url("appkey_change", key.pk), headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "服务商几乎拒绝了所有设备令牌" in chinese
