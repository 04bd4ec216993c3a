"""Withdrawing a push from its page: asked first, audited, told."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.console.operators import roles
from pushes.models import DeliveryResult, PushRecord
from pushes.submit import submit
from tests.make import make_broadcast, make_delivery, make_record
from tests.pushes.console.conftest import SignIn, url
from tests.pushes.rows import make_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    return sign_in(roles.OPERATOR)


def page(record: PushRecord) -> str:
    return url("pushrecord_withdraw_page", record.pk)


def shown(client: Client, record: PushRecord) -> str:
    return client.get(url("pushrecord_change", record.pk)).content.decode()


def test_looking_withdraws_nothing(operator: Client) -> None:
    row = make_delivery(status="held")
    answer = operator.get(page(row.record)).content.decode()
    assert f"Withdraw push #{row.record_id}" in answer
    row.refresh_from_db()
    assert row.status == "held"


def test_it_is_withdrawn_told_and_audited(operator: Client) -> None:
    record = make_record()
    make_delivery(record, status="held")
    make_delivery(record, status="accepted")
    answer = operator.post(page(record), follow=True).content.decode()
    assert "1 delivery was withdrawn. 1 had already been sent." in answer
    assert sorted(DeliveryResult.objects.values_list("status", "reason")) == [
        ("accepted", ""),
        ("cancelled", "withdrawn"),
    ]
    entry = LogEntry.objects.get()
    assert (entry.object_id, "1 delivery was withdrawn" in str(entry)) == (str(record.pk), True)
    record.refresh_from_db()
    assert record.withdrawn_by in shown(operator, record)


def test_a_push_that_is_not_distributed_ends_with_its_reason(operator: Client) -> None:
    record = PushRecord.objects.get(pk=submit([make_message("7")]).record_ids[0])
    operator.post(page(record))
    record.refresh_from_db()
    assert record.status == "cancelled"
    assert "withdrawn before it was sent" in shown(operator, record)


def test_the_button_stands_where_something_waits(operator: Client) -> None:
    waiting, over = make_delivery(status="retrying").record, make_delivery(status="accepted").record
    assert page(waiting) in shown(operator, waiting)
    assert page(over) not in shown(operator, over)
    operator.post(page(waiting))
    assert page(waiting) not in shown(operator, waiting)


def test_what_is_over_or_a_broadcasts_is_refused(operator: Client) -> None:
    over = make_delivery(status="accepted").record
    of_broadcast = make_record(broadcast=make_broadcast(), kind="broadcast")
    make_delivery(of_broadcast, status="held")
    for record in (over, of_broadcast):
        answer = operator.post(page(record), follow=True).content.decode()
        assert "This push has no unsent deliveries to withdraw." in answer
    assert set(DeliveryResult.objects.values_list("status", flat=True)) == {"accepted", "held"}


def test_a_viewer_may_not(sign_in: SignIn) -> None:
    row = make_delivery(status="held")
    assert sign_in(roles.VIEWER).post(page(row.record)).status_code == 403
    row.refresh_from_db()
    assert row.status == "held"
