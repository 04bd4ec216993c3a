"""The scanners' flight deck and an account's wishes, in a real browser over a real MongoDB."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from chatscan.models import Rewind, ScannerPosition
from chatscan.names import Mode
from pushes.console.operators import roles
from pushes.models import Account
from tests.browser.conftest import SignIn, overview_alert
from tests.chatscan.making import group, group_document
from tests.make import make_account, make_device

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def make_scanner(**fields: Any) -> ScannerPosition:
    now = timezone.now()
    fields = {"heartbeat_at": now, "scanned_at": now, "mode": Mode.DOORBELL, "interval_seconds": 10.0} | fields
    return ScannerPosition.objects.create(kind="group", position_at=now, **fields)


def test_a_stalled_scanner_is_found_from_the_overview(sign_in: SignIn) -> None:
    make_scanner()
    ScannerPosition.objects.update(
        heartbeat_at=timezone.now() - timedelta(minutes=10), created_at=timezone.now() - timedelta(days=1)
    )
    page = sign_in(roles.VIEWER)
    overview_alert(page, "no heartbeat").get_by_role("link", name="What to do").click()
    expect(page.locator(".console-warning").filter(has_text="push.sh status")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_scanner_is_turned_back_after_a_rehearsal(sign_in: SignIn, mongo_db: Any, width: int) -> None:
    make_scanner()
    mongo_db.groups.create_index("group_id")
    mongo_db.groups.insert_one(group())
    mongo_db.chats.create_index([("createAt", 1), ("_id", 1)])
    mongo_db.chats.insert_many(group_document(f"在吗 {n}", at=time.time() - 60 * n) for n in range(1, 4))
    page = sign_in(roles.ADMINISTRATOR, width=width, height=900)
    page.goto("/admin/chatscan/scannerposition/group/change/")
    if width < 800:
        page.goto("/admin/chatscan/scannerposition/group/rewind/")
    else:
        page.get_by_role("link", name="Rewind").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("小王: 在吗 3")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not Rewind.objects.exists()
    page.get_by_role("button", name="Rewind the scanner").click()
    expect(page.get_by_text("Rewound: the scanner reads again from")).to_be_visible()
    assert Rewind.objects.get().by is not None


def test_an_operator_mutes_a_group_for_an_account(sign_in: SignIn) -> None:
    make_device(make_account("100007"))
    page = sign_in(roles.OPERATOR)
    page.goto("/admin/pushes/account/100007/change/")
    page.get_by_role("link", name="Mute and block").click()
    page.get_by_label("Muted conversations").fill("group:7\nseven")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("“seven” is not valid. Nothing was changed.")).to_be_visible()
    page.get_by_label("Muted conversations").fill("group:7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("muted: group:7")).to_be_visible()
    assert Account.objects.get().muted_conversations == ["group:7"]
