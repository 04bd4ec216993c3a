from typing import Any
from urllib.parse import quote

import pytest

from pushes.models import Device, DeviceEvent
from pushes.names import ProviderKind
from pushes.text import notes
from tests.make import make_account, make_app_key, make_device
from tests.pushes.api.conftest import Api

BODY = {"account_id": "7", "app": "higo", "platform": "iphone"}
TOKEN = "abcd" + "0" * 56 + "ef12"


def test_a_new_device_is_created(api: Api):
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY)
    assert status == 201
    assert answer == {
        "token": "abcd…ef12",
        "account_id": "7",
        "app": "higo",
        "platform": "ios",
        "environment": "production",
        "channel": "xinge",
        "installation_id": None,
        "is_active": True,
        "tags": [],
    }
    assert Device.objects.get().token == TOKEN


def test_registering_again_is_fine(api: Api):
    api.call("PUT", f"/devices/{TOKEN}", BODY)
    assert api.call("PUT", f"/devices/{TOKEN}", BODY)[0] == 200


def test_a_device_has_the_tags_of_its_last_registration(api: Api):
    assert api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": ["VIP", "上海"]})[1]["tags"] == ["vip", "上海"]
    assert api.call("PUT", f"/devices/{TOKEN}", BODY)[1]["tags"] == ["vip", "上海"]
    assert api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": None})[1]["tags"] == ["vip", "上海"]
    assert api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": ["new"]})[1]["tags"] == ["new"]
    assert api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": []})[1]["tags"] == []


def test_a_device_moves_to_the_account_that_registers_it(api: Api):
    make_device(make_account("8"), token=TOKEN)
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY | {"account_id": 9})
    assert (status, answer["account_id"]) == (200, "9")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_id": ""}, "account_id"),
        ({"account_id": None}, "account_id"),
        ({"account_id": True}, "account_id"),
        ({"account_id": "x" * 65}, "account_id"),
        ({"app": "x"}, "app"),
        ({"app": 1}, "app"),
        ({"platform": "windows"}, "platform"),
        ({"environment": "test"}, "environment"),
        ({"token": "other"}, "token"),
        ({"channel": "wechat"}, "channel"),
        ({"channel": "fcm", "platform": "harmony"}, "channel"),
        ({"channel": 1}, "channel"),
        ({"installation_id": "short"}, "installation_id"),
        ({"installation_id": 12345678}, "installation_id"),
        ({"tags": "vip"}, "tags"),
        ({"tags": ["vip", 1]}, "tags"),
        ({"tags": ["v!p"]}, "tags"),
        ({"tags": [f"t{n}" for n in range(21)]}, "tags"),
    ],
)
def test_a_bad_field_is_named(api: Api, change: dict[str, Any], field: str):
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY | change)
    assert (status, answer["error"]["field"]) == (422, field)


@pytest.mark.parametrize("token", ["short", "x" * 513, "中文中文中文中文"])
def test_a_bad_token_is_refused_without_repeating_it(api: Api, token: str):
    status, answer = api.call("PUT", f"/devices/{token}", BODY)
    assert (status, answer["error"]["field"]) == (422, "token")
    assert token not in str(answer)


FCM_TOKEN = "dQw4w9WgXcQ:APA91b" + "Ab-_" * 36


def test_a_device_names_its_channel_and_installation(api: Api):
    body = BODY | {"platform": "android", "channel": "FCM", "installation_id": "6F9619FF-8B86-D011-B42D-00CF4FC964FF"}
    status, answer = api.call("PUT", f"/devices/{quote(FCM_TOKEN, safe='')}", body)
    assert status == 201
    assert answer["channel"] == "fcm"
    assert answer["installation_id"] == "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    assert Device.objects.get().token == FCM_TOKEN
    assert api.call("PUT", f"/devices/{FCM_TOKEN}", body)[0] == 200
    assert api.call("DELETE", f"/devices/{FCM_TOKEN}") == (204, None)


def test_a_harmony_phone_is_registered_with_huaweis_channel(api: Api):
    status, answer = api.call("PUT", f"/devices/{'Mz' * 60}", BODY | {"platform": "harmony"})
    assert (status, answer["platform"], answer["channel"]) == (201, "harmony", "huawei")


def test_where_several_keys_fit_the_channel_must_be_said(api: Api):
    make_app_key(provider=ProviderKind.FCM)
    make_app_key(provider=ProviderKind.JPUSH)
    status, answer = api.call("PUT", "/devices/token-0001", BODY | {"platform": "android"})
    assert (status, answer["error"]["field"]) == (422, "channel")
    assert "fcm, jpush" in answer["error"]["message"]
    assert api.call("PUT", "/devices/token-0001", BODY | {"platform": "android", "channel": "jpush"})[0] == 201
    make_app_key()
    assert api.call("PUT", "/devices/token-0002", BODY | {"platform": "android"})[1]["channel"] == "xinge"


