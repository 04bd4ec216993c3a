"""The delivery log in a real browser: sending again, exporting, asking why."""

import csv
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from pushes.console.operators import roles
from pushes.history import exports
from pushes.models import DeliveryResult, Export, PushRecord, Resend
from pushes.names import App, Platform, Reason, Status
from tests.browser.conftest import SignIn
from tests.make import make_account, make_app_key, make_delivery, make_device, make_record, make_secret
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
LOG = "/admin/pushes/deliveryresult/"


def failed(status: Status = Status.FAILED, reason: Reason = Reason.TOO_MANY_ATTEMPTS) -> DeliveryResult:
    device = make_device()
    record = make_record(accounts=[device.account_id], title="订单已付款", text="买家已付款，请尽快发货")
    return make_delivery(
        record,
        account_id=device.account_id,
        device_id=device.pk,
        token=device.token,
        status=status,
        reason=reason,
        attempts=6,
        finished_at=timezone.now(),
    )


def test_a_failed_delivery_is_sent_again_and_arrives_once(
    sign_in: SignIn, sandbox: Sandbox, run_jobs: Callable[..., int]
) -> None:
    secret = make_secret()
    key = make_app_key(App.HIGO, Platform.ANDROID, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), secret)
    row = failed()
    page = sign_in(roles.OPERATOR)
    page.goto(f"{LOG}{row.pk}/change/")
    page.get_by_role("link", name="Send again").click()
    expect(page.get_by_role("heading", name="Send 1 delivery again?").first).to_be_visible()
    assert not Resend.objects.exists()
    page.get_by_role("button", name="Send again").dblclick()
    expect(page.get_by_text("1 delivery was sent again.")).to_be_visible()
    expect(page.get_by_role("link", name="Send again")).to_have_count(1)
    run_jobs()
    assert [push["token"] for push in sandbox.received()] == [row.token]
    page.get_by_role("link", name="why?").click()
    expect(page.get_by_text("Sent again by")).to_be_visible()
    page.get_by_role("link", name=f"push #{Resend.objects.get().record_id}").click()
    expect(page.get_by_role("link", name=f"delivery #{row.pk}")).to_be_visible()


def choose(page: Page, *rows: DeliveryResult) -> None:
    page.goto(LOG)
    for row in rows:
        page.get_by_label(f"Select delivery #{row.pk}").check()
    page.get_by_label("Select action to run").select_option("resend_selected")
    page.get_by_role("button", name="Run").click()


def test_a_selection_is_sent_but_for_what_must_not_be(sign_in: SignIn) -> None:
    certain, uncertain = failed(), failed(Status.UNKNOWN, Reason.NO_ANSWER)
    done = failed(Status.ACCEPTED)
    page = sign_in(roles.OPERATOR)
    choose(page, certain, uncertain, done)
    expect(page.get_by_text("already accepted by the provider")).to_be_visible()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("1 delivery was sent again.")).to_be_visible()
    expect(page.get_by_text("may have arrived: accept duplicates to send it")).to_be_visible()
    choose(page, uncertain)
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("alert")).to_contain_text("tick the box that accepts duplicates")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("1 delivery was sent again.")).to_be_visible()
    assert set(Resend.objects.values_list("delivery_id", "may_be_duplicate")) == {
        (certain.pk, False),
        (uncertain.pk, True),
    }


def test_what_failed_of_a_push_is_sent_again_from_its_page(sign_in: SignIn) -> None:
    row = failed()
    page = sign_in(roles.OPERATOR)
    page.goto(f"/admin/pushes/pushrecord/{row.record_id}/change/")
    page.get_by_role("link", name="Send failed deliveries again").click()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("1 delivery was sent again.")).to_be_visible()
    assert PushRecord.objects.filter(source="resend").count() == 1


def test_a_filtered_log_is_exported_watched_and_fetched(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_ROWS", 10)
    record = make_record(title="=1+1", message_id="order-7")
    for number in range(40):
        make_delivery(record, account_id=f"账号{number}", status=Status.FAILED if number % 2 else Status.ACCEPTED)
    page = sign_in(roles.OPERATOR)
    page.goto(f"{LOG}?status__exact=failed")
    page.get_by_role("link", name="Export these rows").click()
    expect(page.get_by_role("definition").first).to_have_text("failed")
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("heading", name="Export #").first).to_be_visible()
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "0")
    export = Export.objects.get()
    exports.write(export.pk, slice_seconds=0)
    # Nobody reloads: the page asks by itself.
    expect(page.get_by_text("10 rows")).to_be_visible()
    exports.write(export.pk)
    expect(bar).to_have_attribute("aria-valuenow", "100")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    text = download.value.path().read_bytes().decode("utf-8-sig")
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["account"] for line in lines] == [f"账号{number}" for number in range(39, 0, -2)]
    assert {line["title"] for line in lines} == {"'=1+1"}


def test_an_export_is_cancelled(sign_in: SignIn) -> None:
    make_delivery()
    page = sign_in(roles.OPERATOR)
    page.goto(LOG)
    page.get_by_role("link", name="Export these rows").click()
    page.get_by_role("button", name="Export").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel the export").click()
    expect(page.get_by_text("Export cancelled.")).to_be_visible()
    assert not exports.write(Export.objects.get().pk)


def test_why_is_answered_for_an_account_and_a_time(sign_in: SignIn) -> None:
    make_account("100007")
    moment = timezone.now() - timedelta(hours=3)
    for number, reason in enumerate((Reason.ONLINE, Reason.DO_NOT_DISTURB)):
        record = make_record(message_id=f"order-{number}", accounts=["100007"], created_at=moment, occurred_at=moment)
        make_delivery(record, account_id="100007", token="", status=Status.SKIPPED, reason=reason)
    page = sign_in(roles.VIEWER)
    page.goto(LOG)
    page.get_by_role("link", name="Why / why not").click()
    page.get_by_role("textbox", name="Account").fill("100007")
    page.get_by_label("or around this time").fill(f"{timezone.localtime(moment):%Y-%m-%d %H:%M}")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".console-answer")).to_contain_text("2 messages for 100007")
    expect(page.locator(".console-timeline")).to_contain_text("online: shown in the app instead")
    expect(page.locator(".console-timeline")).to_contain_text("turned pushes off")
