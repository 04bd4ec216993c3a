"""Migration 0012 on filled tables: what was kept under several spellings becomes one."""

from datetime import datetime, timedelta, timezone
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations import RunPython
from django.test.utils import CaptureQueriesContext

from pushes.models import Device, DeviceEvent, DeviceTag, Resend
from pushes.names import App, DeviceEventKind, Platform, Status
from pushes.people import tags
from tests.make import make_account, make_broadcast, make_delivery, make_device, make_record

pytestmark = pytest.mark.django_db
migration = import_module("pushes.migrations.0012_one_spelling")
IPHONE = "0a1b" * 16
NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def iphone(account_id: str, token: str, *, hours_ago: int, app: App = App.HIGO, **fields: object) -> Device:
    account = apps.get_model("pushes", "Account").objects.get_or_create(account_id=account_id)[0]
    fields = {"platform": Platform.IOS, "seen_at": NOON - timedelta(hours=hours_ago)} | fields
    return make_device(account, app, token=token, **fields)


def migrate() -> None:
    editor = SimpleNamespace(connection=connection)
    for step in (migration.join_devices, migration.respell_waiting, migration.join_tags):
        step(apps, editor)


@pytest.mark.parametrize(("lower_age", "upper_age", "owner"), [(1, 2, "8"), (2, 1, "7")])
def test_the_newer_registration_stays(lower_age: int, upper_age: int, owner: str):
    iphone("7", IPHONE.upper(), hours_ago=upper_age)
    iphone("8", IPHONE, hours_ago=lower_age)
    migrate()
    device = Device.objects.get()
    assert (device.token, device.account_id) == (IPHONE, owner)


def test_three_spellings_become_one_device_of_each_app():
    for hours, token in enumerate((IPHONE.upper(), IPHONE.replace("a", "A"), f"<{IPHONE}>"), start=1):
        iphone("7", token, hours_ago=hours)
        iphone("7", token, hours_ago=hours, app=App.HIGIRL)
    migrate()
    assert set(Device.objects.values_list("token", "app")) == {(IPHONE, "higo"), (IPHONE, "higirl")}


def test_an_inactive_newer_registration_stays_inactive():
    iphone("7", IPHONE.upper(), hours_ago=2)
    iphone("8", IPHONE, hours_ago=1, is_active=False)
    migrate()
    assert not Device.objects.get().is_active


def test_history_deliveries_tags_and_resends_are_the_survivors():
    older, newer = iphone("7", IPHONE.upper(), hours_ago=2), iphone("7", IPHONE, hours_ago=1)
    DeviceEvent.objects.create(device=older, event=DeviceEventKind.REGISTERED, detail="to 7")
    tags.replace({older.pk: ["vip", "new"], newer.pk: ["vip"]})
    sent = make_delivery(account_id="7", token=older.token, device_id=older.pk, platform=Platform.IOS)
    again = Resend.objects.create(record=sent.record, delivery_id=sent.pk, token=older.token, by="me")
    migrate()
    sent.refresh_from_db()
    again.refresh_from_db()
    assert (sent.token, sent.device_id, again.token) == (IPHONE, newer.pk, IPHONE)
    assert tags.of_device(newer.pk) == ["new", "vip"]
    details = list(DeviceEvent.objects.filter(device=newer).order_by("id").values_list("detail", flat=True))
    assert details == ["to 7", "joined with the same token in another letter case"]


def test_a_former_owners_tags_do_not_come_along():
    older, newer = iphone("7", IPHONE.upper(), hours_ago=2), iphone("8", IPHONE, hours_ago=1)
    tags.replace({older.pk: ["vip"]})
    migrate()
    assert tags.of_device(newer.pk) == []
    assert DeviceEvent.objects.get().detail.endswith("registered before for 7")


def test_a_push_that_went_to_both_keeps_both_calls_and_what_waits_goes_once():
    older, newer = iphone("7", IPHONE.upper(), hours_ago=2), iphone("7", IPHONE, hours_ago=1)
    for status in (Status.ACCEPTED, Status.PENDING):
        record = make_record()
        for device in (older, newer):
            fields = {"account_id": "7", "token": device.token, "device_id": device.pk, "platform": Platform.IOS}
            make_delivery(record, status=status, **fields)
    migrate()
    rows = apps.get_model("pushes", "DeliveryResult").objects.order_by("id")
    assert [(row.status, row.device_id) for row in rows] == [
        ("accepted", newer.pk),
        ("accepted", newer.pk),
        ("pending", older.pk),  # nobody's device any more: skipped when its turn comes
        ("pending", newer.pk),
    ]


def test_android_tokens_and_what_is_no_apns_token_stay():
    kept = {make_device(token=IPHONE.upper()).token, iphone("7", "UNDEFINED", hours_ago=1).token}
    migrate()
    assert set(Device.objects.values_list("token", flat=True)) == kept


def test_what_waits_for_a_foreign_directorys_iphone_is_respelled():
    waiting = make_delivery(token=IPHONE.upper(), platform=Platform.IOS, status=Status.RETRYING)
    android = make_delivery(token=IPHONE.upper(), status=Status.RETRYING)
    migrate()
    waiting.refresh_from_db()
    android.refresh_from_db()
    assert (waiting.token, android.token) == (IPHONE, IPHONE.upper())


def test_tags_become_one_and_broadcasts_follow():
    both, wide = make_device(), make_device()
    rows = [(both, "ｖｉｐ"), (both, "vip"), (wide, "ｖｉｐ"), (wide, "㎏"), (wide, "上海")]
    DeviceTag.objects.bulk_create(DeviceTag(device=device, app=device.app, tag=tag) for device, tag in rows)
    broadcast = make_broadcast(audience_kind="tag", tag="ｖｉｐ")
    migrate()
    assert (tags.of_device(both.pk), tags.of_device(wide.pk)) == (["vip"], ["kg", "vip", "上海"])
    broadcast.refresh_from_db()
    assert broadcast.tag == "vip"


def test_many_devices_and_a_second_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(migration, "BATCH", 3)
    account = make_account("7")
    for number in range(20):
        token = f"{number:060x}beef"
        for spelling in (token, token.upper()):
            make_device(account, token=spelling, platform=Platform.IOS)
    migrate()
    migrate()
    assert set(Device.objects.values_list("token", flat=True)) == {f"{number:060x}beef" for number in range(20)}


def test_each_batch_is_a_transaction_of_its_own():
    """Django would put each step into one transaction, with all of its locks, where the server cannot undo DDL."""
    steps = [operation for operation in migration.Migration.operations if isinstance(operation, RunPython)]
    assert [step.atomic for step in steps] == [False] * 3


def test_the_statements_of_a_batch_do_not_grow_with_its_pairs():
    counts = []
    for pairs in (3, 30):
        for number in range(pairs):
            token = f"{pairs}{number:058x}beef"[:64].rjust(64, "0")
            for spelling in (token, f"<{token.upper()}>"):
                iphone("7", spelling, hours_ago=1)
        with CaptureQueriesContext(connection) as caught:
            migrate()
        counts.append(len(caught))
    assert counts[0] == counts[1]
    assert Device.objects.count() == 33
