"""Accounts and devices."""

from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.console.delivery_log import why
from pushes.console.site.desk import admin_url
from pushes.models import Account, Device
from pushes.names import Platform, Reason
from pushes.people import devices, directory
from pushes.storage import shared_redis
from pushes.text.notes import said
from tests.make import make_account, make_delivery, make_device
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db


def found(client: Client, model: str, text: str) -> list[Any]:
    answer = client.get(url(f"{model}_changelist"), {"q": text})
    return [row.pk for row in answer.context["cl"].result_list]


def test_an_account_is_found_by_its_beginning(viewer: Client) -> None:
    make_account("100001")
    make_account("200001")
    assert found(viewer, "account", "1000") == ["100001"]


def test_an_account_is_found_by_a_device_token(viewer: Client) -> None:
    device = make_device(make_account("100001"))
    assert found(viewer, "account", device.token) == ["100001"]


def test_accounts_are_paged_by_their_id(viewer: Client) -> None:
    for number in range(60):
        make_account(f"a{number:02}")
    first = viewer.get(url("account_changelist")).context["cl"]
    second = viewer.get(url("account_changelist") + first.older_url).context["cl"]
    assert [row.pk for row in first.result_list][-1] == "a10"
    assert [row.pk for row in second.result_list] == [f"a{number:02}" for number in range(9, -1, -1)]


def test_an_account_shows_devices_pushes_and_history(viewer: Client) -> None:
    account = make_account("100001")
    device = make_device(account)
    devices.deactivate([device.pk], Reason.BAD_TOKEN, said("code 40"))
    row = make_delivery(account_id=account.pk)
    page = viewer.get(url("account_change", account.pk)).content.decode()
    assert device.masked_token in page
    assert "code 40" in page
    assert url("deliveryresult_change", row.pk) in page


def test_an_account_shows_whether_it_is_online_now(viewer: Client, redis_client: redis.Redis) -> None:
    account = make_account()
    assert ">offline<" in viewer.get(url("account_change", account.pk)).content.decode()
    redis_client.set(directory.presence_key(account.pk), 1)
    assert ">online<" in viewer.get(url("account_change", account.pk)).content.decode()


def test_an_account_is_shown_while_redis_is_away(viewer: Client, settings: Any) -> None:
    account = make_account()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = viewer.get(url("account_change", account.pk)).content.decode()
    assert "Redis does not answer" in page
    shared_redis.client.cache_clear()


def test_an_account_without_devices_says_what_that_means(viewer: Client) -> None:
    page = viewer.get(url("account_change", make_account().pk)).content.decode()
    assert "it cannot receive pushes" in page


@pytest.mark.parametrize("cut", [None, 8])
def test_a_device_is_found_by_its_token_or_the_beginning(viewer: Client, cut: int | None) -> None:
    device = make_device(token="deadbeef" + "0" * 32)
    make_device()
    assert found(viewer, "device", device.token[:cut]) == [device.pk]


def test_a_device_is_found_by_its_account(viewer: Client) -> None:
    device = make_device(make_account("100001"))
    assert found(viewer, "device", "100001") == [device.pk]


def test_no_list_of_people_counts_or_skips(viewer: Client, django_assert_max_num_queries: Any) -> None:
    make_device()
    for model in ("account", "device"):
        with django_assert_max_num_queries(20) as queries:
            viewer.get(url(f"{model}_changelist"))
        about = [q["sql"] for q in queries.captured_queries if f"pushes_{model}" in q["sql"]]
        assert not any("COUNT(" in sql or "OFFSET" in sql for sql in about)


def test_a_device_is_masked_everywhere(viewer: Client) -> None:
    device = make_device()
    for address in (
        url("device_changelist"),
        url("device_change", device.pk),
        url("account_change", device.account_id),
    ):
        assert device.token not in viewer.get(address).content.decode()


def test_an_operator_deactivates_a_device_with_a_reason(operator: Client) -> None:
    device = make_device()
    operator.post(url("device_deactivate_page", device.pk), {"why": "the phone was stolen"})
    device.refresh_from_db()
    assert not device.is_active
    who = LogEntry.objects.get().user
    for language, told in (("en", f"by {who}: the phone was stolen"), ("zh-hans", f"由 {who}：the phone was stolen")):
        page = operator.get(url("device_change", device.pk), headers={"Accept-Language": language}).content.decode()
        assert told in page


