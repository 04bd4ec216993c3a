"""The header of a page: its title stays readable beside the actions."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pushes.models import AppKey
from pushes.names import App, Platform
from tests.browser.conftest import SignIn
from tests.make import make_app_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
IS_WHOLE = "step => step.clientWidth > 0 && step.scrollWidth <= step.clientWidth"


@pytest.fixture
def key() -> AppKey:
    return make_app_key(App.HIGIRL, Platform.ANDROID, is_enabled=False)


def title(page: Page) -> Any:
    return page.locator("h1 [aria-current=page]")


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
@pytest.mark.parametrize("width", [1024, 1280, 1600])
def test_a_row_with_five_actions_keeps_its_title(sign_in: SignIn, key: AppKey, width: int, locale: str) -> None:
    page = sign_in(width=width, locale=locale)
    page.goto(f"/admin/pushes/appkey/{key.pk}/change/")
    actions = page.locator("#header-inner ul li")
    assert actions.count() >= 5
    expect(title(page)).to_have_text(str(key))
    assert title(page).evaluate(IS_WHOLE)
    for place in range(actions.count()):
        box: Any = actions.nth(place).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    header: Any = page.locator("#header-inner").bounding_box()
    zone: Any = page.locator(".console-zone").bounding_box()
    assert header["y"] + header["height"] <= zone["y"]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_of_a_desk_shows_its_own_title(sign_in: SignIn, width: int) -> None:
    page = sign_in(width=width)
    page.goto("/admin/pushes/device/coverage/")
    expect(title(page)).to_have_text("Reach of the channels")
    assert title(page).evaluate(IS_WHOLE)
    if width > 640:
        page.locator("h1").get_by_role("link", name="Devices").click()
        expect(page).to_have_url(re.compile("/admin/pushes/device/$"))
