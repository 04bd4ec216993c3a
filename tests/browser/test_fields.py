"""Fields of date and time, search boxes and native controls: named, in the operator's zone, in the page's colours."""

import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from chatscan.models import ScannerPosition
from pushes.console.operators import roles
from pushes.models import OperatorPreferences
from tests.browser.conftest import SignIn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
COMPOSE = "/admin/pushes/broadcast/add/"
#: The accessible name of whatever has the keyboard, as the browser computes it.
NAMELESS = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea")]
    .filter((node) => node.checkVisibility() && !node.closest("#sidebar, nav"))
    .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length
        || node.querySelector("[title]") || node.value))
    .map((node) => node.outerHTML)"""


def moved_to(zone: str) -> None:
    OperatorPreferences.objects.update_or_create(user=User.objects.get(), defaults={"time_zone": zone})


def test_links_and_fields_of_date_and_time_have_names(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR)
    page.goto(COMPOSE)
    for name in ("Send at: Date", "Send at: Time", "Expires at: Date", "Expires at: Time"):
        expect(page.get_by_role("textbox", name=name, exact=True)).to_have_count(1)
    for name in ("Send at: Choose a Date", "Send at: Choose a Time", "Expires at: Choose a Date"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(1)
    page.get_by_role("link", name="Send at: Choose a Date").click()
    expect(page.get_by_role("link", name="Next month")).to_be_visible()
    assert page.evaluate(NAMELESS) == []


def test_the_scanner_s_page_names_them_too(sign_in: SignIn) -> None:
    ScannerPosition.objects.create(kind="group")
    page = sign_in()
    page.goto("/admin/chatscan/scannerposition/group/rewind")
    expect(page.get_by_role("textbox", name="Rewind to: Date", exact=True)).to_have_count(1)
    expect(page.get_by_role("link", name="Rewind to: Choose a Time", exact=True)).to_have_count(1)


@pytest.mark.parametrize("desk", ["deliveryresult", "device", "account", "pushrecord", "deadletter", "broadcast"])
def test_search_boxes_have_names(sign_in: SignIn, desk: str) -> None:
    page = sign_in()
    page.goto(f"/admin/pushes/{desk}/")
    expect(page.locator("#searchbar")).to_have_accessible_name(page.evaluate("'Search: ' + searchbar.placeholder"))


@pytest.mark.parametrize(
    ("clock", "zone", "words"),
    [
        ("Asia/Shanghai", "Asia/Shanghai", ""),
        (
            "Asia/Shanghai",
            "Europe/Berlin",
            "Enter it as the time in Europe/Berlin. Your browser is set to Asia/Shanghai.",
        ),
        ("Europe/Berlin", "Europe/Berlin", ""),
        ("Asia/Kolkata", "Asia/Shanghai", "Enter it as the time in Asia/Shanghai. Your browser is set to Asia/"),
        ("Asia/Singapore", "Asia/Shanghai", ""),
    ],
)
def test_the_note_is_about_the_operator_s_zone(sign_in: SignIn, clock: str, zone: str, words: str) -> None:
    page = sign_in(roles.OPERATOR, timezone_id=clock)
    moved_to(zone)
    page.goto(COMPOSE)
    expect(page.get_by_role("textbox", name="Send at: Date")).to_be_visible()
    notes = page.locator(".console-zone-note")
    expect(notes).to_have_count(2 if words else 0)
    if words:
        expect(notes.first).to_contain_text(words)
    expect(page.locator(".timezonewarning")).to_have_count(0)
    expect(page.get_by_text("server time")).to_have_count(0)


def test_now_is_now_by_the_operator_s_clock(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR, timezone_id="America/New_York")
    moved_to("Asia/Tokyo")
    page.goto(COMPOSE)
    page.get_by_role("link", name="Send at: Choose a Time").click()
    page.locator(".clockbox:visible").get_by_role("link", name="Now").click()
    hour = page.evaluate("new Date().toLocaleTimeString('en-GB', {timeZone: 'Asia/Tokyo', hour: '2-digit'})")
    assert page.get_by_role("textbox", name="Send at: Time").input_value().startswith(str(hour)[:2])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_native_controls_follow_the_theme(new_page: Callable[..., Page], sign_in: SignIn, scheme: str) -> None:
    page = sign_in(roles.OPERATOR, color_scheme=scheme)
    page.goto(COMPOSE)
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme


def test_chinese_headings_break_at_their_marks_only(sign_in: SignIn) -> None:
    page = sign_in(roles.OPERATOR, width=390, locale="zh-CN")
    page.goto("/admin/")
    assert page.evaluate("document.documentElement.lang").startswith("zh")
    styles = page.evaluate(
        """() => [...document.querySelectorAll("h1, h2, th, .console-heading, .console-button")]
            .map((node) => getComputedStyle(node).wordBreak)"""
    )
    assert len(styles) > 5
    assert set(styles) == {"keep-all"}


def test_the_summary_leads_to_fields_of_several_parts(sign_in: SignIn) -> None:
    def late(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    page = sign_in(roles.OPERATOR)
    page.goto(COMPOSE)
    page.get_by_role("textbox", name="Send at: Date").fill("yesterday")
    # Django's script, which gives the first field of a new row the focus, may come last.
    page.route("**/change_form*.js", late)
    page.get_by_role("button", name="Save and review").click()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#content .errornote")).to_be_focused()
    page.locator(".console-errors a[href='#id_scheduled_at_0']").first.click()
    expect(page.locator("#id_scheduled_at_0")).to_be_focused()
