"""A real Chromium on the live server. One browser for the session, a clean context for every test."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from pushes.console.operators import roles
from tests.make import make_operator
from tests.needs import needs

#: Nothing that Chromium would do on its own: no updates, no look-ups at its maker's.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Patience for a machine that does much else meanwhile: what is right is seen at once all the same.
WAIT_MILLISECONDS = 20_000
expect.set_options(timeout=WAIT_MILLISECONDS)
PASSWORD = "correct-Horse-7-battery"

SignIn = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser(django_db_setup: None) -> Iterator[Browser]:
    needs("chromium")
    before: Any = connection
    migrated_rows = before._test_serialized_contents
    # Playwright's loop runs in this thread; the tests use the ORM beside it, one thing at a time.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        # Beside a running loop Django opens another connection, which must know the rows to put back, too.
        beside: Any = connection
        beside._test_serialized_contents = migrated_rows
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """`new_page(width=1280)`: a page in a context of its own, whose relative addresses are the live server's.

    Whatever a page complains about in its console fails the test at its end.
    """
    complaints: list[str] = []
    contexts = []

    def heard(message: ConsoleMessage) -> None:
        # Refusals are answered with their own status, and the browser reports every such answer by itself.
        if message.type == "error" and not re.search(r"status of (4(03|04|22|29)|500)", message.text):
            complaints.append(message.text)

    def opened(*, width: int = 1280, height: int = 800, **options: Any) -> Page:
        options = {"timezone_id": "Asia/Shanghai", "locale": "en", "reduced_motion": "reduce"} | options
        context = browser.new_context(base_url=live_server.url, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(WAIT_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def sign_in(new_page: Callable[..., Page], live_server: Any) -> SignIn:
    """`sign_in(roles.OPERATOR)`: the overview, as a new member of staff with that role sees it.

    They are let in without the form and have no password: hashing one takes its time, and `log_in` is for the tests
    that are about logging in.
    """

    def signed_in(role: str = roles.ADMINISTRATOR, **options: Any) -> Page:
        client = Client()
        client.force_login(make_operator(role))
        page = new_page(**options)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        page.goto("/")
        return page

    return signed_in


def log_in(page: Page, user: User, password: str = PASSWORD) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(user.get_username())
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()


def overview_alert(page: Page, text: str) -> Locator:
    """The overview's alert that says `text`."""
    alerts = page.get_by_role("list", name="Needs attention").get_by_role("listitem")
    return alerts.filter(has_text=text)