def test_a_change_of_the_channel_is_no_new_device(api: Api):
    api.call("PUT", f"/devices/{TOKEN}", BODY)
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY | {"channel": "apns"})
    assert (status, answer["channel"]) == (200, "apns")
    events = DeviceEvent.objects.order_by("id").values_list("event", "detail")
    assert [(event, notes.english(detail)) for event, detail in events] == [
        ("registered", "to 7"),
        ("corrected", "(changed: xinge → apns)"),
    ]


def test_a_token_with_a_slash_is_a_token(api: Api):
    assert api.call("PUT", "/devices/abcd/efgh+ijkl=", BODY | {"platform": "android"})[0] == 201


def test_removing_deactivates_with_history(api: Api):
    device = make_device(token=TOKEN)
    assert api.call("DELETE", f"/devices/{TOKEN}") == (204, None)
    device.refresh_from_db()
    assert not device.is_active
    assert notes.english(DeviceEvent.objects.get().detail).startswith("removed through the API by token")


def test_removing_twice_is_fine(api: Api):
    make_device(token=TOKEN)
    assert [api.call("DELETE", f"/devices/{TOKEN}")[0] for _ in range(2)] == [204, 204]


def test_removing_can_be_limited_to_an_app(api: Api):
    make_device(token=TOKEN)
    assert api.call("DELETE", f"/devices/{TOKEN}?app=higirl")[0] == 404
    assert api.call("DELETE", f"/devices/{TOKEN}?app=x")[0] == 400
    assert Device.objects.get().is_active


def test_an_unknown_device_cannot_be_removed(api: Api):
    assert api.call("DELETE", f"/devices/{TOKEN}")[0] == 404


# --- one spelling -----------------------------------------------------------------------------

XCODE = f"%3C{TOKEN[:8]}%20{TOKEN[8:16].upper()}%20{TOKEN[16:]}%3E"


@pytest.mark.parametrize("written", [TOKEN.upper(), TOKEN.capitalize(), XCODE])
def test_an_iphone_is_one_device_however_its_token_is_written(api: Api, written: str):
    api.call("PUT", f"/devices/{TOKEN}", BODY)
    status, answer = api.call("PUT", f"/devices/{written}", BODY | {"account_id": "8"})
    assert (status, answer["account_id"]) == (200, "8")
    assert Device.objects.get().token == TOKEN
    assert api.call("DELETE", f"/devices/{written}") == (204, None)
    assert not Device.objects.get().is_active


def test_removing_an_android_device_minds_the_letter_case(api: Api):
    make_device(token=TOKEN)
    assert api.call("DELETE", f"/devices/{TOKEN.upper()}")[0] == 404
    assert api.call("DELETE", f"/devices/{TOKEN}")[0] == 204


IMPOSSIBLE = ["undefined", "null", "(null)", "nil", "[object%20Object]", "%20", "%3Cabcd%20abcd%3E", "token%00token"]
IMPOSSIBLE += ["token%0Atoken", "token%20token", "token%E2%80%8Btoken", "%22token-0001%22", "%EF%BB%BFtoken-0001"]


@pytest.mark.parametrize("token", IMPOSSIBLE)
@pytest.mark.parametrize("platform", ["android", "ios"])
def test_a_token_that_cannot_be_one_is_refused(api: Api, token: str, platform: str):
    status, answer = api.call("PUT", f"/devices/{token}", BODY | {"platform": platform})
    assert (status, answer["error"]["field"]) == (422, "token")
    assert not Device.objects.exists()


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "a", TOKEN[:40], TOKEN * 8 + "ab", "x" + TOKEN[1:]])
def test_an_iphones_token_has_its_length_and_alphabet(api: Api, token: str):
    status, answer = api.call("PUT", f"/devices/{token}", BODY)
    assert (status, answer["error"]["field"]) == (422, "token")
    assert "hexadecimal digits" in answer["error"]["message"]


@pytest.mark.parametrize("tag", ["ＶＩＰ", "vip", " Vip "])
def test_tags_are_compared_in_one_form(api: Api, tag: str):
    api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": ["VIP"]})
    assert api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": [tag]})[1]["tags"] == ["vip"]


@pytest.mark.parametrize("tag", ["v\u200bip", "v\u3164ip", "vip\ufe0f", "vi p"])
def test_a_tag_with_what_cannot_be_seen_is_refused(api: Api, tag: str):
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY | {"tags": [tag]})
    assert (status, answer["error"]["field"]) == (422, "tags")


@pytest.mark.parametrize("account_id", ["7\u200b", "\ufeff7", "7\x00", "7\n8", "7\u00ad", "７", "7/"])
def test_an_account_id_that_would_match_nothing_is_refused(api: Api, account_id: str):
    status, answer = api.call("PUT", f"/devices/{TOKEN}", BODY | {"account_id": account_id})
    assert (status, answer["error"]["field"]) == (422, "account_id")
    assert answer["error"]["message"].isprintable()
