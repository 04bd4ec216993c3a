from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.history import resend
from pushes.models import DeliveryResult, PushRecord, Resend
from pushes.names import Reason, Status
from pushes.people import devices
from pushes.people.directory import DirectoryError, TableDirectory
from tests.make import make_delivery, make_device, make_record
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


def failed(record: PushRecord | None = None, status: Status = Status.FAILED, **fields: Any) -> DeliveryResult:
    device = make_device()
    fields = {"account_id": device.account_id, "token": device.token, "device_id": device.pk} | fields
    return make_delivery(record, status=status, **fields)


def chosen(*rows: DeliveryResult, **more: str) -> dict[str, object]:
    return {"action": "resend_selected", "_selected_action": [row.pk for row in rows], **more}


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_look_at_the_question_sends_nothing(operator: Client) -> None:
    row = failed(reason=Reason.TOO_MANY_ATTEMPTS)
    page = text_of(operator.get(url("deliveryresult_resend_page", row.pk)))
    assert "Send 1 delivery again?" in page
    assert row.masked_token in page
    assert row.token not in page
    assert not Resend.objects.exists()


def test_one_delivery_is_sent_again_and_says_so(operator: Client) -> None:
    row = failed()
    page = text_of(operator.post(url("deliveryresult_resend_page", row.pk), {"confirm": "1"}, follow=True))
    one = Resend.objects.get()
    assert "1 delivery was sent again." in page
    assert (one.delivery_id, one.may_be_duplicate) == (row.pk, False)
    assert url("pushrecord_change", one.record_id) in page
    assert LogEntry.objects.get(object_id=str(row.pk)).change_message == f"Sent again as push #{one.record_id}."


def test_a_double_click_sends_once(operator: Client) -> None:
    row = failed()
    for _ in range(2):
        page = text_of(operator.post(url("deliveryresult_resend_page", row.pk), {"confirm": "1"}, follow=True))
    assert "already sent again" in page
    assert PushRecord.objects.filter(source="resend").count() == 1
    assert LogEntry.objects.count() == 1


def test_first_and_second_try_lead_to_each_other(viewer: Client) -> None:
    row = failed()
    new = resend.resend([row.pk], by="wang").record_ids[row.pk]
    made = make_delivery(PushRecord.objects.get(pk=new))
    assert url("pushrecord_change", new) in text_of(viewer.get(url("deliveryresult_change", row.pk)))
    for address in (url("pushrecord_change", new), url("deliveryresult_change", made.pk)):
        assert url("deliveryresult_change", row.pk) in text_of(viewer.get(address))
    row.delete()
    assert f"delivery #{made.pk - 1}" in text_of(viewer.get(url("pushrecord_change", new)))


def test_a_selection_is_asked_about_with_what_is_refused_and_why(operator: Client) -> None:
    good, done, gone = failed(), failed(status=Status.ACCEPTED), failed()
    devices.deactivate([gone.device_id or 0], Reason.BAD_TOKEN)
    page = text_of(operator.post(url("deliveryresult_changelist"), chosen(good, done, gone)))
    assert "Send 1 delivery again?" in page
    assert "already accepted by the provider" in page
    assert "the device is deactivated" in page
    assert not Resend.objects.exists()


def test_a_selection_is_sent_but_for_what_is_refused(operator: Client) -> None:
    rows = [failed(), failed(), failed(status=Status.ACCEPTED)]
    page = text_of(operator.post(url("deliveryresult_changelist"), chosen(*rows, confirm="1"), follow=True))
    assert "2 deliveries were sent again." in page
    assert "1 was not sent: already accepted by the provider." in page
    assert set(Resend.objects.values_list("delivery_id", flat=True)) == {row.pk for row in rows[:2]}


def test_what_may_have_arrived_needs_a_tick(operator: Client) -> None:
    row, address = failed(status=Status.UNKNOWN), "deliveryresult_resend_page"
    assert "may have arrived the first time" in text_of(operator.get(url(address, row.pk)))
    refused = operator.post(url(address, row.pk), {"confirm": "1"})
    assert refused.status_code == 422
    assert "tick the box that accepts duplicates" in text_of(refused)
    assert not Resend.objects.exists()
    operator.post(url(address, row.pk), {"confirm": "1", "may_be_duplicate": "on"})
    assert Resend.objects.get().may_be_duplicate


