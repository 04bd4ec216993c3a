"""Huawei Push Kit from outside, by requests made here by hand."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from pushes.names import ProviderKind
from tests.pushes.providers.key_files import OTHER_RSA, pem_of
from tests.pushes.providers.vendors import HUAWEI_ACCOUNT
from tests.pushes.sandbox.vendors import Answer, call, entered, huawei_token, known
from tests.sandbox_process import Sandbox

TOKEN = "IQAAAACy0" + "x" * 100
DEAD = "dead0000" + "x" * 100
APP_ID, SECRET = entered(ProviderKind.HUAWEI_V1).values()
PROJECT = HUAWEI_ACCOUNT["project_id"]


class Client:
    """One of the two versions."""

    def __init__(self, url: str) -> None:
        self.url, self.bearer = url, ""
        self.headers = {"Content-Type": "application/json"}

    def push(self, *tokens: str, **changes: Any) -> Answer:
        headers = self.headers | ({"Authorization": f"Bearer {self.bearer}"} if self.bearer else {})
        return call(self.address, json.dumps(self.body(list(tokens or [TOKEN]), changes)), headers)

    def code(self, *tokens: str, **changes: Any) -> str:
        return str(self.push(*tokens, **changes).body["code"])

    @property
    def address(self) -> str:
        raise NotImplementedError

    def body(self, tokens: list[str], changes: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class Android(Client):
    access_id, left_out = APP_ID, "illegal_tokens"

    def exchange(self, **changes: str) -> Answer:
        form = {"grant_type": "client_credentials", "client_id": APP_ID, "client_secret": SECRET} | changes
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return call(f"{self.url}/oauth2/v3/token", urlencode(form), headers)

    def log_in(self) -> None:
        self.bearer = self.exchange().body["access_token"]

    @property
    def address(self) -> str:
        return f"{self.url}/v1/{APP_ID}/messages:send"

    def body(self, tokens: list[str], changes: dict[str, Any]) -> dict[str, Any]:
        shown = {"title": "题", "body": "内容", "click_action": {"type": 3}, "notify_id": 9}
        android = {"ttl": "60s", "notification": shown}
        message = {"token": tokens, "data": '{"order":"7"}', "android": android}
        return {"validate_only": changes.pop("is_check", False), "message": message | changes}


class Harmony(Client):
    access_id, left_out = PROJECT, "tokenFormatError"

    def log_in(self) -> None:
        self.bearer = huawei_token(HUAWEI_ACCOUNT)
        self.headers["push-type"] = "0"

    @property
    def address(self) -> str:
        return f"{self.url}/v3/{PROJECT}/messages:send"

    def body(self, tokens: list[str], changes: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {"category": "IM", "title": "题", "body": "内容", "notifyId": 9}
        shown["clickAction"] = {"actionType": 0, "data": {"order": "7"}}
        body = {"payload": {"notification": shown}, "target": {"token": tokens}, "pushOptions": {"ttl": 60}}
        return body | changes


@pytest.fixture
def android(sandbox: Sandbox) -> Android:
    known(sandbox, ProviderKind.HUAWEI_V1)
    client = Android(sandbox.url)
    client.log_in()
    return client


@pytest.fixture
def harmony(sandbox: Sandbox) -> Harmony:
    known(sandbox, ProviderKind.HUAWEI_V3)
    client = Harmony(sandbox.url)
    client.log_in()
    return client


@pytest.fixture(params=["android", "harmony"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_push_is_accepted_and_recorded(client, sandbox):
    answer = client.push()
    assert (answer.status, answer.body["code"]) == (200, "80000000")
    (entry,) = sandbox.received()
    assert entry["platform"] == ("harmony" if isinstance(client, Harmony) else "android")
    found = (entry["token"], entry["title"], entry["content"], entry["custom"], entry["n_id"], entry["push_id"])
    assert found == (TOKEN, "题", "内容", {"order": "7"}, 9, answer.body["requestId"])


def test_the_tokens_that_a_list_leaves_out_are_named(client, sandbox):
    answer = client.push(TOKEN, DEAD, "short")
    assert (answer.status, answer.body["code"]) == (200, "80100000")
    assert json.loads(answer.body["msg"]) == {"success": 1, "failure": 2, client.left_out: [DEAD, "short"]}
    assert [entry["token"] for entry in sandbox.received()] == [TOKEN]


def test_a_list_without_a_good_token_is_refused(client, sandbox):
    assert client.code(DEAD) == "80300007"
    assert client.code(DEAD, "baad0000" + "x" * 100) == "80300007"
    assert sandbox.received() == []


def test_a_thousand_tokens_are_taken_and_no_more(client, sandbox):
    tokens = [f"{number:0100d}" for number in range(1001)]
    assert client.code(*tokens[:1000]) == "80000000"
    assert len(sandbox.received()) == 1000
    assert client.code(*tokens) == "80300010"


def test_busy_and_throttled_tokens(client):
    assert client.code("b0b00000" + "x" * 100) == "80600003"
    assert client.push("cafe0000" + "x" * 100).status == 503


def test_tokens_that_are_declared_old_are_refused_and_new_ones_taken(client, sandbox):
    assert client.code() == "80000000"
    sandbox.expire_tokens(client.access_id)
    assert client.code() == ("80200005" if isinstance(client, Harmony) else "80200003")
    client.log_in()
    assert client.code() == "80000000"


def test_without_a_token_nobody_pushes(client):
    client.bearer = ""
    answer = client.push()
    assert (answer.status, answer.body["code"]) == (401, "80200001")


@pytest.mark.parametrize(
    ("profile", "status", "code"),
    [("bad_auth", 401, "80200001"), ("bad_token", 200, "80300007"), ("throttle", 503, None)],
)
def test_profiles(client, sandbox, profile, status, code):
    sandbox.set_profile(profile, access_id=client.access_id)
    answer = client.push()
    assert (answer.status, answer.body.get("code")) == (status, code)


# --- v1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"client_secret": "x"}, {"client_id": "1"}, {"grant_type": "password"}, {"client_secret": ""}]
)
def test_a_wrong_exchange_is_refused(android, wrong):
    answer = android.exchange(**wrong)
    assert answer.status == 400
    assert answer.body["error"] in (1101, 1102)


def test_a_token_of_another_app_is_refused(android, sandbox):
    known(sandbox, ProviderKind.HUAWEI_V1, app_id="55", client_secret="another")
    android.bearer = android.exchange(client_id="55", client_secret="another").body["access_token"]
    assert android.code() == "80200001"


def test_a_call_that_only_validates_delivers_nothing(android, sandbox):
    assert android.code(is_check=True) == "80000000"
    assert android.code(DEAD, is_check=True) == "80300007"
    assert sandbox.received() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"data": 7}, "80100001"),
        ({"token": []}, "80100003"),
        ({"token": "x"}, "80100003"),
        ({"android": {"ttl": "soon", "notification": {"title": "x", "click_action": {"type": 3}}}}, "80100001"),
        ({"android": {"notification": {"title": "x"}}}, "80100001"),
        ({"data": "x" * 4096}, "80300008"),
    ],
)
def test_a_wrong_message_is_refused(android, sandbox, changes, code):
    assert android.code(**changes) == code
    assert sandbox.received() == []


# --- v3 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"seconds": 86_401}, "80300036"),
        ({"iat": 1_000_000_000}, "80200005"),
        ({"key": pem_of(OTHER_RSA)}, "80200001"),
    ],
)
def test_a_wrong_signature_or_life_is_refused(harmony, options, code):
    harmony.bearer = huawei_token(HUAWEI_ACCOUNT, **options)
    assert harmony.code() == code


@pytest.mark.parametrize("name", ["sub_account", "key_id"])
def test_another_signer_is_refused(harmony, name):
    harmony.bearer = huawei_token(HUAWEI_ACCOUNT | {name: "another"})
    assert harmony.code() == "80200001"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payload": {}}, "80100001"),
        ({"target": {}}, "80100003"),
        ({"pushOptions": {"ttl": 0}}, "80100001"),
        ({"more": "x" * 4096}, "80300008"),
    ],
)
def test_a_wrong_harmony_message_is_refused(harmony, sandbox, changes, code):
    assert harmony.code(**changes) == code
    assert sandbox.received() == []


def test_the_kind_of_push_must_be_said(harmony):
    harmony.headers["push-type"] = "5"
    assert harmony.code() == "80100003"