def test_deactivating_needs_a_reason(operator: Client) -> None:
    device = make_device()
    assert operator.post(url("device_deactivate_page", device.pk), {"why": " "}).status_code == 422
    device.refresh_from_db()
    assert device.is_active


def test_deactivating_twice_says_so(operator: Client) -> None:
    device = make_device()
    devices.deactivate([device.pk], None)
    page = operator.post(url("device_deactivate_page", device.pk), {"why": "x"}, follow=True)
    assert "already inactive" in page.content.decode()


def test_an_operator_reactivates_a_device(operator: Client) -> None:
    device = make_device()
    devices.deactivate([device.pk], Reason.BAD_TOKEN)
    operator.post(url("device_reactivate_page", device.pk))
    device.refresh_from_db()
    assert device.is_active


def test_reactivating_an_active_device_says_so(operator: Client) -> None:
    page = operator.post(url("device_reactivate_page", make_device().pk), follow=True)
    assert "already active" in page.content.decode()


@pytest.mark.parametrize("step", ["deactivate", "reactivate"])
def test_looking_at_the_page_changes_nothing_and_a_viewer_may_not(operator: Client, viewer: Client, step: str) -> None:
    device = make_device()
    assert operator.get(url(f"device_{step}_page", device.pk)).status_code == 200
    assert viewer.post(url(f"device_{step}_page", device.pk), {"why": "x"}).status_code == 403
    device.refresh_from_db()
    assert device.is_active


# --- one spelling -----------------------------------------------------------------------------

IPHONE = "0a1b" * 16


@pytest.mark.parametrize(
    "typed", [IPHONE.upper(), f"<{IPHONE[:8]} {IPHONE[8:]}>", IPHONE[:8].upper(), f"<{IPHONE[:8]} "]
)
def test_an_iphone_is_found_however_its_token_is_typed(viewer: Client, typed: str) -> None:
    device = make_device(make_account("100001"), token=IPHONE, platform=Platform.IOS)
    row = make_delivery(token=IPHONE, platform=Platform.IOS)
    make_delivery(token=IPHONE.upper())
    assert found(viewer, "device", typed) == [device.pk]
    assert found(viewer, "account", typed) == ["100001"]
    assert row.pk in found(viewer, "deliveryresult", typed)
    assert row.pk in found(viewer, "deliveryresult", f"token:{typed}")


def test_the_letter_case_of_an_android_token_counts_in_a_search(viewer: Client) -> None:
    make_device(token=IPHONE)
    row = make_delivery(token=IPHONE)
    assert found(viewer, "device", IPHONE.upper()) == []
    assert found(viewer, "device", IPHONE[:9].upper()) == []
    assert row.pk not in found(viewer, "deliveryresult", IPHONE.upper())


@pytest.mark.parametrize("typed", ["100001\u200b", "\ufeff100001", "\u00a0100001\u3000", "1000\u00ad01"])
def test_an_account_is_found_whatever_was_copied_with_its_id(viewer: Client, typed: str) -> None:
    device = make_device(make_account("100001"))
    row = make_delivery(account_id="100001")
    assert found(viewer, "account", typed) == ["100001"]
    assert found(viewer, "device", typed) == [device.pk]
    assert found(viewer, "deliveryresult", typed) == [row.pk]


@pytest.mark.parametrize("account_id", ["7\n8", "7\r8", "7\u200b", "7/8/", "7\x008"])
def test_an_id_from_before_they_were_checked_breaks_no_page(admin_client: Client, account_id: str) -> None:
    account = make_account(account_id)
    device = make_device(account)
    row = make_delivery(account_id=account_id)
    pages = ["/admin/", *(url(f"{model}_changelist") for model in ("account", "device", "deliveryresult"))]
    pages += [admin_url(Account, name, account.pk) for name in ("change", "test_page", "tags_page", "preferences_page")]
    pages += [admin_url(Device, name, device.pk) for name in ("change", "test_page")]
    pages += [url("deliveryresult_change", row.pk), url("pushrecord_change", row.record_id)]
    pages += [why.url(account_id, f"#{row.record_id}"), why.url("\u200b", "#1"), why.url("7\n8", "#1")]
    for page in pages:
        assert admin_client.get(page).status_code < 500, page
