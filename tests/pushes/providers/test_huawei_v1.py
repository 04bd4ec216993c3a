"""Huawei v1: keys, the exchange of access tokens, calls and answers. What holds for every provider stands in
test_contract.py; the codes are those of v3 and tested there."""

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from pushes.names import Environment, Platform, Reason
from pushes.providers.base import AccessToken, CredentialsError, HttpResponse, MessageTooLargeError, TransportFailure
from pushes.providers.huawei_v1 import LIST_LIMIT, MAX_MESSAGE_BYTES, HuaweiV1
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict

NOW = 1_764_230_400
TOKEN = "IQAAAACy0" + "x" * 100
APP_ID, SECRET = "100234567", "0123456789abcdef" * 4

huawei = HuaweiV1()


def credentials(url: str = "") -> Credentials:
    access_id, secret = huawei.sealed({"app_id": APP_ID, "client_secret": SECRET})
    return Credentials("huawei_v1", access_id, url, Platform.ANDROID, Environment.PRODUCTION, secret, "a.token")


def notification(**fields: Any) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 86_400}
    return Notification(**values | fields)


def body(*tokens: str, **fields: Any) -> Any:
    message = huawei.prepare(credentials(), notification(**fields))
    return json.loads(huawei.to_list(message, "", tokens or [TOKEN], now=NOW).body)


def answer(code: object, msg: object = "no", status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps({"code": code, "msg": msg, "requestId": "1"}).encode())


# --- calls ------------------------------------------------------------------------------------------


def test_a_push_to_a_device():
    request = huawei.to_device(huawei.prepare(credentials(), notification(replace_id=7)), TOKEN, now=NOW)
    assert request.url == f"https://push-api.cloud.huawei.com/v1/{APP_ID}/messages:send"
    assert set(request.headers) == {"Content-Type: application/json", "Authorization: Bearer a.token"}
    assert json.loads(request.body) == {
        "validate_only": False,
        "message": {
            "token": [TOKEN],
            "data": '{"type":5}',
            "android": {
                "ttl": "86400s",
                "category": "MARKETING",
                "notification": {
                    "title": "题",
                    "body": "内容",
                    "click_action": {"type": 3},
                    "foreground_show": True,
                    "importance": "LOW",
                    "notify_id": 7,
                },
            },
        },
    }


def test_what_a_push_can_say_besides():
    found = body(image="https://i/1.png", badge=200, category="IM", channel_id="orders", thread="group:7")
    android = found["message"]["android"]
    wanted = {"image": "https://i/1.png", "badge": {"set_num": 99}, "channel_id": "orders", "group": "group:7"}
    assert wanted.items() <= android["notification"].items()
    assert android["category"] == "IM"


@pytest.mark.parametrize(
    ("link", "action"),
    [
        ("", {"type": 3}),
        ("https://higo.example/7", {"type": 2, "url": "https://higo.example/7"}),
        ("HTTP://higo.example/7", {"type": 2, "url": "HTTP://higo.example/7"}),
        ("higo://order/7", {"type": 1, "intent": "higo://order/7"}),
        ("intent://order#Intent;scheme=higo;end", {"type": 1, "intent": "intent://order#Intent;scheme=higo;end"}),
    ],
)
def test_a_tap_opens_the_app_a_page_or_an_intent(link: str, action: dict[str, Any]):
    assert body(link=link)["message"]["android"]["notification"]["click_action"] == action


def test_a_list_carries_its_message():
    assert body(TOKEN, "b")["message"]["token"] == [TOKEN, "b"]
    with pytest.raises(ValueError, match=f"{LIST_LIMIT + 1} given"):
        body(*[TOKEN] * (LIST_LIMIT + 1))


def size(found: Any) -> int:
    found["message"]["token"] = []
    return len(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode())


def test_a_long_content_is_cut_to_the_byte():
    for filler in ("订", "a"):
        assert MAX_MESSAGE_BYTES - 4 <= size(body(content=filler * 5000)) <= MAX_MESSAGE_BYTES


def test_what_just_fits_is_not_cut():
    # The check is one byte shorter: true for false.
    room = MAX_MESSAGE_BYTES - size(body(content=""))
    assert body(content="a" * room)["message"]["android"]["notification"]["body"] == "a" * room
    assert body(content="a" * (room + 1))["message"]["android"]["notification"]["body"].endswith("…")


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(MessageTooLargeError, match="4096"):
        body(custom={"k": "x" * 4096})


