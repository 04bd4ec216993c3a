"""The keyboard and the screen reader: skip link, focus across refreshes, refused forms, charts in words."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from chatscan.models import ScannerPosition
from pushes.console.operators import roles
from tests import djangos_words
from tests.browser.conftest import SignIn
from tests.make import make_app_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

REFRESH = "htmx.ajax('GET', '/admin/?part=1', {target: '#overview', swap: 'outerHTML'})"
#: Ids that a field names for its help or its errors, and that nothing on the page has.
DANGLING = """() => [...document.querySelectorAll('[aria-describedby]')]
    .flatMap(field => field.getAttribute('aria-describedby').split(' '))
    .filter(id => id && !document.getElementById(id))"""


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_refresh_keeps_the_keyboard_s_place(sign_in: SignIn) -> None:
    make_app_key()
    page = sign_in(roles.VIEWER)
    page.get_by_role("link", name="24 hours").focus()
    page.evaluate(REFRESH)
    expect(page.get_by_role("link", name="24 hours")).to_be_focused()


def test_a_new_alert_is_told_once(sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER)
    region = page.locator("#alerts-live")
    expect(region).to_have_text("")
    make_app_key(paused_at=timezone.now(), paused_reason="bad secret")
    page.evaluate(REFRESH)
    expect(region).to_contain_text("is paused")
    page.evaluate("document.querySelector('#alerts-live').textContent = 'told'")
    page.evaluate(REFRESH)
    expect(region).to_have_text("told")


def test_a_chart_is_told_in_words_and_as_a_table(sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER)
    expect(page.locator("#chart-kinds canvas")).to_have_attribute("aria-label", "Pushes a minute, by kind. system: 0 now, at most 0; group chat: 0 now, at most 0; private chat: 0 now, at most 0; broadcast: 0 now, at most 0")  # fmt: skip  # noqa: E501
    page.get_by_text("The figures as a table").first.click()
    expect(page.locator("#numbers-kinds tbody tr")).to_have_count(60)


def test_a_refused_form_begins_with_what_is_wrong(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    page.goto("/admin/pushes/broadcast/add/")
    page.get_by_role("button", name="Save and review").click()
    expect(page.locator("#content .errornote")).to_be_focused()
    assert page.evaluate(DANGLING) == []
    page.get_by_role("link", name=f"Title: {djangos_words.REQUIRED}").click()
    expect(page.locator("#id_title")).to_be_focused()


def test_the_scanners_follow_without_a_reload(sign_in: SignIn) -> None:
    ScannerPosition.objects.create(kind="group", heartbeat_at=timezone.now(), per_second=4.2)
    page = sign_in(roles.VIEWER)
    for address in ("", "group/change/"):
        page.goto(f"/admin/chatscan/scannerposition/{address}")
        page.evaluate("window.stillHere = true")
        ScannerPosition.objects.update(per_second=77.7)
        expect(page.get_by_text("77.7").first).to_be_visible(timeout=30_000)
        assert page.evaluate("window.stillHere")
        ScannerPosition.objects.update(per_second=4.2)
