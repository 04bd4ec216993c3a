"""What the review says before a broadcast leaves, and the figures of one broadcast on all its pages."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from pushes.broadcasts import expansion, lifecycle
from pushes.console.broadcasts import placeholders
from pushes.models import Broadcast, Device, PushRecord, PushTypePolicy
from pushes.names import App, BroadcastStatus, WindowPolicy
from tests.make import make_account, make_app_key, make_broadcast, make_device
from tests.pushes.console.conftest import SignIn, url
from tests.pushes.console.overview.test_figures import check, figures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
NOBODY = "No one to send to"


def page(client: Client, name: str, broadcast: Broadcast) -> str:
    return html.unescape(client.get(url(name, broadcast.pk)).content.decode())


# --- nobody -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"audience_kind": "tag", "tag": "vip"},
        {"audience_kind": "accounts", "accounts": ["nobody", "no-one"]},
        {"app": "both"},
        {"platform": "ios"},
        {"status": BroadcastStatus.WAITING},
    ],
)
def test_nothing_is_sent_to_nobody(administrator: Client, fields: dict[str, Any]) -> None:
    if fields.get("platform"):
        make_device()
    broadcast = make_broadcast(**fields)
    review = page(administrator, "broadcast_send_page", broadcast)
    assert NOBODY in review
    assert re.search(r'<button type="submit" class="console-button is-danger" disabled', review)
    answer = administrator.post(url("broadcast_send_page", broadcast.pk), follow=True)
    assert NOBODY in answer.content.decode()
    broadcast.refresh_from_db()
    assert broadcast.status == fields.get("status", BroadcastStatus.DRAFT)
    assert not PushRecord.objects.exists()


def test_a_device_is_enough(operator: Client) -> None:
    make_device()
    broadcast = make_broadcast()
    assert NOBODY not in page(operator, "broadcast_send_page", broadcast)
    operator.post(url("broadcast_send_page", broadcast.pk))
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.SENDING


def test_one_for_later_may_find_somebody_and_says_so_if_it_does_not(operator: Client) -> None:
    broadcast = make_broadcast(scheduled_at=timezone.now() + timedelta(hours=2))
    assert "No one would receive this right now" in page(operator, "broadcast_send_page", broadcast)
    operator.post(url("broadcast_send_page", broadcast.pk))
    Broadcast.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))
    lifecycle.put_back()
    expansion.expand(broadcast.pk)
    lifecycle.finish_done()
    progress = page(operator, "broadcast_progress_page", broadcast)
    assert "The audience was empty at the start: no one received the broadcast." in progress
    assert "No one received it." in progress


# --- placeholders -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"text": "Hi {{nickname}}, 30 % off"}, "{{nickname}}"),
        ({"text": "Hi {{ user.name }}!"}, "{{ user.name }}"),
        ({"title": "${name}, look"}, "${name}"),
        ({"text": "#{name}"}, "#{name}"),
        ({"text": "亲爱的｛｛昵称｝｝，上新啦"}, "{{昵称}}"),
        ({"text": "亲爱的{昵称}，上新啦"}, "{昵称}"),
        ({"text": "亲爱的＄｛昵称｝"}, "${昵称}"),
        ({"text": "Hi %name%"}, "%name%"),
        ({"text": "Hi %(name)s"}, "%(name)s"),
        ({"text": "Hi %s"}, "%s"),
        ({"text": "Hi {0}"}, "{0}"),
        ({"text": "Hi [[name]]"}, "[[name]]"),
        ({"text": "Hi <%= name %>"}, "<%= name %>"),
        ({"text": "Hi $name"}, "$name"),
        ({"data": {"url": "app://goods/{{goods_id}}"}}, "{{goods_id}}"),
        ({"data": {"deep": [{"x": "${y}"}]}}, "${y}"),
    ],
)
def test_a_placeholder_is_warned_of_and_does_not_block(operator: Client, fields: dict[str, Any], shown: str) -> None:
    make_device()
    broadcast = make_broadcast(**fields)
    review = page(operator, "broadcast_send_page", broadcast)
    assert f"This looks like a placeholder: {shown}." in review
    operator.post(url("broadcast_send_page", broadcast.pk))
    assert PushRecord.objects.count() == 1


def test_a_placeholder_is_warned_of_beside_every_other_doubt(operator: Client, settings: Settings) -> None:
    settings.BROADCAST_APPROVAL_ABOVE = 1
    make_device()
    make_device()
    broadcast = make_broadcast(text="Hi {{name}}")
    review = page(operator, "broadcast_send_page", broadcast)
    assert "Request approval" in review
    assert "No app key is enabled" in review
    assert "placeholder: {{name}}" in review


@pytest.mark.parametrize(
    "form",
    [
        *("{% if vip %}", "{user['name']}", "{name|upper}", "{ name }", "{!User.Name}", "{:.2f}", "*|FNAME|*"),
        *("<name>", "<user_name>", "＜昵称＞", "<用户名>", "[name]", "[First Name]", "[FNAME]", "[姓名]", "[用户昵称]"),
        *("【昵称】", "【客户姓名】", "【name】", "((name))", "##name##", "#昵称#", "@name@", "$(name)", "\\(name)"),
        *("$昵称", "$NAME", "%昵称%", "%1$s", "%-10s", "%.2f", "%@", "%ld", "<?= $name ?>", "<<name>>"),
    ],
)
def test_other_forms_of_placeholders_are_found_within_chinese(form: str) -> None:
    for text in (form, f"您好{form}您的订单", f"Hi {form}, look"):
        assert placeholders.found(text), text


@pytest.mark.parametrize(
    "text",
    [
        "30% off, today only",
        "【双十一】大促",
        "【会员】专享，【时间】9月1日",
        "[限时] 秒杀 [NEW]",
        "#双十一# #新品#",
        "<中国>好声音 <3",
        "100% 棉，100%正品",
        "30%优惠60%折扣，满50%送50%",
        "100%silk, 100%s",
        "$9.9 起，US$9.9，$AAPL，A$AP",
        "《你的名字》",
        "https://example.com/?q=%E4%BD%A0%E5%A5%BD%2f%",
        "100 %",
        "$5 off",
        "US$ 20",
        "50%–70%",
        "a {b",
        "} {",
        "[new]",
        "【上新】",
        "5 < 7 %",
    ],
)
def test_plain_texts_are_none(text: str) -> None:
    assert placeholders.found(text) == []


# --- what the buttons say -------------------------------------------------------------------------


def test_the_way_out_is_not_called_like_the_act(operator: Client) -> None:
    make_device()
    broadcast = lifecycle.launch(make_broadcast().pk)
    question = page(operator, "broadcast_cancel_page", broadcast)
    buttons = re.findall(r'class="console-button[^"]*"[^>]*>\s*([^<]+?)\s*<', question)
    assert buttons[-2:] == ["Cancel the broadcast", "Keep it"]


# --- figures ------------------------------------------------------------------------------------


def devices() -> int:
    """Of both apps, of people who are logged in and of some who are not; how many they are."""
    for number in range(40):
        person = make_account(login_status=number % 4 and 1)
        make_device(person)
        make_device(person, App.HIGIRL)
        if number % 8 == 0:
            make_device(person)
    return Device.objects.count()


def told(client: Client, broadcast: Broadcast) -> tuple[str, int]:
    """What the progress page has as its headline, and what its parts come to together."""
    shown = client.get(url("broadcast_progress_page", broadcast.pk)).content.decode()
    headline = re.search(r"([\d,]+) / ([\d,]+) devices", shown)
    assert headline
    numbers = re.findall(r'<span class="console-tile-number">([\d,]+)</span>', shown)
    return headline[2], sum(int(number.replace(",", "")) for number in numbers)


def expand_all(broadcast: Broadcast) -> None:
    while expansion.expand(broadcast.pk):
        pass


@pytest.mark.parametrize("percent", [0, 50])
@pytest.mark.parametrize("cancelled", [False, True])
def test_the_figures_of_one_broadcast_agree(operator: Client, percent: int, cancelled: bool) -> None:
    PushTypePolicy.objects.update(window_policy=WindowPolicy.SEND)
    make_app_key()
    make_app_key(App.HIGIRL)
    number = devices()
    broadcast = make_broadcast(app="both", canary_percent=percent)
    assert f"to about {number} devices?" in page(operator, "broadcast_send_page", broadcast)
    operator.post(url("broadcast_send_page", broadcast.pk))
    expand_all(broadcast)
    if cancelled:
        operator.post(url("broadcast_cancel_page", broadcast.pk))
    headline, parts = told(operator, broadcast)
    assert headline == str(number)
    assert parts == number if cancelled or not percent else parts < number
    assert f">{number}</td>" in operator.get(url("broadcast_changelist")).content.decode()
    check(operator, url("broadcast_progress_page", broadcast.pk), least=2)


def test_accounts_without_a_device_are_told_apart(operator: Client) -> None:
    make_app_key()
    person = make_account(login_status=0)
    make_device(person)
    broadcast = make_broadcast(audience_kind="accounts", accounts=[person.pk, "nobody", "no-one"])
    assert "to about 1 device?" in page(operator, "broadcast_send_page", broadcast)
    operator.post(url("broadcast_send_page", broadcast.pk))
    expand_all(broadcast)
    shown = page(operator, "broadcast_progress_page", broadcast)
    assert "1 / 1 devices" in shown
    assert "2 of the skipped are accounts without a device" in shown
    assert [number for _link, number in figures(shown)] == [3]
    check(operator, url("broadcast_progress_page", broadcast.pk), least=1)


def test_what_waits_is_what_its_link_shows(operator: Client, sign_in: SignIn) -> None:
    PushTypePolicy.objects.update(window_policy=WindowPolicy.SEND)
    make_app_key()
    make_device()
    make_device(make_account(login_status=0))
    broadcast = lifecycle.launch(make_broadcast().pk)
    expand_all(broadcast)
    check(operator, url("broadcast_progress_page", broadcast.pk), least=2)
    operator.post(url("broadcast_pause_page", broadcast.pk))
    check(operator, url("broadcast_progress_page", broadcast.pk), least=2)
