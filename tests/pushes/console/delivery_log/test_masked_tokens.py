"""A masked token, as every page shows it, is found when it is pasted into a search."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pushes.models import DeliveryResult, Device
from pushes.names import Platform
from tests.make import make_account, make_delivery, make_device
from tests.pushes.console.conftest import url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
TOKEN = "abcd0123456789efghWXYZ"
SPELLINGS = [
    *("abcd…WXYZ", " abcd…WXYZ ", "abcd...WXYZ", "abcd..WXYZ", "abcd … WXYZ", "abcd⋯WXYZ", "abcd****WXYZ"),
    *("abcd……WXYZ", "abcd  ...\u00a0WXYZ", "abcd。。。WXYZ"),
]


def found(client: Client, desk: str, text: str) -> set[object]:
    return {row.pk for row in client.get(url(f"{desk}_changelist"), {"q": text}).context["cl"].result_list}


@pytest.fixture
def device() -> Device:
    for token in (
        "abcd0000000000000000wxyZ",
        "abce0123456789efghWXYZ",
        "xabcd0123456789efghWXYZ",
        "abcd0123456789WXYZe",
    ):
        make_device(token=token)
    return make_device(token=TOKEN)


@pytest.mark.parametrize("text", SPELLINGS)
def test_devices_accounts_and_deliveries_are_found(viewer: Client, device: Device, text: str) -> None:
    row = make_delivery(token=TOKEN, account_id=device.account_id, device_id=device.pk)
    make_delivery(token="abcd0000000000000000wxyZ")
    assert found(viewer, "device", text) == {device.pk}
    assert found(viewer, "account", text) == {device.account_id}
    assert found(viewer, "deliveryresult", text) == {row.pk}
    assert found(viewer, "deliveryresult", f"token:{text}") == {row.pk}


@pytest.mark.parametrize("text", ["0a1b…C2D3", "0A1B…C2D3", "0A1B ... c2d3", "0a1b…c2d3"])
def test_an_iphone_s_token_is_found_in_either_letter_case(viewer: Client, text: str) -> None:
    token = "0a1b" + "0" * 56 + "c2d3"
    device = make_device(token=token, platform=Platform.IOS)
    row = make_delivery(token=token, platform=Platform.IOS, device_id=device.pk)
    assert found(viewer, "device", text) == {device.pk}
    assert found(viewer, "account", text) == {device.account_id}
    assert found(viewer, "deliveryresult", text) == {row.pk}


def test_what_the_page_shows_can_be_pasted(viewer: Client, device: Device) -> None:
    page = viewer.get(url("device_change", device.pk)).content.decode()
    shown = re.search(r"<code>([^<]*…[^<]*)</code>", page)
    assert shown
    assert found(viewer, "device", shown[1]) == {device.pk}


def test_tokens_that_are_masked_alike_are_all_shown(viewer: Client) -> None:
    tokens = [f"abcd{n:014}WXYZ" for n in range(3)]
    for token in tokens:
        make_device(token=token)
        make_delivery(token=token)
    assert len(found(viewer, "device", "abcd…WXYZ")) == 3
    assert found(viewer, "deliveryresult", "abcd…WXYZ") == set(DeliveryResult.objects.values_list("pk", flat=True))


def test_a_token_that_another_directory_keeps_is_found_in_the_log(viewer: Client) -> None:
    row = make_delivery(token=TOKEN)
    assert found(viewer, "deliveryresult", "abcd…WXYZ") == {row.pk}


@pytest.mark.parametrize(
    "text", ["abcd…", "…WXYZ", "…", "abc…WXYZ", "abcd…WXY", "%…WXYZ", "____…____", "abcd...", "a.b"]
)
def test_other_texts_find_no_token_by_its_ends(viewer: Client, device: Device, text: str) -> None:
    make_delivery(token=TOKEN)
    assert found(viewer, "device", text) == set()
    assert found(viewer, "deliveryresult", text) == set()


def test_an_account_of_that_name_goes_first(viewer: Client) -> None:
    account = make_account("abcd…WXYZ")
    assert found(viewer, "account", "abcd…WXYZ") == {account.pk}


def test_the_index_of_tokens_finds_them(viewer: Client, device: Device) -> None:
    make_delivery(token=TOKEN)
    with CaptureQueriesContext(connection) as asked:
        found(viewer, "deliveryresult", "abcd…WXYZ")
    [searched] = [q["sql"] for q in asked if "pushes_device" in q["sql"] and "LIKE" in q["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{searched}")
        plan = str(cursor.fetchall())
    assert "one_device_per_token_and_app" in plan or ("USING" in plan and "INDEX" in plan)
    assert "SCAN" not in plan
