"""Every kind of page, as axe-core judges it, on a desk and on a phone, light and dark; and nothing sticks out."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Page, expect

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
from pushes.names import BroadcastStatus
from tests.browser.conftest import PASSWORD, SignIn, log_in
from tests.browser.screenshots import fill
from tests.jobs import make_failed_job

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
    "pushes/device/{device}/change/",
    "pushes/device/{device}/deactivate/",
    "pushes/device/{device}/tags/",
    "pushes/device/{device}/reveal/",
    "pushes/appkey/",
    "pushes/appkey/add/",
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
    "phone": {"width": 390, "height": 800, "color_scheme": "dark", "has_touch": True},
}
#: What axe-core reports as broken rather than as advice.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
#: Wider than its window: the browser would scroll the whole page sideways.
STICKS_OUT = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def rows() -> dict[str, int]:
    fill(timezone.now())
    ApiToken.objects.create(pk=1, name="shop backend", digest="0", scopes=["push"])
    FailedLogin.objects.create(pk=1, username="first", ip_address="192.0.2.1", failures_since_start=5)
    User.objects.create_superuser("root", pk=1, password=PASSWORD)
    User.objects.create_user("colleague", pk=2)
    make_failed_job("hg_xinge_queue", [1, 2], "Traceback:\n" + "  a long line of code " * 40, job_id="failed-1")
    return places()


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


def faults(page: Page, address: str) -> list[str]:
    """What is wrong with the page at `address`, each with the element that shows it."""
    answer = page.goto(address)
    assert answer is not None
    found = [] if answer.status < 400 and page.url.endswith(address) else [f"{address}: leads to {page.url}"]
    found += [f"{address}: {violation}" for violation in violations(page)]
    if page.evaluate(STICKS_OUT) > 0:
        found.append(f"{address}: sticks out by {page.evaluate(STICKS_OUT)} px")
    return found


def violations(page: Page) -> list[str]:
    """What axe-core finds broken, each with the first elements that show it."""
    found = []
    for violation in Axe().run(page, options=RULES).response["violations"]:
        where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        found.append(f"{violation['id']} ({len(violation['nodes'])}×): {where}")
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_refusals_are_accessible_and_fit(look: str, new_page: Callable[..., Page], sign_in: SignIn) -> None:
    page = sign_in(roles.VIEWER, **LOOKS[look])
    for address, words in (("pushes/appkey/add/", "You may not open"), ("no/such/page/", "There is no such page")):
        page.goto(f"/admin/{address}")
        expect(page.get_by_role("heading")).to_contain_text(words)
        assert violations(page) == []
        assert page.evaluate(STICKS_OUT) <= 0


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_accessible_and_fit(look: str, new_page: Callable[..., Page], rows: dict[str, int]) -> None:
    page = new_page(**LOOKS[look])
    found = faults(page, "/admin/login/")
    log_in(page, User.objects.get(pk=1))
    for address in PAGES:
        found += faults(page, f"/admin/{address.format(**rows)}")
    assert found == []
