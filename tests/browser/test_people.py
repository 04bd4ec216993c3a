"""An account's page: a test push from the click to the phone, and a token that is looked at."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from pushes.console.operators import roles
from pushes.models import Device, PushRecord, PushTypePolicy
from pushes.names import WindowPolicy
from tests.browser.conftest import SignIn
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def device(sandbox: Sandbox) -> Device:
    """An Android phone of the account 100001 that the sandbox provider reaches, at any hour."""
    PushTypePolicy.objects.update(window_policy=WindowPolicy.SEND)
    secret = make_secret()
    key = make_app_key(secret=secret, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), secret)
    return make_device(make_account("100001"))


def test_a_test_push_from_the_click_to_the_phone(
    sign_in: SignIn, device: Device, sandbox: Sandbox, run_jobs: Callable[..., int]
) -> None:
    page = sign_in(roles.OPERATOR)
    page.goto("/admin/pushes/account/100001/change/")
    page.get_by_role("link", name="Send a test push").click()
    expect(page.get_by_role("checkbox", name="higo Android")).to_be_checked()
    page.get_by_label("Title").fill("试一下")
    page.get_by_label("Text").fill("收到了吗？")
    page.get_by_role("button", name="Send the test push").dblclick()
    expect(page.get_by_text("A test was sent to 1 device.")).to_be_visible()
    expect(page.get_by_role("row", name="pending")).to_be_visible()
    assert PushRecord.objects.count() == 1
    run_jobs()
    # The page asks by itself, and stops asking once it is over.
    expect(page.get_by_role("row", name="accepted by the provider")).to_be_visible()
    expect(page.get_by_text("finished", exact=True)).to_be_visible()
    expect(page.locator("#test-result[hx-get]")).to_have_count(0)
    [arrived] = sandbox.received(token=device.token)
    assert (arrived["title"], arrived["content"]) == ("试一下", "收到了吗？")
    assert device.token not in page.content()
    page.locator("#test-result").get_by_role("link", name="Why / why not").click()
    expect(page.get_by_role("status").get_by_text("accepted").first).to_be_visible()
    page.goto("/admin/pushes/account/100001/change/")
    expect(page.get_by_role("cell", name="试一下")).to_be_visible()


def test_a_test_push_to_somebody_who_has_logged_out_says_so(
    sign_in: SignIn, device: Device, sandbox: Sandbox, run_jobs: Callable[..., int]
) -> None:
    device.account.login_status = 0
    device.account.save()
    page = sign_in(roles.OPERATOR)
    page.goto(f"/admin/pushes/device/{device.pk}/change/")
    page.get_by_role("link", name="Send a test push").click()
    expect(page.get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_text("logged out")).to_be_visible()
    page.get_by_role("button", name="Send the test push").click()
    run_jobs()
    expect(page.get_by_text("the account is logged out")).to_be_visible()
    assert sandbox.received() == []


def test_a_token_is_masked_until_it_is_looked_at_and_that_is_written_down(sign_in: SignIn, device: Device) -> None:
    page = sign_in(roles.OPERATOR)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/admin/pushes/device/{device.pk}/change/")
    assert device.token not in page.content()
    page.get_by_role("link", name="Show token").click()
    assert device.token not in page.content()
    page.get_by_role("button", name="Show the token").click()
    expect(page.get_by_text(device.token)).to_be_visible()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="✓")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == device.token
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="History", exact=False).first.click()
    expect(page.get_by_text("Viewed the full token.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"operator\d+")).first).to_be_visible()
    assert device.token not in page.content()


def test_a_viewer_is_offered_neither(sign_in: SignIn, device: Device) -> None:
    page = sign_in(roles.VIEWER)
    for address in (f"/admin/pushes/device/{device.pk}/change/", "/admin/pushes/account/100001/change/"):
        page.goto(address)
        expect(page.get_by_role("link", name="Show token")).to_have_count(0)
        expect(page.get_by_role("link", name="Send a test push")).to_have_count(0)
    assert page.goto(f"/admin/pushes/device/{device.pk}/reveal/").status == 403  # type: ignore[union-attr]
