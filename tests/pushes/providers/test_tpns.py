import json
from pathlib import Path
from typing import Any

import pytest

from pushes.names import Environment, Platform, Reason
from pushes.providers.base import HttpResponse, MessageTooLargeError, UnsupportedCallError
from pushes.providers.tpns import Tpns, sign
from pushes.providers.tpns_codes import MEANINGS
from pushes.values import Blame, Credentials, Notification, Scope, Verdict

VECTOR = json.loads((Path(__file__).parent / "vectors.json").read_text())["tpns"][0]
SECRET = "00112233445566778899aabbccddeeff"
NOW = 1_700_000_000
TOKEN = "0123456789abcdef0123456789abcdef0123"

tpns = Tpns()


def credentials(platform=Platform.ANDROID, environment=Environment.PRODUCTION, url="") -> Credentials:
    return Credentials("tpns", "1500000001", url, platform, environment, SECRET)


def body_of(request) -> Any:
    return json.loads(request.body)


def notification(**fields) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 86_400}
    return Notification(**values | fields)


def read(**content):
    return tpns.read(HttpResponse(200, json.dumps(content).encode()))


def test_the_official_signature_is_reproduced():
    assert sign(VECTOR["TimeStamp"], VECTOR["AccessId"], VECTOR["body"], VECTOR["secret"]) == VECTOR["Sign"]


def test_a_request_is_signed_over_its_very_bytes():
    request = tpns.to_device(tpns.prepare(credentials(), notification()), TOKEN, now=NOW)
    assert request.url == "https://api.tpns.tencent.com/v3/push/app"
    assert f"Sign: {sign(NOW, 1500000001, request.body.decode(), SECRET)}" in request.headers
    assert {"AccessId: 1500000001", f"TimeStamp: {NOW}", "Content-Type: application/json"} < set(request.headers)


def test_a_push_to_a_device():
    request = tpns.to_device(tpns.prepare(credentials(), notification(replace_id=7)), TOKEN, now=NOW)
    assert body_of(request) == {
        "audience_type": "token",
        "token_list": [TOKEN],
        "message_type": "notify",
        "expire_time": 86400,
        "message": {
            "title": "题",
            "content": "内容",
            "android": {
                "n_id": 7,
                "ring": 1,
                "vibrate": 1,
                "clearable": 1,
                "action": {"action_type": 1},
                "custom_content": '{"type":5}',
            },
        },
    }


def test_ios_has_an_environment_and_a_badge():
    prepared = tpns.prepare(credentials(Platform.IOS, Environment.LOCAL), notification(badge=2))
    body = body_of(tpns.to_device(prepared, TOKEN, now=NOW))
    assert body["environment"] == "dev"
    assert body["message"]["ios"] == {
        "aps": {"alert": {}, "sound": "default", "badge_type": 2},
        "custom_content": '{"type":5}',
    }


def test_a_list_carries_its_message_and_skips_invalid_tokens():
    body = body_of(tpns.to_list(tpns.prepare(credentials(), notification()), "", [TOKEN, "b"], now=NOW))
    found = (body["audience_type"], body["token_list"], body["ignore_invalid_token"])
    assert found == ("token_list", [TOKEN, "b"], 1)


@pytest.mark.parametrize("count", [0, 1001])
def test_a_list_has_between_1_and_1000_tokens(count):
    with pytest.raises(ValueError, match=f"{count} given"):
        tpns.to_list(tpns.prepare(credentials(), notification()), "", [TOKEN] * count, now=NOW)


def test_a_list_takes_no_push_id():
    with pytest.raises(ValueError, match="push_id='5'"):
        tpns.to_list(tpns.prepare(credentials(), notification()), "5", [TOKEN], now=NOW)


def test_lists_need_no_creation():
    assert tpns.lists_need_creation is False
    with pytest.raises(UnsupportedCallError):
        tpns.create_list(tpns.prepare(credentials(), notification()), now=NOW)


