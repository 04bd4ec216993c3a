import base64
import json
import re

import pytest
import requests

from pushes.names import Platform, ProviderKind
from tests.pushes.sandbox.client import android_message, ios_message, ios_params, push_params
from tests.pushes.sandbox.conftest import ANDROID_ID
from tests.pushes.sandbox.vendors import call, known


def page(sandbox, path="/", **options) -> str:
    answer = requests.get(sandbox.url + path, timeout=10, **options)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.text


def push(client, token, message):
    assert client.call("/v2/push/single_device", device_token=token, **push_params(message))["ret_code"] == 0


def test_an_empty_page_says_so(sandbox):
    assert page(sandbox).count("No push has arrived yet.") == len(Platform)


def test_a_push_is_shown(android, sandbox):
    push(android, "a1" * 20, android_message(title="新订单", content="请及时处理"))
    html = page(sandbox)
    assert "<h3>新订单</h3>" in html
    assert "<p>请及时处理</p>" in html


def test_each_platform_has_its_phone(android, ios, sandbox):
    push(android, "a1" * 20, android_message())
    params = ios_params(ios_message())
    assert ios.call("/v2/push/single_device", device_token="b1" * 32, **params)["ret_code"] == 0
    first, second = page(sandbox).split('<section class="phone ios"')
    assert ("标题" in first, "买家已付款" in first) == (True, False)
    assert "买家已付款" in second


def test_markup_in_a_push_is_text(android, sandbox):
    evil = "<script>alert(1)</script>"
    push(android, "a1" * 20, android_message(title=evil, content=evil, custom_content={evil: evil}))
    assert "<script>alert" not in page(sandbox)


@pytest.mark.parametrize(
    ("query", "count"), [("token=" + "a1" * 20, 1), (f"access_id={ANDROID_ID}", 2), ("access_id=9", 0)]
)
def test_the_page_can_be_narrowed(android, sandbox, query, count):
    for token in ("a1" * 20, "a2" * 20):
        push(android, token, android_message())
    assert page(sandbox, "/cards?" + query).count("<h3>") == count


@pytest.mark.parametrize("query", ["token=%22%3E%3Cb%3E", "access_id=%22%3E%3Cb%3E", "token=%ff"])
def test_markup_in_the_question_is_text(sandbox, query):
    assert '"><b>' not in page(sandbox, "/?" + query)


def test_a_fault_profile_is_named(sandbox):
    sandbox.set_profile("flaky", access_id=5)
    assert "<b>flaky</b> (5)" in page(sandbox, "/cards")


def test_another_path_is_not_found(sandbox):
    assert requests.get(sandbox.url + "/admin", timeout=10).status_code == 404


def test_the_vendors_pushes_stand_on_their_phones(sandbox):
    jiguang = known(sandbox, ProviderKind.JPUSH)
    headers = {"Authorization": f"Basic {base64.b64encode(':'.join(jiguang).encode()).decode()}"}
    for name in ("android", "ios", "hmos"):
        notification = {name: {"alert": f"words for {name}"}}
        body = {"platform": [name], "audience": {"registration_id": ["1" * 18]}, "notification": notification}
        assert call(f"{sandbox.url}/v3/push", json.dumps(body), headers).status == 200
    phones = re.findall(r'<section class="phone (\w+)"(.*?)</section>', page(sandbox), re.DOTALL)
    shown = {platform: re.findall(r"words for (\w+)", inside) for platform, inside in phones}
    assert shown == {"android": ["android"], "ios": ["ios"], "harmony": ["hmos"]}


def test_the_image_and_what_a_tap_opens_are_shown_as_text(sandbox):
    jiguang = known(sandbox, ProviderKind.JPUSH)
    headers = {"Authorization": f"Basic {base64.b64encode(':'.join(jiguang).encode()).decode()}"}
    image, link = "https://img.example.com/1.jpg", "higo://order/7?a=<b>"
    said = {"alert": "words", "big_pic_path": image, "intent": {"url": link}}
    body = {"platform": ["android"], "audience": {"registration_id": ["1" * 18]}, "notification": {"android": said}}
    assert call(f"{sandbox.url}/v3/push", json.dumps(body), headers).status == 200
    html = page(sandbox)
    assert f"<dt>Image</dt><dd>{image}</dd><dt>Opens</dt><dd>higo://order/7?a=&lt;b&gt;</dd>" in html
    assert "<img" not in html
