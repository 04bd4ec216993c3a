"""The way to a page in its header: links first, and the page's own title last."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from pushes.console.operators import roles
from pushes.models import AppKey
from tests.make import make_operator
from tests.pushes.console.test_access import console_pages, make_one_of_each

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
STEP = re.compile(
    r'class="console-crumb" title="[^"]*"(?: href="([^"]*)"| (aria-current="page"))>(.*?)</(?:a|span)>', re.DOTALL
)
DEVICES, LOG, KEYS = "/admin/pushes/device/", "/admin/pushes/deliveryresult/", "/admin/pushes/appkey/"
EXPECTED = [
    (f"{DEVICES}coverage/", ["Devices", "Reach of the channels"], ["设备", "通道覆盖"]),
    (f"{LOG}why/", ["Delivery log", "Why / why not"], ["投递日志", "为何收到 / 未收到"]),
    (f"{LOG}export/", ["Delivery log", "Export these deliveries as CSV?"], ["投递日志", "将这些投递记录导出为 CSV？"]),
    (f"{KEYS}match/", ["App keys", "Compare app keys with app builds"], ["应用密钥", "核对应用密钥与客户端"]),
    (f"{KEYS}import/", ["App keys", "Import from legacy .ini"], ["应用密钥", "从旧 .ini 导入"]),
    (f"{KEYS}add/", ["App keys", "Add an app key"], ["应用密钥", "添加应用密钥"]),
    (
        "/admin/pushes/broadcast/1/progress/",
        ["Broadcasts", "#1 Sale", "Progress"],
        ["群发", "#1 Sale", "进度"],
    ),
    ("/admin/pushes/account/1/history/", ["Accounts", "1", "History"], ["账号", "1", "历史"]),
    ("/admin/pushes/account/1/change/", ["Accounts", "1"], ["账号", "1"]),
    (DEVICES, ["Devices"], ["设备"]),
    ("/admin/django_rq/dashboard/", ["Job queues"], ["任务队列"]),
    (
        "/admin/django_rq/dashboard/failed/higo_export_queue/",
        ["Job queues", "Failed jobs of higo_export_queue"],
        ["任务队列", "higo_export_queue 中失败的任务"],
    ),
    ("/admin/me/", ["My account"], ["我的账号"]),
    ("/admin/me/second-factor/set-up/", ["My account", "Set up the second factor"], ["我的账号", "启用两步验证"]),
    ("/admin/", ["Overview"], ["总览"]),
]


@pytest.fixture
def client() -> Client:
    make_one_of_each()
    found = Client()
    found.force_login(make_operator(roles.ADMINISTRATOR))
    return found


def steps(page: str) -> list[tuple[str, str, str]]:
    """Title, link and mark of each step."""
    return [(unescape(title).strip(), link, mark.strip()) for link, mark, title in STEP.findall(page)]


@pytest.mark.parametrize(("address", "english", "chinese"), EXPECTED, ids=[one[0] for one in EXPECTED])
def test_it_ends_with_the_page_s_own_title(
    client: Client, address: str, english: list[str], chinese: list[str]
) -> None:
    for language, titles in (("en", english), ("zh-hans", chinese)):
        page = client.get(address, headers={"accept-language": language})
        assert page.status_code == 200
        assert [title for title, _link, _mark in steps(page.content.decode())] == titles


def test_every_page_has_its_place(client: Client) -> None:
    """Links lead to all but the last step, which is the page: a row, a list, or what else the page calls itself."""
    seen = 0
    for name, address in console_pages().items():
        # The queue library's own pages have their own headings.
        if name == "admin:logout" or (name.startswith("admin:django_rq") and "dashboard" not in name):
            continue
        page = client.get(address)
        if page.status_code != 200 or not (page.context or {}).get("title"):
            continue
        found = steps(page.content.decode())
        if not found and name == "admin:login":
            continue
        assert found, name
        seen += 1
        assert [link != "" for _title, link, _mark in found] == [True] * (len(found) - 1) + [False], name
        assert [mark != "" for _title, _link, mark in found] == [False] * (len(found) - 1) + [True], name
        is_row = "adminform" in page.context and page.context.get("original")
        if not is_row and not name.endswith("_history"):
            assert found[-1][0] == str(page.context["title"]), name
    assert seen > 80


def test_a_row_leads_to_its_own_page(client: Client) -> None:
    key = AppKey.objects.get(pk=1)
    page = client.get(f"{KEYS}1/pause/").content.decode()
    assert steps(page)[:2] == [("App keys", KEYS, ""), (str(key), f"{KEYS}1/change/", "")]


def test_a_role_has_its_name_in_the_reader_s_language(client: Client) -> None:
    role = Group.objects.get(name=roles.VIEWER)
    page = client.get(f"/admin/auth/group/{role.pk}/change/", headers={"accept-language": "zh-hans"}).content.decode()
    assert [title for title, _link, _mark in steps(page)] == ["角色", "查看员"]


def test_a_name_is_text(client: Client) -> None:
    role = Group.objects.create(name="<b>bold</b>")
    page = client.get(f"/admin/auth/group/{role.pk}/change/").content.decode()
    assert steps(page)[-1][0] == "<b>bold</b>"
    assert "<b>bold</b>" not in page