def test_the_check_is_only_looked_at():
    found = json.loads(huawei.check(credentials(), now=NOW).body)
    assert (found["validate_only"], found["message"]["token"]) == (True, ["HIGO-PUSH-KEY-CHECK"])


# --- answers ------------------------------------------------------------------------------------------


def test_the_dead_tokens_of_a_list_are_named():
    said = json.dumps({"success": 1, "failure": 2, "illegal_tokens": ["a", "b", "a"]})
    outcome = huawei.read(answer("80100000", said))
    assert (outcome.verdict, outcome.bad_tokens, outcome.unsent_tokens) == (Verdict.ACCEPTED, ("a", "b"), ())
    assert outcome.text == "illegal_tokens: 3"


@pytest.mark.parametrize(("code", "is_good"), [("80000000", True), ("80300007", True), ("80200001", False)])
def test_the_check_asks_whether_the_key_was_let_in(code: str, is_good: bool):
    assert (huawei.read_check(answer(code)).verdict is Verdict.ACCEPTED) is is_good


def test_a_stale_token_is_the_credentials_fault_only_after_it_was_renewed():
    outcome = huawei.read(answer("80200003", status=401))
    assert (outcome.is_token_stale, outcome.reason, outcome.blame) == (True, Reason.BAD_CREDENTIALS, Blame.CREDENTIALS)


# --- access tokens ------------------------------------------------------------------------------------


def exchange(status: int = 200, **fields: Any) -> AccessToken | Outcome:
    return huawei.read_access_token(HttpResponse(status, json.dumps(fields).encode()), now=NOW)


def test_the_secret_is_exchanged_at_huaweis_login():
    request = huawei.access_token(credentials(), now=NOW)
    assert request.url == "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
    assert request.headers == ("Content-Type: application/x-www-form-urlencoded",)
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": [APP_ID],
        "client_secret": [SECRET],
    }


def test_under_an_endpoint_of_ones_own_it_is_exchanged_there():
    assert huawei.access_token(credentials("https://relay.example.com/h/"), now=NOW).url == (
        "https://relay.example.com/h/oauth2/v3/token"
    )


def test_a_token_is_good_for_as_long_as_huawei_says():
    assert exchange(access_token="CgB6e3x9/a+b=", expires_in=3600) == ("CgB6e3x9/a+b=", NOW, NOW + 3600)
    assert exchange(access_token="x", expires_in=10**9) == ("x", NOW, NOW + 86_400)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"access_token": "x"},
        {"access_token": "x", "expires_in": 0},
        {"access_token": "x", "expires_in": "3600"},
        {"access_token": "", "expires_in": 3600},
        {"access_token": "a\r\nX-Evil: 1", "expires_in": 3600},
        {"access_token": ["x"], "expires_in": 3600},
    ],
)
def test_an_answer_without_a_token_is_asked_for_again(fields: dict[str, Any]):
    outcome = exchange(**fields)
    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, outcome.scope) == (Verdict.RETRY, Scope.KEY)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_refused_exchange_is_the_credentials_fault(status: int):
    outcome = exchange(status, error=1101, sub_error=20042, error_description="invalid client")
    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, outcome.reason, outcome.blame) == (
        Verdict.FAILED,
        Reason.BAD_CREDENTIALS,
        Blame.CREDENTIALS,
    )
    assert "invalid client" in outcome.text


@pytest.mark.parametrize("answer", [HttpResponse(500, b""), TransportFailure(True, "no"), HttpResponse(200, b"<html>")])
def test_a_lost_exchange_pushed_nothing(answer: Any):
    outcome = huawei.read_access_token(answer, now=NOW)
    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, outcome.scope) == (Verdict.RETRY, Scope.KEY)


# --- keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entered", "field", "words"),
    [
        ({"app_id": "com.higo.shop"}, "app_id", "only digits"),
        ({"client_secret": ""}, "client_secret", "Enter the client secret"),
        ({"client_secret": "two words"}, "client_secret", "Copy it again"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_of_its_field(entered: dict[str, str], field: str, words: str):
    with pytest.raises(CredentialsError, match=words) as caught:
        huawei.sealed({"app_id": APP_ID, "client_secret": SECRET} | entered)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)
