"""Operators' daily flows, in a real browser, on the real database, against the sandbox provider."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from pushes.broadcasts import lifecycle
from pushes.console.operators import roles
from pushes.ledger import counters
from pushes.models import AppKey, Broadcast, DeadLetter, PushRecord
from pushes.names import App, BroadcastStatus, DeadLetterStatus, Platform, Status
from tests.browser.conftest import PASSWORD, SignIn, log_in
from tests.make import (
    make_account,
    make_app_key,
    make_dead_letter,
    make_delivery,
    make_device,
    make_record,
    make_secret,
)
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def test_the_first_login_on_an_empty_system(new_page: Callable[..., Page]) -> None:
    page, user = new_page(), User.objects.create_superuser("root", password=PASSWORD)
    log_in(page, user, "wrong")
    expect(page.locator(".errornote").first).to_be_visible()
    log_in(page, user)
    expect(page.get_by_role("heading", name="Welcome: three steps")).to_be_visible()
    page.get_by_role("link", name="Add an app key").click()
    expect(page.get_by_text("Devices of this build receive no pushes.")).to_have_count(12)


def test_a_key_is_added_and_verified(sign_in: SignIn, sandbox: Sandbox) -> None:
    secret = make_secret()
    sandbox.add_key(2_200_047_738, secret)
    page = sign_in(roles.KEY_MANAGER)
    page.goto("/admin/pushes/appkey/")
    page.get_by_role("link", name="Add higo iOS production").click()
    expect(page.get_by_label("Platform")).to_have_value("ios")
    page.get_by_label("Provider").select_option("sandbox")
    page.get_by_role("button", name="Enter the credentials").click()
    page.get_by_label("Access ID").fill("2200047738")
    page.get_by_label("Secret key").fill(secret)
    page.get_by_label("Endpoint URL").fill(sandbox.url)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Open higo ios production").click()
    assert secret not in page.content()
    page.get_by_role("link", name="Verify now").click()
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("the provider accepted these credentials")).to_be_visible()
    assert AppKey.objects.get().credentials().secret == secret


def test_the_old_ini_is_imported_after_a_preview(sign_in: SignIn, tmp_path: Path) -> None:
    secret, file = make_secret(), tmp_path / "xinge.ini"
    file.write_text(f"; buyers\nandroid_higo_appid = 2100047733\nandroid_higo_skey = {secret}\n")
    page = sign_in(roles.KEY_MANAGER)
    page.goto("/admin/pushes/appkey/")
    page.get_by_role("link", name="Import from legacy .ini").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("cell", name="higo android production")).to_be_visible()
    assert secret not in page.content()
    assert not AppKey.objects.exists()
    page.get_by_role("button", name="Import 1 key").click()
    expect(page.get_by_text("1 app key imported")).to_be_visible()
    assert AppKey.objects.get().credentials().secret == secret


def sandbox_key(sandbox: Sandbox) -> AppKey:
    secret = make_secret()
    key = make_app_key(App.HIGO, Platform.ANDROID, secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), secret)
    return key


def compose(page: Page, title: str, text: str) -> None:
    page.goto("/admin/pushes/broadcast/add/")
    page.locator("#id_title").fill(title)
    page.get_by_label("Text").fill(text)


def test_a_broadcast_from_composing_to_its_results(
    sign_in: SignIn, sandbox: Sandbox, run_jobs: Callable[..., int]
) -> None:
    sandbox_key(sandbox)
    for _ in range(5):
        make_device()
    page = sign_in(roles.OPERATOR)
    compose(page, "双十一", "全场五折")
    expect(page.locator("#byte-count")).to_have_text("21 of 4096 bytes (UTF-8)")
    expect(page.locator("[data-preview=text]").first).to_have_text("全场五折")
    page.get_by_role("button", name="Save and review").click()
    page.get_by_role("button", name="Send to 5 devices now").dblclick()
    expect(page.get_by_text("The broadcast is being sent.")).to_be_visible()
    assert PushRecord.objects.count() == 1
    run_jobs()
    lifecycle.finish_done()
    expect(page.get_by_text("finished", exact=True)).to_be_visible()
    expect(page.get_by_text("5 / 5")).to_be_visible()
    page.get_by_role("link", name=re.compile("accepted by the provider")).click()
    expect(page.locator("#result_list tbody tr.data-row")).to_have_count(5)
    assert len(sandbox.received()) == 5


def test_a_reload_of_the_sent_page_sends_nothing_again(sign_in: SignIn) -> None:
    make_device()
    page = sign_in(roles.OPERATOR)
    compose(page, "Sale", "Today")
    page.get_by_role("button", name="Save and review").click()
    page.get_by_role("button", name="Send to 1 device now").click()
    expect(page.locator("#figures")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("This broadcast was already launched.")).to_be_visible()
    page.reload()
    assert PushRecord.objects.count() == 1


def test_a_cancelled_broadcast_reaches_nobody(sign_in: SignIn, sandbox: Sandbox, run_jobs: Callable[..., int]) -> None:
    sandbox_key(sandbox)
    make_device()
    page = sign_in(roles.OPERATOR)
    compose(page, "Mistake", "Never send this")
    page.get_by_role("button", name="Save and review").click()
    page.get_by_role("button", name="Send to 1 device now").click()
    for step, button, state in (
        ("Pause", "Pause", "paused"),
        ("Resume", "Resume", "sending"),
        ("Cancel", "Cancel the broadcast", "cancelled"),
    ):
        page.get_by_role("link", name=step, exact=True).click()
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.locator("#figures .badge").first).to_have_text(state)
    run_jobs()
    assert Broadcast.objects.get().status == BroadcastStatus.CANCELLED
    assert sandbox.received() == []


def test_a_list_of_accounts_with_a_bad_line_is_refused_whole(sign_in: SignIn, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("account_id\n1\n" + "x" * 70 + "\n")
    page = sign_in(roles.OPERATOR)
    compose(page, "Sale", "Today")
    expect(page.get_by_label("Account IDs")).to_be_hidden()
    page.get_by_label("Audience").select_option("accounts")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text("line 3: longer than 64 characters").first).to_be_visible()
    assert not Broadcast.objects.exists()


def test_a_user_s_question_is_answered_from_the_log(sign_in: SignIn) -> None:
    make_account("100007")
    record = make_record(message_id="order-7", accounts=["100007"])
    make_delivery(record, account_id="100007", status=Status.SKIPPED, token="", reason="do_not_disturb")
    make_delivery()
    page = sign_in(roles.VIEWER)
    page.goto("/admin/pushes/deliveryresult/")
    page.locator("#searchbar").fill("100007")
    page.locator("#searchbar").press("Enter")
    expect(page.get_by_text("Showing account 100007.")).to_be_visible()
    expect(page.locator("#result_list tbody tr.data-row")).to_have_count(1)
    page.get_by_role("link", name="why?").click()
    expect(page.locator(".console-answer")).to_contain_text("turned pushes off")


def test_the_log_is_filtered_and_paged(sign_in: SignIn) -> None:
    record = make_record()
    for number in range(60):
        make_delivery(record, status=Status.FAILED if number % 2 else Status.ACCEPTED)
    page = sign_in(roles.VIEWER)
    page.goto("/admin/pushes/deliveryresult/")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#result_list tbody tr.data-row")).to_have_count(10)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#result_list tbody tr.data-row")).to_have_count(50)
    page.get_by_role("button", name="Filters").press("Enter")
    page.get_by_label("Status", exact=True).select_option("failed")
    page.get_by_role("button", name="Apply filters").click()
    expect(page.locator("#result_list tbody tr.data-row")).to_have_count(30)


def test_a_dead_letter_is_corrected_and_replayed(sign_in: SignIn) -> None:
    letter = make_dead_letter(b'{"type": 5, "app": "higo", "message": "hello"}', source="intake", reason="no_recipient")
    page = sign_in(roles.OPERATOR)
    page.goto("/admin/pushes/deadletter/")
    page.locator("#result_list a").first.click()
    page.get_by_role("link", name="Correct and replay").click()
    page.get_by_label("Message").fill('{"type": 5, "app": "higo", "to_id": "1", "message": "hello"}')
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Replayed.")).to_be_visible()
    letter.refresh_from_db()
    assert letter.status == DeadLetterStatus.REPLAYED


def test_dead_letters_are_discarded_together(sign_in: SignIn) -> None:
    for _ in range(3):
        make_dead_letter()
    page = sign_in(roles.OPERATOR)
    page.goto("/admin/pushes/deadletter/")
    page.locator("#action-toggle").check()
    page.get_by_label("Select action to run").select_option("discard_selected")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("3 dead letters discarded.")).to_be_visible()
    assert not DeadLetter.objects.filter(status=DeadLetterStatus.NEW).exists()


def test_the_overview_follows_without_a_reload(sign_in: SignIn) -> None:
    make_app_key()
    page = sign_in(roles.VIEWER)
    expect(page.locator("#overview .console-tile-number").first).to_have_text("0")
    page.evaluate("window.stillHere = true")
    counters.add({("system", counters.SUBMITTED, "", 0): 4321}, timezone.now())
    # The page asks every five seconds, which on a busy machine takes longer than the usual patience.
    expect(page.locator("#overview .console-tile-number").first).to_have_text("4,321", timeout=30_000)
    assert page.evaluate("window.stillHere")
    # Of the minute under way the chart shows the rate so far, which is never less than what has come.
    highest = "Math.max(...Chart.getChart(document.querySelector('#chart-kinds canvas')).data.datasets[0].data)"
    assert page.evaluate(highest) >= 4321


def test_a_viewer_is_offered_nothing_that_changes_anything(sign_in: SignIn) -> None:
    make_app_key()
    device = make_device()
    page = sign_in(roles.VIEWER)
    for address in ("/admin/pushes/appkey/", "/admin/pushes/broadcast/", f"/admin/pushes/device/{device.pk}/change/"):
        page.goto(address)
        for name in ("Add", "Pause", "Deactivate", "Import from legacy .ini"):
            expect(page.get_by_role("link", name=name)).to_have_count(0)
    page.goto("/admin/pushes/appkey/add/")
    expect(page.get_by_role("heading", name="You do not have access to this page")).to_be_visible()


def test_the_language_is_switched(sign_in: SignIn) -> None:
    make_app_key()
    page = sign_in(roles.VIEWER)
    page.locator("[x-on\\:click='openUserLinks = !openUserLinks']").click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.get_by_role("link", name="群发")).to_be_visible()


def test_the_keyboard_is_enough_to_send(sign_in: SignIn) -> None:
    make_device()
    page = sign_in(roles.OPERATOR)
    page.goto(f"/admin/pushes/broadcast/{Broadcast.objects.create(title='T', text='t', app='higo').pk}/send/")
    page.get_by_role("button", name="Send to 1 device now").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The broadcast is being sent.")).to_be_visible()