@pytest.mark.parametrize(("seconds", "expected"), [(0, 800), (799, 800), (801, 801), (999_999, 259_200)])
def test_the_expiry_stays_within_the_providers_limits(seconds, expected):
    prepared = tpns.prepare(credentials(), notification(expire_seconds=seconds))
    assert body_of(tpns.to_device(prepared, TOKEN, now=NOW))["expire_time"] == expected


def test_a_long_content_is_cut_to_4096_bytes():
    prepared = tpns.prepare(credentials(), notification(content="订" * 3000))
    message = body_of(tpns.to_device(prepared, TOKEN, now=NOW))["message"]
    size = len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())
    assert 4090 < size <= 4096
    assert message["content"].endswith("订…")


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(MessageTooLargeError):
        tpns.prepare(credentials(), notification(custom={"k": "x" * 4096}))


def test_another_access_point_is_used_when_given():
    request = tpns.check(credentials(url="https://api.tpns.sh.tencent.com/"), now=NOW)
    assert request.url == "https://api.tpns.sh.tencent.com/v3/device/account/query"


def test_accepted_with_its_push_id():
    outcome = read(ret_code=0, push_id="123", err_msg="")
    assert (outcome.verdict, outcome.push_id) == (Verdict.ACCEPTED, "123")


def test_queries_are_answered_in_another_spelling():
    assert read(retCode=1008003, errMsg="auth").scope is Scope.KEY


@pytest.mark.parametrize("content", [{}, {"ret_code": "0"}])
def test_without_a_code_the_outcome_is_unknown(content):
    assert read(**content).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_only_two_codes_touch_a_token(code):
    assert (read(ret_code=code).verdict is Verdict.BAD_TARGET) == (code in (1008006, 1008029))


@pytest.mark.parametrize("code", [1008003, 10030002, 1008035, 1008013, 1008023, 1008030, 1008031, 1010001])
def test_credential_codes_are_of_the_key(code):
    assert (read(ret_code=code).verdict, read(ret_code=code).scope) == (Verdict.FAILED, Scope.KEY)


@pytest.mark.parametrize(
    ("blame", "codes"),
    [
        (Blame.CREDENTIALS, {1008003, 1008035, 10030002}),
        (Blame.CERTIFICATE, {1008013, 1008020, 1008021, 1008022, 1008023}),
        (Blame.APP, {1008030, 1008031, 1010001}),
        (Blame.CLOCK, set()),
    ],
)
def test_codes_tell_what_is_to_blame(blame, codes):
    assert {code for code in MEANINGS if read(ret_code=code).blame is blame} == codes


def test_a_secret_may_have_any_length():
    assert tpns.secret_fault("a1" * 5) == ""


@pytest.mark.parametrize("secret", ["two words", "tab\t", "密钥", "zero\u200bwidth"])
def test_a_secret_holds_no_blanks_and_nothing_that_does_not_show(secret):
    assert "Copy it again" in tpns.secret_fault(secret)


def test_a_repeated_push_is_done_already():
    assert read(ret_code=10010018).verdict is Verdict.ACCEPTED


def test_too_fast_is_throttled():
    assert read(ret_code=1008028).reason is Reason.THROTTLED


def test_codes_that_nobody_documented_are_tried_again():
    assert read(ret_code=424242).verdict is Verdict.RETRY


@pytest.mark.parametrize("name", ["invalid_targe_list", "invalid_target_list"])
@pytest.mark.parametrize("items", [["a", "b"], [{"token": "a"}, {"token": "b"}]])
def test_skipped_tokens_are_named(name, items):
    answer = HttpResponse(200, json.dumps({"ret_code": 0, name: items}).encode())
    assert tpns.read(answer).bad_tokens == ("a", "b")


def test_without_such_a_list_no_token_is_named():
    assert read(ret_code=0).bad_tokens == ()
