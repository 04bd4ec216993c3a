"""No page of the console scrolls sideways: at 1280 and at 390 px, in both languages, with long and odd content."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page

from chatscan.models import ScannerPosition
from pushes.models import ApiToken, AppKey, DeliveryResult, FailedLogin, PushRecord
from pushes.names import RecordStatus, Status
from tests.browser.conftest import PASSWORD
from tests.browser.screenshots import fill
from tests.browser.test_accessibility import PAGES, STICKS_OUT, places
from tests.make import make_account, make_dead_letter, make_delivery, make_device, make_record

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

ERROR = "ServerSelectionTimeoutError:10.23.4.5:27017:[Errno 111]ConnectionRefused(configured timeouts: none), " * 3
NAME = "user-with-a-rather-long-identifier-0123456789-0123456789-abcdef"
#: A table that is wider than its place: the theme gives it a scrollbar of its own, under which columns hide.
HIDES_COLUMNS = """() => {
    const table = document.querySelector('#result_list');
    return table && innerWidth >= 1280 ? Math.max(0, table.scrollWidth - table.parentElement.clientWidth) : 0;
}"""


@pytest.fixture
def rows() -> dict[str, int]:
    """The pictures' rows, and beside them the longest that each column takes."""
    fill(timezone.now())
    ApiToken.objects.create(pk=1, name="a token with a really long name " * 2, digest="0", scopes=["push", "presence"])
    address = "2001:db8:85a3:8d3:1319:8a2e:370:7348"
    FailedLogin.objects.create(pk=1, username="一位名字很长的操作员" * 4, ip_address=address, failures_since_start=5)
    User.objects.create_superuser("root", pk=1, password=PASSWORD, email=f"{NAME}@example.com")
    User.objects.create_user("colleague", pk=2)
    places_of_rows = places()
    device = make_device(make_account(NAME), token="f" * 64)
    record = make_record(
        title="👨‍👩‍👧‍👦 家庭购物群 " * 5,
        text="x" * 500,
        message_id="m" * 120,
        accounts=[NAME],
        status=RecordStatus.FAILED,
        status_detail="y" * 190,
    )
    make_delivery(
        record, account_id=NAME, device_id=device.pk, token=device.token, status=Status.FAILED, reason="bad_token",
        provider_code=40, provider_text=ERROR[:200],
    )  # fmt: skip
    make_dead_letter(b"z" * 500, detail=ERROR[:300], source="intake")
    AppKey.objects.filter(pk=places_of_rows["key"]).update(paused_at=timezone.now(), paused_reason=ERROR[:200])
    ScannerPosition.objects.update(last_error=ERROR[:300], last_error_at=timezone.now(), mode_detail=ERROR[:300])
    return places_of_rows | {
        "delivery": DeliveryResult.objects.latest("pk").pk,
        "record": PushRecord.objects.latest("pk").pk,
        "device": device.pk,
    }


def test_no_page_scrolls_sideways(new_page: Callable[..., Page], rows: dict[str, Any]) -> None:
    found = []
    for locale in ("en", "zh-CN"):
        page = new_page(locale=locale)
        log_in_with(page, User.objects.get(pk=1))
        for address in PAGES:
            # The phone's width first: a chart shrinks only a moment after its window.
            page.set_viewport_size({"width": 390, "height": 800})
            page.goto(f"/admin/{address.format(**rows)}", wait_until="domcontentloaded")
            found += [f"{address} at 390 px in {locale}: {wrong}" for wrong in too_wide(page)]
            page.set_viewport_size({"width": 1280, "height": 800})
            found += [f"{address} at 1280 px in {locale}: {wrong}" for wrong in too_wide(page)]
    assert found == []


def too_wide(page: Page) -> list[str]:
    checks = {"sticks out": STICKS_OUT, "hides columns": HIDES_COLUMNS}
    return [f"{how} by {pixels} px" for how, script in checks.items() if (pixels := page.evaluate(script)) > 0]


def log_in_with(page: Page, user: User) -> None:
    """In any language: the fields by their names."""
    page.goto("/")
    page.locator("#id_username").fill(user.get_username())
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_load_state()
