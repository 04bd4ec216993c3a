"""Tags on the pages of a device and of an account, and the list of the devices that have one."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pushes.console.operators import roles
from pushes.models import Device, DeviceTag
from pushes.names import App
from pushes.people import tags
from tests.make import make_account, make_device
from tests.pushes.console.conftest import SignIn, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def device() -> Device:
    made = make_device(make_account("100001"))
    tags.replace({made.pk: ["old", "vip"]})
    return made


def change(client: Client, device: Device, **fields: Any) -> str:
    answer = client.post(url("device_tags_page", device.pk), {"add": ""} | fields, follow=True)
    return answer.content.decode()


def test_tags_are_added_and_taken_away_and_it_is_written_down(operator: Client, device: Device) -> None:
    page = change(operator, device, add="VIP, city:上海 new", remove=["old"])
    assert tags.of_device(device.pk) == ["city:上海", "new", "vip"]
    said = "Tags of 1 device changed. Added: vip, city:上海, new. Removed: old."
    assert said in page
    assert LogEntry.objects.get().change_message == said


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"add": "v!p"}, "“v!p” is not a valid tag"),
        ({"add": "x" * 33}, "is not a valid tag"),
        ({"add": " ".join(f"t{n}" for n in range(20))}, "Nothing was changed: a device can have at most 20 tags."),
        ({}, "Enter a tag to add"),
        ({"add": "old", "remove": ["old"]}, "“old” cannot be both added and removed."),
        ({"remove": ["nothing"]}, "nothing is not one of the available choices"),
        ({"add": "vip"}, "the tags are already like this"),
    ],
)
def test_what_cannot_be_done_is_named_and_nothing_changes(
    operator: Client, device: Device, fields: dict[str, Any], complaint: str
) -> None:
    assert complaint in change(operator, device, **fields)
    assert tags.of_device(device.pk) == ["old", "vip"]
    assert not LogEntry.objects.exists()


def test_what_cannot_be_done_is_said_in_the_reader_s_language(operator: Client, device: Device) -> None:
    many = " ".join(f"t{n}" for n in range(20))
    page = operator.post(
        url("device_tags_page", device.pk), {"add": many}, follow=True, headers={"accept-language": "zh-hans"}
    )
    assert "没有修改：每台设备最多 20 个标签。" in page.content.decode()


def test_an_account_s_page_shows_its_devices_tags_and_changes_those_of_all_active_ones(
    operator: Client, device: Device
) -> None:
    other, gone = make_device(device.account, App.HIGIRL), make_device(device.account, is_active=False)
    operator.post(url("account_tags_page", "100001"), {"add": "new", "remove": ["old"]})
    assert [tags.of_device(d.pk) for d in (device, other, gone)] == [["new", "vip"], ["new"], []]
    page = operator.get(url("account_change", "100001")).content.decode()
    assert page.count(">new</span>") == 2
    assert LogEntry.objects.get().object_id == "100001"


def test_the_list_of_devices_is_filtered_by_tag(operator: Client, device: Device) -> None:
    seller, other = make_device(app=App.HIGIRL), make_device()
    DeviceTag.objects.create(device=seller, app=seller.app, tag="vip")
    page = operator.get(url("device_changelist"), {"tag": " VIP "}).content.decode()
    assert url("device_change", device.pk) in page
    assert url("device_change", seller.pk) in page
    assert url("device_change", other.pk) not in page
    assert url("device_change", device.pk) not in operator.get(url("device_changelist"), {"tag": "x"}).content.decode()


@pytest.mark.parametrize("role", [roles.VIEWER, roles.APPROVER])
def test_without_the_permission_nobody_is_tagged(sign_in: SignIn, device: Device, role: str) -> None:
    client = sign_in(role)
    for page in (url("device_tags_page", device.pk), url("account_tags_page", "100001")):
        assert client.post(page, {"add": "new"}).status_code == 403
        assert page not in client.get(url("device_change", device.pk)).content.decode()
    assert tags.of_device(device.pk) == ["old", "vip"]
