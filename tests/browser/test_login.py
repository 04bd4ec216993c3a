"""Getting in, and being kept out: the first login, throttling, the second factor, roles, one's own zone."""

import re
import time
from base64 import b32decode
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django_otp.oath import totp
from playwright.sync_api import Page, expect

from pushes.console.operators import roles
from pushes.models import FailedLogin, SecondFactor
from tests import djangos_words
from tests.browser.conftest import PASSWORD, SignIn, log_in
from tests.make import make_delivery, make_operator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
NewPage = Callable[..., Page]


def make_staff(role: str) -> User:
    user = make_operator(role)
    user.set_password(PASSWORD)
    user.save()
    return user


def test_the_first_login_on_an_empty_system_leads_to_the_first_steps(new_page: NewPage) -> None:
    page, user = new_page(), User.objects.create_superuser("root", password=PASSWORD)
    log_in(page, user)
    expect(page.get_by_role("heading", name="Welcome: three steps")).to_be_visible()
    expect(page.get_by_text("Times in Asia/Shanghai")).to_be_visible()
    page.goto("/admin/auth/user/add/")
    page.get_by_label("Username").fill("xiaowang")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page).to_have_url(re.compile(r"/user/\d+/change/$"))


def test_wrong_passwords_lock_and_an_administrator_lifts_it(new_page: NewPage, sign_in: SignIn) -> None:
    operator, page = make_staff(roles.OPERATOR), new_page()
    for _ in range(4):
        log_in(page, operator, "wrong")
        expect(page.get_by_text(djangos_words.WRONG_LOGIN).first).to_be_visible()
    log_in(page, operator, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Try again in 15 minutes.")
    page.get_by_role("link", name="Back to login").click()
    log_in(page, operator)
    expect(page.get_by_role("alert")).to_be_visible()

    desk = sign_in(roles.ADMINISTRATOR)
    desk.get_by_role("link", name="Failed logins").click()
    expect(desk.get_by_text(re.compile("locked for"))).to_be_visible()
    desk.get_by_role("link", name=operator.username).click()
    desk.get_by_role("link", name="Lift the lock").click()
    desk.get_by_role("button", name="Lift the lock").click()
    expect(desk.get_by_text("can log in from")).to_be_visible()
    assert not FailedLogin.objects.exists()

    log_in(page, operator)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def type_code(page: Page, code: str) -> None:
    page.get_by_role("textbox", name="Code").fill(code)
    page.keyboard.press("Enter")


def now(key: str) -> str:
    """What the app shows, with a second or two left to type it."""
    if time.time() % 30 > 27:
        time.sleep(30 - time.time() % 30)
    return f"{totp(b32decode(key)):06d}"


def test_a_second_factor_from_setting_it_up_to_losing_it(new_page: NewPage, sign_in: SignIn) -> None:
    operator, page = make_staff(roles.VIEWER), new_page()
    log_in(page, operator)
    page.goto("/admin/me/")
    page.get_by_role("link", name="Set up the second factor").click()
    expect(page.get_by_role("img", name="QR code with the key below").locator("svg")).to_be_visible()
    key = page.locator(".console-key").inner_text().replace(" ", "")
    page.get_by_label("Your password").fill(PASSWORD)
    type_code(page, "12 34")
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    # The key is the same after a wrong code.
    assert page.locator(".console-key").inner_text().replace(" ", "") == key
    page.get_by_label("Your password").fill(PASSWORD)
    type_code(page, now(key))
    codes = page.locator("#backup-codes").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("link", name="I've saved them").click()
    expect(page.get_by_text("10 backup codes are left.")).to_be_visible()

    elsewhere = new_page(width=390)
    log_in(elsewhere, operator)
    expect(elsewhere.get_by_text("Enter the six-digit code")).to_be_visible()
    elsewhere.goto("/admin/pushes/account/")
    expect(elsewhere.get_by_text("Enter the six-digit code")).to_be_visible()
    type_code(elsewhere, codes[0])
    # Where they were heading.
    expect(elsewhere).to_have_url(re.compile("/admin/pushes/account/$"))

    desk = sign_in(roles.ADMINISTRATOR)
    desk.goto(f"/admin/auth/user/{operator.pk}/change/")
    desk.get_by_role("link", name="Reset second factor").click()
    desk.get_by_role("button", name="Reset second factor").click()
    expect(desk.get_by_text("is reset.")).to_be_visible()
    assert not SecondFactor.objects.exists()
    desk.goto(f"/admin/auth/user/{operator.pk}/history/")
    expect(desk.get_by_text(f"The second factor of {operator.username} is reset.")).to_be_visible()


@pytest.mark.parametrize(
    ("role", "sees", "misses"),
    [
        (roles.VIEWER, "Delivery log", "API tokens"),
        (roles.KEY_MANAGER, "API tokens", "Operators"),
        (roles.ADMINISTRATOR, "Failed logins", ""),
        ("", "Overview", "Delivery log"),
    ],
)
def test_the_sidebar_shows_what_a_role_may_open(sign_in: SignIn, role: str, sees: str, misses: str) -> None:
    page = sign_in(role)
    sidebar = page.locator("#nav-sidebar")
    expect(sidebar.get_by_role("link", name=sees)).to_have_count(1)
    if misses:
        expect(sidebar.get_by_role("link", name=misses)).to_have_count(0)


def test_a_page_beyond_the_role_says_what_to_do(sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER)
    page.goto("/admin/pushes/appkey/add/")
    expect(page.get_by_role("heading", name="You do not have access to this page")).to_be_visible()
    page.get_by_role("link", name="Back to the overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_browsers_zone_is_offered_and_used(sign_in: SignIn) -> None:
    row = make_delivery()
    page = sign_in(roles.VIEWER, timezone_id="America/New_York")
    page.goto("/admin/me/")
    expect(page.get_by_text("Your browser is in America/New_York.")).to_be_visible()
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Times in America/New_York")).to_be_visible()
    page.goto(f"/admin/pushes/deliveryresult/{row.pk}/change/")
    shown = page.evaluate("at => new Date(at).toLocaleString('sv-SE')", row.created_at.isoformat())
    expect(page.get_by_text(shown).first).to_be_visible()


def test_the_language_is_remembered_for_the_operator(new_page: NewPage) -> None:
    operator, page = make_staff(roles.VIEWER), new_page()
    log_in(page, operator)
    page.goto("/admin/me/")
    page.get_by_role("combobox", name="Language").select_option("zh-hans")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    elsewhere = new_page()
    log_in(elsewhere, operator)
    expect(elsewhere.locator("html")).to_have_attribute("lang", "zh-hans")


def test_the_menus_open_by_keyboard(sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER)
    page.get_by_role("button", name=re.compile("operator")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="My account")).to_be_visible()
    phone = sign_in(roles.VIEWER, width=390)
    expect(phone.get_by_role("link", name="Delivery log")).not_to_be_in_viewport()
    phone.get_by_role("button", name="Menu").first.focus()
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("link", name="Delivery log")).to_be_in_viewport()


def test_the_login_works_by_keyboard_alone(new_page: NewPage) -> None:
    operator, page = make_staff(roles.VIEWER), new_page()
    page.goto("/admin/login/")
    page.get_by_label("Username").focus()
    page.keyboard.type(operator.username)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
