"""Every kind of page, with long and odd content, on a desk in English and on a phone in Chinese, light and dark.

axe-core finds nothing broken, no page scrolls sideways, no table hides columns, and every control has a name.
"""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Page, expect

from chatscan.models import ScannerPosition
from pushes.console.operators import roles
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.models import (
    ApiToken,
    AppKey,
    Broadcast,
    DeadLetter,
    DeliveryResult,
    Device,
    FailedLogin,
    PushRecord,
    PushTypePolicy,
)
from pushes.names import BroadcastStatus, RecordStatus, Status
from tests.browser.conftest import PASSWORD, SignIn
from tests.browser.screenshots import fill
from tests.jobs import make_failed_job
from tests.make import make_account, make_dead_letter, make_delivery, make_device, make_record

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

PAGES = [
    "",
    "me/",
    "me/second-factor/set-up/",
    "password_change/",
    "pushes/broadcast/",
    "pushes/broadcast/add/",
    "pushes/broadcast/{draft}/change/",
    "pushes/broadcast/{draft}/send/",
    "pushes/broadcast/{draft}/test/",
    "pushes/broadcast/{draft}/delete/",
    "pushes/broadcast/{sending}/progress/",
    "pushes/broadcast/{sending}/history/",
    "pushes/deliveryresult/",
    "pushes/deliveryresult/?q=account:nobody",
    "pushes/deliveryresult/export/",
    "pushes/deliveryresult/{delivery}/change/",
    "pushes/deliveryresult/why/",
    "pushes/deliveryresult/why/?account=100007&message=order-7",
    "pushes/pushrecord/",
    "pushes/pushrecord/{record}/change/",
    "pushes/export/",
    "pushes/deadletter/",
    "pushes/deadletter/{letter}/change/",
    "pushes/deadletter/{letter}/replay/",
    "pushes/deadletter/{letter}/discard/",
    "pushes/deadletter/{conflict}/change/",
    "pushes/account/",
    "pushes/account/100007/change/",
    "pushes/account/100007/preferences/",
    "pushes/account/100007/tags/",
    "pushes/account/100007/test/",
    "pushes/device/",
    "pushes/device/coverage/",
    "pushes/device/{device}/change/",
    "pushes/device/{device}/deactivate/",
    "pushes/device/{device}/tags/",
    "pushes/device/{device}/reveal/",
    "pushes/appkey/",
    "pushes/appkey/add/",
    "pushes/appkey/add/?app=higo&platform=ios&environment=local&provider=apns",
    "pushes/appkey/{key}/change/",
    "pushes/appkey/{key}/pause/",
    "pushes/appkey/{key}/restore/",
    "pushes/appkey/{key}/rotate/",
    "pushes/appkey/import/",
    "pushes/appkey/match/",
    "pushes/pushtypepolicy/",
    "pushes/pushtypepolicy/{policy}/change/",
    "pushes/apitoken/",
    "pushes/apitoken/add/",
    "pushes/apitoken/1/disable/",
    "chatscan/scannerposition/",
    "chatscan/scannerposition/group/change/",
    "chatscan/scannerposition/group/rewind/",
    "django_rq/dashboard/",
    "django_rq/dashboard/failed/hg_xinge_queue/",
    "django_rq/dashboard/failed/hg_xinge_queue/requeue/",
    "django_rq/dashboard/failed/hg_xinge_queue/jobs/failed-1/",
    "django_rq/dashboard/failed/hg_xinge_queue/jobs/failed-1/delete/",
    "auth/user/",
    "auth/user/add/",
    "auth/user/1/change/",
    "auth/user/2/password/",
    "auth/group/",
    "auth/group/{role}/change/",
    "pushes/failedlogin/",
    "pushes/failedlogin/1/lift/",
]
LOOKS: dict[str, dict[str, Any]] = {
    "desk": {"width": 1280, "color_scheme": "light"},
    "phone": {"width": 390, "height": 800, "color_scheme": "dark", "has_touch": True, "locale": "zh-CN"},
}
#: What axe-core reports as broken rather than as advice.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
#: Wider than its window: the browser would scroll the whole page sideways.
STICKS_OUT = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


