"""JPush v3: keys, calls, answers and what became of lists. What holds for every provider stands in test_contract.py."""

import json
import uuid
from typing import Any

import pytest

from pushes.names import Environment, MessageClass, Platform, Reason
from pushes.providers.base import CredentialsError, Fates, HttpResponse, MessageTooLargeError, TransportFailure
from pushes.providers.jpush import MAX_MESSAGE_BYTES, JPush
from pushes.providers.jpush_codes import MEANINGS
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict

APP_KEY, SECRET = "0123456789abcdef01234567", "89abcdef0123456789abcdef"
#: From the vendor's documented rule: the two, with a colon between, in Base64.
BASIC = "Basic MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3Ojg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="
NOW = 1_764_230_400
TOKEN = "170976fa8aba0c3e5b1"
PLATFORMS = [Platform.ANDROID, Platform.IOS, Platform.HARMONY]
NAMES = {Platform.ANDROID: "android", Platform.IOS: "ios", Platform.HARMONY: "hmos"}

jpush = JPush()


def credentials(platform: Platform = Platform.ANDROID, environment: str = "production", url: str = "") -> Credentials:
    return Credentials("jpush", APP_KEY, url, platform, Environment(environment), SECRET)


def notification(**fields: Any) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 86_400}
    return Notification(**values | fields)


def body(platform: Platform = Platform.ANDROID, environment: str = "production", **fields: Any) -> Any:
    message = jpush.prepare(credentials(platform, environment), notification(**fields))
    return json.loads(jpush.to_device(message, TOKEN, now=NOW).body)


def part(platform: Platform, **fields: Any) -> Any:
    return body(platform, **fields)["notification"][NAMES[platform]]


def refusal(status: int, code: object, text: str = "no", **headers: str) -> HttpResponse:
    found = {"error": {"code": code, "message": text}}
    return HttpResponse(status, json.dumps(found).encode(), {name.replace("_", "-"): v for name, v in headers.items()})


# --- calls ------------------------------------------------------------------------------------------


def test_a_call_says_who_it_is_by_the_documented_rule():
    request = jpush.to_device(jpush.prepare(credentials(), notification()), TOKEN, now=NOW)
    assert request.url == "https://api.jpush.cn/v3/push"
    assert set(request.headers) == {"Content-Type: application/json", f"Authorization: {BASIC}"}


def test_a_push_to_an_android_phone():
    assert body(replace_id=7) == {
        "audience": {"registration_id": [TOKEN]},
        "platform": ["android"],
        "notification": {"android": {"priority": 1, "title": "题", "alert": "内容", "extras": {"n_id": 7, "type": 5}}},
        "options": {
            "time_to_live": 86_400,
            "classification": 0,
            "third_party_channel": {
                "huawei": {"importance": "LOW", "category": "MARKETING"},
                "honor": {"importance": "LOW"},
            },
        },
    }


def test_the_vendors_of_android_phones_are_told_of_a_service_message():
    options = body(message_class=MessageClass.ORDER)["options"]
    assert options["classification"] == 1
    assert options["third_party_channel"] == {
        "huawei": {"importance": "NORMAL", "category": "EXPRESS"},
        "honor": {"importance": "NORMAL"},
    }


def test_a_push_to_an_iphone():
    found = body(Platform.IOS, "local", replace_id=7, subtitle="副", badge=2, thread="group:7", image="https://i/1.png")
    assert found["platform"] == ["ios"]
    assert found["options"] == {"time_to_live": 86_400, "apns_production": False, "apns_collapse_id": "7"}
    assert found["notification"]["ios"] == {
        "alert": {"title": "题", "subtitle": "副", "body": "内容"},
        "sound": "default",
        "thread-id": "group:7",
        "mutable-content": True,
        "badge": 2,
        "extras": {"n_id": 7, "image": "https://i/1.png", "type": 5},
    }


