"""The whole way of how a push looks: from a producer's call to what the phone shows."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pushes.models import PushRecord, PushTypePolicy
from pushes.names import MessageClass, Platform, ProviderKind
from pushes.providers.base import PreparedMessage
from pushes.providers.huawei_v1 import HuaweiV1
from tests.pushes.api.conftest import Api
from tests.pushes.providers.vendors import VENDORS, Vendor
from tests.pushes.sending.test_whole_ways import name_of, way_to
from tests.sandbox_process import Sandbox

PUSH = {"to_id": "7", "app": "higo", "message": "您有一笔新的订单", "type": 5}
LOOK: dict[str, Any] = {
    "subtitle": "仅限今晚",
    "link": "higo://order/77",
    "image": "https://img.example.com/a.jpg",
    "badge": 3,
}
KINDS = (ProviderKind.APNS, ProviderKind.FCM, ProviderKind.JPUSH, ProviderKind.HUAWEI_V3, ProviderKind.HUAWEI_V1)


def test_it_is_stored_with_the_push(api: Api):
    assert api.call("POST", "/pushes", PUSH | LOOK | {"category": "", "sound": None})[0] == 202
    assert PushRecord.objects.get().presentation == LOOK


def test_a_push_that_says_nothing_of_it_stores_nothing(api: Api):
    api.call("POST", "/pushes", PUSH)
    assert PushRecord.objects.get().presentation is None


def test_an_error_names_the_field_and_the_value(api: Api):
    status, answer = api.call("POST", "/pushes", PUSH | {"image": "http://a/1.jpg"})
    error = answer["error"]
    assert (status, error["code"], error["field"]) == (422, "bad_image", "image")
    assert "image: 'http://a/1.jpg' is not" in error["message"]


def test_one_bad_item_of_a_list_stops_no_other(api: Api):
    status, answer = api.call("POST", "/pushes", [PUSH | LOOK, PUSH | {"badge": -1}])
    assert (status, answer["counts"]) == (202, {"accepted": 1, "duplicate": 0, "error": 1})
    assert answer["results"][1]["error"]["field"] == "badge"


@pytest.mark.parametrize(("name", "value"), LOOK.items())
def test_it_belongs_to_what_makes_a_push_the_same(api: Api, name: str, value: Any):
    first = PUSH | LOOK | {"msg_id": "m"}
    api.call("POST", "/pushes", first)
    assert api.call("POST", "/pushes", first)[1]["status"] == "duplicate"
    status, answer = api.call("POST", "/pushes", first | {name: None})
    assert (status, f"differs in {name}." in answer["error"]["message"]) == (409, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("vendor", [one for one in VENDORS if one.kind in KINDS], ids=name_of)
def test_it_reaches_the_phone(api: Api, vendor: Vendor, sandbox: Sandbox, run_jobs: Callable[..., int]):
    for way in way_to(vendor, sandbox, run_jobs):
        device = way.device()
        assert api.call("POST", "/pushes", PUSH | LOOK | {"to_id": device.account_id})[0] == 202
        run_jobs()
        [shown] = sandbox.received()
        assert (shown["link"], shown["image"]) == (LOOK["link"], LOOK["image"])
        assert shown["content"].startswith("仅限今晚\n") == (vendor.platform == Platform.IOS)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({}, {"category": "EXPRESS", "channel_id": "orders"}),
        ({"category": "MARKETING", "android_channel": "sale"}, {"category": "MARKETING", "channel_id": "sale"}),
    ],
)
def test_the_defaults_of_its_type_and_its_own_words_reach_the_call(
    api: Api,
    sandbox: Sandbox,
    run_jobs: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    own: dict[str, str],
    wanted: dict[str, str],
):
    PushTypePolicy.objects.update_or_create(
        push_type=5, defaults={"message_class": MessageClass.ORDER, "android_channel": "orders"}
    )
    [vendor] = [one for one in VENDORS if one.kind == ProviderKind.HUAWEI_V1]
    bodies: list[str] = []

    def kept(self: HuaweiV1, *given: Any) -> PreparedMessage:
        message = prepare(self, *given)
        bodies.append(message.body)
        return message

    prepare = HuaweiV1.prepare
    monkeypatch.setattr(HuaweiV1, "prepare", kept)
    for way in way_to(vendor, sandbox, run_jobs):
        api.call("POST", "/pushes", PUSH | own | {"to_id": way.device().account_id})
        run_jobs()
        assert len(sandbox.received()) == 1
    said = json.loads(bodies[-1])["android"]
    assert {"category": said["category"], "channel_id": said["notification"]["channel_id"]} == wanted