def test_without_the_tick_only_what_is_certain_goes(operator: Client) -> None:
    certain, uncertain = failed(), failed(status=Status.UNKNOWN)
    page = operator.post(url("deliveryresult_changelist"), chosen(certain, uncertain, confirm="1"), follow=True)
    assert "1 was not sent: may have arrived" in text_of(page)
    assert Resend.objects.get().delivery_id == certain.pk


def test_nothing_to_send_offers_only_the_way_back(operator: Client) -> None:
    page = text_of(operator.post(url("deliveryresult_changelist"), chosen(failed(status=Status.ACCEPTED))))
    assert "Nothing to send again" in page
    assert 'type="submit" class="console-button is-primary"' not in page


def test_too_large_a_selection_is_refused(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "MAX_AT_ONCE", 1)
    page = operator.post(url("deliveryresult_changelist"), chosen(failed(), failed(), confirm="1"), follow=True)
    assert "At most 1 deliveries" in text_of(page)
    assert not Resend.objects.exists()


def test_a_long_list_is_counted_rather_than_spelt_out(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.console.delivery_log.resend.MAX_SHOWN", 1)
    rows = [failed(), failed(), failed(), failed(status=Status.ACCEPTED), failed(status=Status.ACCEPTED)]
    page = text_of(operator.post(url("deliveryresult_changelist"), chosen(*rows)))
    assert "and 2 more" in page
    assert "and 1 more" in page


def test_a_push_sends_what_of_it_failed_and_only_what_was_shown(operator: Client) -> None:
    record = make_record()
    first, late = failed(record), failed(record, status=Status.PENDING)
    failed(record, status=Status.ACCEPTED)
    page = operator.get(url("pushrecord_resend_page", record.pk))
    shown = page.context["question"].hidden
    assert shown == {"_selected_action": [str(first.pk)]}
    DeliveryResult.objects.filter(pk=late.pk).update(status=Status.FAILED)
    operator.post(url("pushrecord_resend_page", record.pk), {"confirm": "1", **shown})
    assert Resend.objects.get().delivery_id == first.pk


def test_a_push_without_failures_says_that_there_is_nothing(operator: Client) -> None:
    row = failed(status=Status.ACCEPTED)
    page = operator.get(url("pushrecord_resend_page", row.record_id), follow=True)
    assert "No delivery of this push has failed" in text_of(page)


def test_a_directory_that_is_away_is_named(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object) -> None:
        raise DirectoryError("no connection")

    monkeypatch.setattr(TableDirectory, "devices", away)
    page = operator.post(url("deliveryresult_resend_page", failed().pk), {"confirm": "1"}, follow=True)
    assert "Nothing was sent: no connection" in text_of(page)
    assert not Resend.objects.exists()


@pytest.mark.parametrize(
    ("status", "reason", "is_offered"),
    [
        (Status.FAILED, "", True),
        (Status.UNKNOWN, "", True),
        (Status.EXPIRED, "", True),
        (Status.SKIPPED, Reason.NO_APP_KEY, True),
        (Status.SKIPPED, Reason.ONLINE, False),
        (Status.ACCEPTED, "", False),
        (Status.HELD, "", False),
    ],
)
def test_the_button_stands_where_it_makes_sense(
    operator: Client, status: Status, reason: str, is_offered: bool
) -> None:
    row = failed(status=status, reason=reason)
    page = text_of(operator.get(url("deliveryresult_change", row.pk)))
    assert (url("deliveryresult_resend_page", row.pk) in page) == is_offered


def test_a_viewer_sends_nothing_again(viewer: Client) -> None:
    row = failed()
    assert viewer.post(url("deliveryresult_resend_page", row.pk), {"confirm": "1"}).status_code == 403
    assert viewer.post(url("pushrecord_resend_page", row.record_id), {"confirm": "1"}).status_code == 403
    viewer.post(url("deliveryresult_changelist"), chosen(row, confirm="1"))
    assert not Resend.objects.exists()
    assert url("deliveryresult_resend_page", row.pk) not in text_of(viewer.get(url("deliveryresult_change", row.pk)))