#: A table that is wider than its place: the theme gives it a scrollbar of its own, under which columns hide.
HIDES_COLUMNS = """() => {
    const table = document.querySelector('#result_list');
    return table && innerWidth >= 1280 ? Math.max(0, table.scrollWidth - table.parentElement.clientWidth) : 0;
}"""
#: Fields and buttons that a screen reader could not name.
NAMELESS = """() => {
    const kinds = ['input:not([type=hidden])', 'select', 'textarea', 'button', 'a[href]'];
    return [...document.querySelectorAll(kinds.map(kind => '#content ' + kind).join(','))]
        .filter(node => node.checkVisibility() && !node.closest('[x-data]'))
        .filter(node => !node.labels?.length && !node.getAttribute('aria-label') && !node.title)
        .filter(node => !node.placeholder && !node.textContent.trim())
        .map(node => node.outerHTML.slice(0, 120));
}"""
ERROR = "ServerSelectionTimeoutError:10.23.4.5:27017:[Errno 111]ConnectionRefused(configured timeouts: none), " * 3
NAME = "user-with-a-rather-long-identifier-0123456789-0123456789-abcdef"


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
    make_failed_job("hg_xinge_queue", [1, 2], f"Traceback:\n{'  a line of code ' * 40}\n{ERROR}", job_id="failed-1")
    make_dead_letter(b"z" * 500, detail=ERROR[:300], source="intake")
    AppKey.objects.filter(pk=places_of_rows["key"]).update(paused_at=timezone.now(), paused_reason=ERROR[:200])
    ScannerPosition.objects.update(last_error=ERROR[:300], last_error_at=timezone.now(), mode_detail=ERROR[:300])
    return places_of_rows | {
        "delivery": DeliveryResult.objects.latest("pk").pk,
        "record": PushRecord.objects.latest("pk").pk,
        "device": device.pk,
    }


def conflict() -> int:
    """A dead letter whose msg_id stands for another push."""
    order = b'{"to_id": "%b", "app": "higo", "message": "%b", "msg_id": "order-7"}'
    store(Batch("batch", [order % (b"100007", "您已付款".encode()), order % (b"100008", "买家已付款".encode() * 20)]))
    return DeadLetter.objects.get(reason="conflict").pk


def places() -> dict[str, int]:
    """A row of each model, for the addresses above."""
    models: dict[str, type[Model]] = {
        "delivery": DeliveryResult,
        "record": PushRecord,
        "letter": DeadLetter,
        "device": Device,
        "key": AppKey,
        "policy": PushTypePolicy,
        "role": Group,
    }
    found = {
        name: model._default_manager.order_by("pk").values_list("pk", flat=True)[0] for name, model in models.items()
    }
    drafts = Broadcast.objects.filter(status=BroadcastStatus.DRAFT)
    sending = Broadcast.objects.exclude(pk=drafts.get().pk)
    return found | {"draft": drafts.get().pk, "sending": sending.get().pk, "conflict": conflict()}


def faults(page: Page, address: str, width: int) -> list[str]:
    """What is wrong with the page at `address`, each with the element that shows it. On the desk it opens on a narrow
    screen first: a chart shrinks only a moment after its window. axe-core sees it as after the exchange of a part."""
    page.set_viewport_size({"width": 390, "height": 800})
    answer = page.goto(address)
    assert answer is not None
    found = [] if answer.status < 400 and page.url.endswith(address) else [f"leads to {page.url}"]
    found += too_wide(page)
    if width != 390:
        page.set_viewport_size({"width": width, "height": 800})
        found += too_wide(page)
    page.evaluate("document.body.dispatchEvent(new Event('htmx:afterSettle', {bubbles: true}))")
    found += [*violations(page), *(f"without a name: {control}" for control in page.evaluate(NAMELESS))]
    if not page.locator("h1").count():
        found.append("no heading")
    return [f"{address}: {wrong}" for wrong in found]


def too_wide(page: Page) -> list[str]:
    checks = {"sticks out": STICKS_OUT, "hides columns": HIDES_COLUMNS}
    return [f"{how} by {pixels} px" for how, script in checks.items() if (pixels := page.evaluate(script)) > 0]


def violations(page: Page) -> list[str]:
    """What axe-core finds broken, each with the first elements that show it."""
    found = []
    for violation in Axe().run(page, options=RULES).response["violations"]:
        where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        found.append(f"{violation['id']} ({len(violation['nodes'])}×): {where}")
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_refusals_are_accessible_and_fit(look: str, new_page: Callable[..., Page], sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER, **LOOKS[look] | {"locale": "en"})
    for address, words in (("pushes/appkey/add/", "You do not have access"), ("no/such/page/", "Page not found")):
        page.goto(f"/admin/{address}")
        expect(page.get_by_role("heading")).to_contain_text(words)
        assert violations(page) == []
        assert page.evaluate(STICKS_OUT) <= 0


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_accessible_and_fit(look: str, new_page: Callable[..., Page], rows: dict[str, int]) -> None:
    page, width = new_page(**LOOKS[look]), LOOKS[look]["width"]
    found = faults(page, "/admin/login/", width)
    log_in_with(page, User.objects.get(pk=1))
    for address in PAGES:
        found += faults(page, f"/admin/{address.format(**rows)}", width)
    assert found == []


def log_in_with(page: Page, user: User) -> None:
    """In any language: the fields by their names."""
    page.goto("/")
    page.locator("#id_username").fill(user.get_username())
    page.locator("#id_password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_load_state()
