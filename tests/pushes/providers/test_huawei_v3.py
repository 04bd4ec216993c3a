"""Huawei v3: keys, signed tokens, calls and answers. What holds for every provider stands in test_contract.py."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pushes.names import Environment, Platform, Reason
from pushes.providers import huawei_codes
from pushes.providers.base import MAX_ANSWER_BYTES, CredentialsError, HttpResponse, MessageTooLargeError
from pushes.providers.huawei_v3 import LIST_LIMIT, MAX_MESSAGE_BYTES, HuaweiV3
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict
from tests.pushes.providers.key_files import P256, RSA, pem_of
from tests.pushes.providers.vendors import HUAWEI_ACCOUNT, SERVICE_ACCOUNT

NOW = 1_764_230_400
TOKEN = "IQAAAACy0" + "x" * 100
PROJECT = HUAWEI_ACCOUNT["project_id"]

huawei = HuaweiV3()


def sealed(**changes: object) -> Any:
    return huawei.sealed({"service_account": json.dumps({**HUAWEI_ACCOUNT, **changes})})


def credentials(url: str = "") -> Credentials:
    access_id, secret = sealed()
    return Credentials("huawei_v3", access_id, url, Platform.HARMONY, Environment.PRODUCTION, secret, "a.signed.token")


def notification(**fields: Any) -> Notification:
    values: dict[str, Any] = {"title": "题", "content": "内容", "custom": {"type": 5}, "expire_seconds": 86_400}
    return Notification(**values | fields)


def body(*tokens: str, **fields: Any) -> Any:
    message = huawei.prepare(credentials(), notification(**fields))
    return json.loads(huawei.to_list(message, "", tokens or [TOKEN], now=NOW).body)


def answer(code: object, msg: object = "no", status: int = 400) -> HttpResponse:
    return HttpResponse(status, json.dumps({"code": code, "msg": msg, "requestId": "1"}).encode())


# --- calls ------------------------------------------------------------------------------------------


def test_a_push_to_a_device():
    request = huawei.to_device(huawei.prepare(credentials(), notification(replace_id=7)), TOKEN, now=NOW)
    assert request.url == f"https://push-api.cloud.huawei.com/v3/{PROJECT}/messages:send"
    assert set(request.headers) == {
        "Content-Type: application/json",
        "push-type: 0",
        "Authorization: Bearer a.signed.token",
    }
    assert json.loads(request.body) == {
        "payload": {
            "notification": {
                "category": "MARKETING",
                "title": "题",
                "body": "内容",
                "clickAction": {"actionType": 0, "data": {"type": 5}},
                "foregroundShow": True,
                "notifyId": 7,
            }
        },
        "pushOptions": {"testMessage": False, "ttl": 86_400},
        "target": {"token": [TOKEN]},
    }


def test_what_a_push_can_say_besides():
    found = body(link="higo://order/7", image="https://i/1.png", badge=200, category="IM")["payload"]["notification"]
    assert found["clickAction"] == {"actionType": 1, "uri": "higo://order/7", "data": {"type": 5}}
    assert (found["image"], found["badge"], found["category"]) == ("https://i/1.png", {"setNum": 99}, "IM")


def test_a_list_carries_its_message():
    assert body(TOKEN, "b")["target"] == {"token": [TOKEN, "b"]}
    with pytest.raises(ValueError, match=f"{LIST_LIMIT + 1} given"):
        body(*[TOKEN] * (LIST_LIMIT + 1))


def test_an_answer_that_names_every_token_of_a_list_can_be_read():
    """As it is written, a text of JSON in JSON."""
    said = json.dumps({"success": 0, "failure": LIST_LIMIT, "illegal_tokens": ["x" * 140] * LIST_LIMIT})
    assert len(answer("80100000", said).body) < MAX_ANSWER_BYTES


def size(found: Any) -> int:
    found["target"]["token"] = []
    return len(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode())


def test_a_long_content_is_cut_to_the_byte():
    for filler in ("订", "a"):
        assert MAX_MESSAGE_BYTES - 3 <= size(body(content=filler * 5000)) <= MAX_MESSAGE_BYTES


def test_what_just_fits_is_not_cut():
    room = MAX_MESSAGE_BYTES - size(body(content=""))
    assert body(content="a" * room)["payload"]["notification"]["body"] == "a" * room
    assert body(content="a" * (room + 1))["payload"]["notification"]["body"].endswith("…")


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(MessageTooLargeError, match="4096"):
        body(custom={"k": "x" * 4096})


def test_the_check_is_a_test_message_to_nobody():
    found = json.loads(huawei.check(credentials(), now=NOW).body)
    assert found["pushOptions"]["testMessage"] is True
    assert found["target"]["token"] == ["HIGO-PUSH-KEY-CHECK"]


# --- signed tokens ------------------------------------------------------------------------------------


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_is_signed_with_the_service_account():
    token = huawei.access_token(credentials(), now=NOW)
    head, claims, signature = token.text.split(".")
    assert json.loads(decoded(head)) == {"alg": "PS256", "kid": HUAWEI_ACCOUNT["key_id"], "typ": "JWT"}
    assert json.loads(decoded(claims)) == {
        "aud": "https://oauth-login.cloud.huawei.com/oauth2/v3/token",
        "iss": HUAWEI_ACCOUNT["sub_account"],
        "iat": NOW,
        "exp": NOW + 3600,
    }
    assert (token.made_at, token.expires_at) == (NOW, NOW + 3600)
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    RSA.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), salted, hashes.SHA256())


# --- answers ------------------------------------------------------------------------------------------

PAYLOAD = (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)
KEY = (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
BUSY = (Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY)
WANTED = {
    "80000000": (Verdict.ACCEPTED, None, Scope.TARGET),
    "80100000": (Verdict.ACCEPTED, None, Scope.TARGET),
    **dict.fromkeys(("80100001", "80100003", "80100004", "80100013", "80100016", "80100018", "80100022"), PAYLOAD),
    **dict.fromkeys(("80300008", "80300010", "80300030"), PAYLOAD),
    **dict.fromkeys(("80200001", "80200003", "80200005", "80300002", "80300011", "80300036", "80300037"), KEY),
    "80100017": BUSY,
    "80600003": BUSY,
    "80300007": (Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET),
    "80300029": (Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
    "81000001": (Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
}


def test_every_code_is_wanted():
    assert set(WANTED) == set(huawei_codes.MEANINGS)


@pytest.mark.parametrize("code", sorted(WANTED))
def test_every_code_has_its_meaning(code: str):
    outcome = huawei.read(answer(code, status=200))
    assert (outcome.verdict, outcome.reason, outcome.scope) == WANTED[code]
    assert (outcome.code, outcome.http_status) == (code, 200)
    assert outcome.is_token_stale == (code in ("80200003", "80200005"))


def test_a_stale_token_is_seen_under_401_too():
    outcome = huawei.read(answer("80200005", status=401))
    assert (outcome.is_token_stale, outcome.blame) == (True, Blame.CLOCK)


def test_codes_that_nobody_documented_are_tried_again():
    assert huawei.read(answer("80999999")).verdict is Verdict.RETRY


@pytest.mark.parametrize("code", [80000000, "8000000", "800000000", "８００００００００", None, [], True])
def test_what_is_no_code_is_read_as_none(code: object):
    assert huawei.read(answer(code, status=200)).verdict is Verdict.UNKNOWN
    assert huawei.read(answer(code, status=401)).reason is Reason.BAD_CREDENTIALS


@pytest.mark.parametrize("deep", [False, True])
def test_of_a_list_only_ill_formed_tokens_are_dead(deep: bool):
    named: Any = {"tokenFormatError": ["a"], "noRight": ["b"], "countryNotSupport": ["c"], "noPushTypeRight": ["d"]}
    said = {"success": 3, "failure": 4, **({"illegal_tokens_by_cause": named} if deep else named)}
    outcome = huawei.read(answer("80100000", json.dumps(said), status=200))
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.bad_tokens == ("a",)
    assert sorted(outcome.unsent_tokens) == ["b", "c", "d"]
    assert outcome.text == "tokenFormatError: 1, noPushTypeRight: 1, noRight: 1, countryNotSupport: 1"


@pytest.mark.parametrize(
    ("cause", "verdict", "scope"),
    [
        ("tokenFormatError", Verdict.BAD_TARGET, Scope.TARGET),
        ("tokenPlatformNotSupport", Verdict.BAD_TARGET, Scope.TARGET),
        ("noRight", Verdict.BAD_TARGET, Scope.TARGET),
        ("noRightToSendThisLiveNotificationEvent", Verdict.FAILED, Scope.TARGET),
        ("countryNotSupport", Verdict.FAILED, Scope.TARGET),
        ("atomicUnableSendUnsubscribedMsg", Verdict.FAILED, Scope.TARGET),
        ("noPushTypeRight", Verdict.FAILED, Scope.KEY),
        ("disableSendHuaweiMsgBecauseOfPenalty", Verdict.FAILED, Scope.KEY),
        ("appinfoError", Verdict.FAILED, Scope.KEY),
        ("differentImgVerifyPolicy", Verdict.FAILED, Scope.MESSAGE),
        ("notSupportPlayVoice", Verdict.FAILED, Scope.MESSAGE),
    ],
)
@pytest.mark.parametrize("is_json", [True, False])
def test_where_no_token_was_taken_the_cause_says_whose_fault_it_is(
    cause: str, verdict: Verdict, scope: Scope, is_json: bool
):
    said = json.dumps({cause: [TOKEN]}) if is_json else f"All the tokens are invalid, {cause}"
    outcome = huawei.read(answer("80300007", said))
    assert (outcome.verdict, outcome.scope) == (verdict, scope)
    assert TOKEN not in outcome.text


def test_every_cause_is_wanted():
    assert len(huawei_codes.CAUSES) == 11


@pytest.mark.parametrize(
    "said", ["{", "[]", "null", '{"illegal_tokens": 7}', '{"illegal_tokens": [7, null]}', "{" * 99, 7, None, {"a": []}]
)
def test_a_strange_list_of_tokens_is_none(said: object):
    outcome = huawei.read(answer("80100000", said, status=200))
    assert (outcome.verdict, outcome.bad_tokens, outcome.unsent_tokens) == (Verdict.ACCEPTED, (), ())


@pytest.mark.parametrize(("body", "reason"), [(b'{"msg":"QPS"}', Reason.THROTTLED), (b"<html>", Reason.PROVIDER_BUSY)])
def test_huaweis_own_503_is_a_throttle_and_a_proxys_is_not(body: bytes, reason: Reason):
    outcome = huawei.read(HttpResponse(503, body))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.RETRY, reason, Scope.KEY)


@pytest.mark.parametrize(
    ("said", "is_good"),
    [
        (answer("80300007", "All the tokens are invalid"), True),
        (answer("80100000", json.dumps({"tokenFormatError": ["x"]}), status=200), True),
        (answer("80300007", "noPushTypeRight"), False),
        (answer("80200001", status=401), False),
        (answer("80300002"), False),
        (answer("80300029"), False),
    ],
)
def test_the_check_asks_whether_the_key_was_let_in(said: HttpResponse, is_good: bool):
    outcome = huawei.read_check(said)
    assert (outcome.verdict is Verdict.ACCEPTED) is is_good
    assert isinstance(outcome, Outcome)


# --- keys ---------------------------------------------------------------------------------------------

SMALL = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Choose the JSON file"),
        ("not json", "not the JSON file of a service account"),
        ("[]", "not the JSON file"),
        ("[" * 5000, "not the JSON file"),
        (json.dumps({"agcgw": {}, "client": {}, "configuration_version": "3.0"}), "agconnect-services.json"),
        (json.dumps(SERVICE_ACCOUNT), "service account of Google"),
        (json.dumps({"project_id": "1"}), "no key_id, sub_account, private_key"),
        (json.dumps({**HUAWEI_ACCOUNT, "key_id": 7, "sub_account": " "}), "no key_id, sub_account"),
        (json.dumps({**HUAWEI_ACCOUNT, "project_id": "shop"}), "project_id is not a number: shop"),
        (json.dumps({**HUAWEI_ACCOUNT, "private_key": "x"}), "private_key: This is not a key file"),
        (json.dumps({**HUAWEI_ACCOUNT, "private_key": pem_of(P256)}), "private_key: This is an elliptic-curve key"),
        (json.dumps({**HUAWEI_ACCOUNT, "private_key": pem_of(SMALL)}), "1024 bits"),
        (json.dumps({**HUAWEI_ACCOUNT, "more": "x" * 20_000}), "not the JSON file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, words: str):
    with pytest.raises(CredentialsError, match=words) as caught:
        huawei.sealed({"service_account": text})
    assert caught.value.field == "service_account"
    assert pem_of(RSA)[60:90] not in str(caught.value)


def test_the_projects_id_is_the_keys_name():
    found = sealed()
    assert found.access_id == PROJECT
    assert set(json.loads(found.secret)) == {"key_id", "sub_account", "private_key"}