def test_a_push_to_a_phone_with_harmonyos():
    found = body(Platform.HARMONY, link="higo://order/7", badge=200, category="IM")
    assert found["platform"] == ["hmos"]
    assert found["notification"]["hmos"] == {
        "category": "IM",
        "intent": {"url": "higo://order/7"},
        "title": "题",
        "alert": "内容",
        "badge_set_num": 99,
        "extras": {"type": 5},
    }


def test_what_harmonyos_cannot_do_without():
    found = part(Platform.HARMONY)
    assert (found["category"], found["intent"]) == ("MARKETING", {"url": "action.system.home"})


def test_what_an_android_phone_shows_besides():
    found = part(Platform.ANDROID, image="https://i/1.png", channel_id="orders", category="msg", sound="ding", badge=3)
    wanted = {"style": 3, "big_pic_path": "https://i/1.png", "channel_id": "orders", "category": "msg", "sound": "ding"}
    assert wanted.items() <= found.items()
    assert found["badge_set_num"] == 3
    assert "priority" not in part(Platform.ANDROID, is_urgent=False)


@pytest.mark.parametrize(("environment", "is_production"), [("production", True), ("local", False)])
def test_the_environment_decides_where_apple_looks(environment: str, is_production: bool):
    assert body(Platform.IOS, environment)["options"]["apns_production"] is is_production


def test_what_belongs_to_others_is_carried_under_another_name():
    found = part(Platform.IOS, custom={"aps": 1, "_j_msgid": 2, "link": 3, "n_id": 4}, link="higo://7", replace_id=9)
    assert found["extras"] == {
        "n_id": 9,
        "link": "higo://7",
        "custom_aps": 1,
        "custom__j_msgid": 2,
        "custom_link": 3,
        "custom_n_id": 4,
    }


@pytest.mark.parametrize(("seconds", "expected"), [(0, 1), (60, 60), (999_999, 259_200)])
def test_the_expiry_stays_within_the_providers_limits(seconds: int, expected: int):
    assert body(expire_seconds=seconds)["options"]["time_to_live"] == expected


def test_a_title_of_nothing_is_left_out():
    assert "title" not in part(Platform.ANDROID, title="")
    assert part(Platform.IOS, title="")["alert"] == {"body": "内容"}


