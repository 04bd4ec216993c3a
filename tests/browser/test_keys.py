"""A key manager's flows: import, verify, rotate, fall back, and the check before going live."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from pushes.console.operators import roles
from pushes.models import AppKey
from pushes.names import App, Platform, Status
from pushes.sending.job import deliver
from pushes.upkeep.sweep import sweep
from tests.browser.conftest import SignIn, overview_alert
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.pushes.rows import make_delivery
from tests.sandbox_process import Sandbox

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]
OLD, NEW = make_secret(), make_secret()


@pytest.fixture
def key(sandbox: Sandbox) -> AppKey:
    """A key whose new secret the provider takes already."""
    key = make_app_key(App.HIGO, Platform.ANDROID, secret=OLD, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), NEW)
    return key


def rotate(page: Page, key: AppKey, secret: str) -> None:
    page.goto(f"/admin/pushes/appkey/{key.pk}/change/")
    page.get_by_role("link", name="Rotate the secret").click()
    page.get_by_label("Secret key").fill(secret)
    page.get_by_role("button", name="Verify the new secret").click()


def test_imported_keys_are_verified(sign_in: SignIn, sandbox: Sandbox, tmp_path: Path) -> None:
    secret, file = make_secret(), tmp_path / "xinge.ini"
    sandbox.add_key(2_200_047_738, secret)
    file.write_text(f"ios_higo_appid = 2200047738\nios_higo_skey = {secret}\n")
    page = sign_in(roles.KEY_MANAGER)
    page.goto("/admin/pushes/appkey/")
    page.get_by_role("link", name="Import from legacy .ini").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_label("Provider").select_option("sandbox")
    page.get_by_label("Endpoint URL").fill(sandbox.url)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("cell", name="higo ios production")).to_be_visible()
    page.get_by_role("button", name="Import 1 key").click()
    page.get_by_role("link", name="Open higo ios production").click()
    page.get_by_role("link", name="Verify now").click()
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("Verified: the provider accepted these credentials.")).to_be_visible()


def test_a_secret_is_rotated_and_the_old_one_ended(sign_in: SignIn, key: AppKey) -> None:
    page = sign_in(roles.KEY_MANAGER)
    rotate(page, key, make_secret())
    expect(page.get_by_text("refused: check the credentials")).to_be_visible()
    expect(page.get_by_text("the stored secret stays in use")).to_be_visible()
    page.get_by_role("link", name="Enter it again").click()
    page.get_by_label("Secret key").fill(NEW)
    page.get_by_role("button", name="Verify the new secret").click()
    expect(page.get_by_text("the provider accepted these credentials")).to_be_visible()
    assert AppKey.objects.get().credentials().secret == OLD
    page.get_by_role("button", name="Use the new secret").dblclick()
    expect(page.get_by_text("The new secret is in use.")).to_be_visible()
    assert AppKey.objects.get().credentials().secret == NEW
    page.get_by_role("link", name="Discard the old secret").click()
    page.get_by_role("button", name="Discard the old secret").click()
    expect(page.get_by_text("The old secret is discarded.")).to_be_visible()
    assert not AppKey.objects.get().has_old_secret
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("The secret was rotated; the old one is kept.")).to_be_visible()
    assert OLD not in page.content()
    assert NEW not in page.content()


def test_an_operator_goes_back_to_the_old_secret(sign_in: SignIn, key: AppKey, sandbox: Sandbox) -> None:
    page = sign_in(roles.KEY_MANAGER)
    rotate(page, key, NEW)
    page.get_by_role("button", name="Use the new secret").click()
    sandbox.add_key(int(key.access_id), OLD)
    page.get_by_role("link", name="Roll back to the old secret").click()
    page.get_by_role("button", name="Roll back to the old secret").click()
    expect(page.get_by_text("the old secret is in use again")).to_be_visible()
    assert AppKey.objects.get().credentials().secret == OLD


def test_sending_falls_back_by_itself_and_says_so(
    sign_in: SignIn, key: AppKey, sandbox: Sandbox, run_jobs: Any
) -> None:
    page = sign_in(roles.KEY_MANAGER)
    rotate(page, key, NEW)
    page.get_by_role("button", name="Use the new secret").click()
    expect(page.get_by_text("The new secret is in use.")).to_be_visible()
    # The provider withdraws the new secret, while pushes are on their way.
    sandbox.add_key(int(key.access_id), OLD)
    rows = [make_delivery(None, make_device(make_account()), app_key_id=key.pk) for _ in range(3)]
    deliver([row.pk for row in rows])
    page.goto("/admin/")
    alert = overview_alert(page, "sending rolled back to the old one")
    expect(alert).to_be_visible()
    sweep()
    run_jobs()
    for row in rows:
        row.refresh_from_db()
    assert {row.status for row in rows} == {Status.ACCEPTED}
    alert.get_by_role("link", name="Open the key").click()
    page.get_by_role("link", name="Acknowledge").click()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Acknowledged that the new secret was refused")).to_be_visible()
    page.goto("/admin/")
    expect(page.get_by_text("sending rolled back to the old one")).to_have_count(0)


def test_the_keys_are_held_against_the_client_apps(sign_in: SignIn, tmp_path: Path) -> None:
    make_app_key(App.HIGO, Platform.ANDROID, access_id=2_100_047_733)
    make_app_key(App.HIGO, Platform.IOS, access_id=2_200_047_738)
    secret, file = make_secret(), tmp_path / "apps.ini"
    file.write_text(f"android_higo_appid = 2100047733\nandroid_higo_skey = {secret}\n")
    page = sign_in(roles.VIEWER)
    page.goto("/admin/pushes/appkey/")
    page.get_by_role("link", name="Compare them with the app builds before going live.").click()
    page.get_by_label("Access IDs in the app builds").fill("higo ios 2200047739")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("Some access IDs differ")
    expect(page.get_by_role("row", name="higo Android")).to_contain_text("matches")
    expect(page.get_by_role("row", name="higo iOS")).to_contain_text("differs")
    assert secret not in page.content()
    page.get_by_role("link", name="Compare another list").click()
    page.get_by_label("Access IDs in the app builds").fill("higo ios 2200047738")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("All match")).to_be_visible()


def test_an_access_id_of_the_other_platform_is_doubted(sign_in: SignIn) -> None:
    page = sign_in(roles.KEY_MANAGER)
    page.goto("/admin/pushes/appkey/?")
    page.get_by_role("link", name="Add higo Android production").click()
    page.get_by_role("button", name="Enter the credentials").click()
    page.get_by_label("Access ID").fill("2200047738")
    page.get_by_label("Secret key").fill(make_secret())
    page.get_by_role("button", name="Save", exact=True).click()
    doubts = page.get_by_text("2200047738 is the access ID of an iOS app, but this key is for Android.")
    expect(doubts.first).to_be_visible()