def bytes_of(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("title", ["题", ""])
def test_a_long_content_is_cut_to_the_byte(platform: Platform, title: str):
    for filler in ("订", "a"):
        found = part(platform, title=title, content=filler * 4000)
        assert MAX_MESSAGE_BYTES - 4 < bytes_of(found) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_just_fits_is_not_cut(platform: Platform):
    frame = bytes_of(part(platform, content=""))
    for spare, is_cut in ((0, False), (1, True)):
        content = "a" * (MAX_MESSAGE_BYTES - frame + spare)
        found = part(platform, content=content)
        shown = found["alert"]["body"] if platform == Platform.IOS else found["alert"]
        assert (shown != content) is is_cut


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(MessageTooLargeError, match="3584"):
        part(Platform.ANDROID, custom={"k": "x" * 3584})


def test_a_list_carries_its_message():
    message = jpush.prepare(credentials(), notification())
    found = json.loads(jpush.to_list(message, "", [TOKEN, "b"], now=NOW).body)
    assert found["audience"] == {"registration_id": [TOKEN, "b"]}
    with pytest.raises(ValueError, match="push_id='5'"):
        jpush.to_list(message, "5", [TOKEN], now=NOW)
    with pytest.raises(ValueError, match="1001 given"):
        jpush.to_list(message, "", [TOKEN] * 1001, now=NOW)


def test_the_check_pushes_nothing_and_to_nobody():
    request = jpush.check(credentials(Platform.HARMONY), now=NOW)
    assert request.url == "https://api.jpush.cn/v3/push/validate"
    assert TOKEN not in request.body.decode()
    assert json.loads(request.body)["platform"] == ["hmos"]


# --- the idempotency key ------------------------------------------------------------------------------


def test_a_call_key_is_the_app_key_and_a_uuid():
    keys = {jpush.new_call_key(credentials(), now=NOW) for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        app_key, _, name = key.partition("-")
        assert (app_key, uuid.UUID(name).version, str(uuid.UUID(name))) == (APP_KEY, 4, name)
        assert len(key) <= 63


@pytest.mark.parametrize(("later", "is_known"), [(0, True), (-60, True), (82_800, True), (82_801, False)])
def test_a_call_is_known_for_less_than_a_day(later: int, is_known: bool):
    key = jpush.new_call_key(credentials(), now=NOW)
    assert jpush.knows_call(key, credentials(), now=NOW + later) is is_known


@pytest.mark.parametrize("key", ["", "x", f"{APP_KEY}-", f"{APP_KEY}-x", f"{'f' * 24}-{uuid.uuid4()}"])
def test_a_call_of_another_app_is_not_known(key: str):
    assert not jpush.knows_call(key, credentials(), now=NOW)


def test_a_call_carries_its_key():
    message = jpush.prepare(credentials(), notification())
    assert "cid" not in json.loads(jpush.to_device(message, TOKEN, now=NOW).body)
    keyed = type(message)(message.credentials, message.body, "a-b")
    assert json.loads(jpush.to_device(keyed, TOKEN, now=NOW).body)["cid"] == "a-b"
    assert json.loads(jpush.to_list(keyed, "", [TOKEN], now=NOW).body)["cid"] == "a-b"


# --- answers ------------------------------------------------------------------------------------------

WANTED = {
    1000: (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET),
    1002: (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    1003: (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    1004: (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    1005: (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    1008: (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    1011: (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET),
    1012: (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    1021: (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    1030: (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET),
    2002: (Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
}


def test_every_code_is_wanted():
    assert set(WANTED) == set(MEANINGS)


@pytest.mark.parametrize("code", sorted(WANTED))
def test_every_code_has_its_meaning(code: int):
    outcome = jpush.read(refusal(400, code))
    assert (outcome.verdict, outcome.reason, outcome.scope) == WANTED[code]
    assert (outcome.code, outcome.text, outcome.http_status) == (str(code), "no", 400)
    assert (outcome.blame is Blame.CREDENTIALS) == (code in (1004, 1008))


def test_codes_that_nobody_documented_are_tried_again():
    assert jpush.read(refusal(400, 4242)).verdict is Verdict.RETRY


def test_an_ill_formed_id_is_the_tokens_fault_and_not_the_messages():
    outcome = jpush.read(refusal(400, 1003, "The registration_id is invalid"))
    assert (outcome.verdict, outcome.scope) == (Verdict.BAD_TARGET, Scope.TARGET)


@pytest.mark.parametrize(("status", "verdict"), [(401, Verdict.FAILED), (429, Verdict.RETRY), (500, Verdict.UNKNOWN)])
def test_where_the_status_counts_the_code_is_told_too(status: int, verdict: Verdict):
    outcome = jpush.read(refusal(status, 1011))
    assert (outcome.verdict, outcome.code) == (verdict, "1011")


@pytest.mark.parametrize(
    ("reset", "seconds"), [("7", 7.0), ("0", 0.0), ("99999999", 3600.0), ("", None), ("-1", None), ("٧", None)]
)
def test_the_pause_is_the_one_that_jpush_names(reset: str, seconds: float | None):
    assert jpush.read(refusal(429, 2002, x_rate_limit_reset=reset)).retry_after_seconds == seconds


def test_a_message_id_beyond_a_floats_precision_stays_whole():
    for text in ('"18100287008546151"', "18100287008546151"):
        answer = HttpResponse(200, b'{"sendno":"0","msg_id":%b}' % text.encode())
        assert jpush.read(answer) == Outcome(Verdict.ACCEPTED, push_id="18100287008546151", http_status=200)


def test_an_error_under_200_is_no_yes():
    assert jpush.read(refusal(200, 1011)).verdict is Verdict.BAD_TARGET


@pytest.mark.parametrize("code", ["1011", None, 1.5, [], True, 2**40])
def test_a_code_that_is_none_leaves_the_status(code: object):
    assert jpush.read(refusal(400, code)).reason is Reason.BAD_PAYLOAD


def test_of_a_check_only_the_unknown_id_is_good_news():
    assert jpush.read_check(refusal(400, 1011)).verdict is Verdict.ACCEPTED
    assert jpush.read_check(HttpResponse(200, b'{"sendno":"0","msg_id":"1"}')).verdict is Verdict.ACCEPTED
    for answer in (refusal(400, 1008), refusal(401, 1004), refusal(400, 1002), TransportFailure(False, "no")):
        assert jpush.read_check(answer).verdict is not Verdict.ACCEPTED


# --- what became of lists -----------------------------------------------------------------------------


def test_the_fate_of_a_list_is_asked_for_elsewhere():
    request = jpush.fates(credentials(), "18100287008546151", [TOKEN, "b"], now=NOW)
    assert request.url == "https://report.jpush.cn/v3/status/message"
    assert request.body == b'{"msg_id":18100287008546151,"registration_ids":["%b","b"]}' % TOKEN.encode()
    assert f"Authorization: {BASIC}" in request.headers


def test_under_an_endpoint_of_ones_own_it_is_asked_for_there():
    request = jpush.fates(credentials(url="https://relay.example.com/j/"), "1", [TOKEN], now=NOW)
    assert request.url == "https://relay.example.com/j/v3/status/message"


def test_an_id_that_jpush_did_not_give_is_refused():
    with pytest.raises(ValueError, match="'x'"):
        jpush.fates(credentials(), "x", [TOKEN], now=NOW)


def test_only_an_id_of_another_app_is_certainly_dead():
    found = {token: {"status": status} for token, status in zip("abcde", range(5), strict=True)}
    assert jpush.read_fates(HttpResponse(200, json.dumps(found).encode())) == Fates(frozenset("c"), frozenset("ab"))


@pytest.mark.parametrize("fate", [2, "2", None, [], {"status": "2"}, {"status": True}, {"state": 2}, {}])
def test_a_strange_fate_says_nothing(fate: object):
    answer = HttpResponse(200, json.dumps({"a": fate}).encode())
    assert jpush.read_fates(answer) == Fates(frozenset(), frozenset())


@pytest.mark.parametrize(
    "answer", [TransportFailure(True, "no"), refusal(429, 2002), refusal(400, 3002), refusal(500, 1)]
)
def test_asking_in_vain_has_an_outcome(answer: Any):
    assert isinstance(jpush.read_fates(answer), Outcome)


# --- keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entered", "field", "words"),
    [
        ({"app_key": APP_KEY[:-1]}, "app_key", "this one has 23"),
        ({"app_key": f"{APP_KEY[:-1]}x"}, "app_key", "only digits and the letters a to f"),
        ({"master_secret": f"{SECRET}0"}, "master_secret", "this one has 25"),
        ({"master_secret": "订" * 24}, "master_secret", "only digits"),
        ({"master_secret": ""}, "master_secret", "Enter the Master Secret"),
        ({"master_secret": APP_KEY}, "master_secret", "This is the AppKey"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_of_its_field(entered: dict[str, str], field: str, words: str):
    with pytest.raises(CredentialsError, match=words) as caught:
        jpush.sealed({"app_key": APP_KEY, "master_secret": SECRET} | entered)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


def test_keys_are_read_in_any_case_and_with_blanks_around():
    assert jpush.sealed({"app_key": f" {APP_KEY.upper()}\n", "master_secret": SECRET}) == (APP_KEY, SECRET)
