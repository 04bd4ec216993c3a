"""TPNS from outside, by requests made here by hand."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import requests

from tests.sandbox_process import Sandbox

SECRET = "99887766554433221100ffeeddccbbaa"
ANDROID, IOS = 1500000201, 1600000201
TOKEN = "ab" * 18


class Client:
    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self.access_id = ANDROID
        self.now = int(time.time())

    def call(self, body: Any, path: str = "/v3/push/app", **headers: str) -> Any:
        raw = body if isinstance(body, str) else json.dumps(body)
        source = f"{self.now}{self.access_id}{raw}".encode()
        digest = hmac.new(SECRET.encode(), source, hashlib.sha256).hexdigest()
        signed = {
            "AccessId": str(self.access_id),
            "TimeStamp": str(self.now),
            "Sign": base64.b64encode(digest.encode()).decode(),
            "Content-Type": "application/json",
        }
        return requests.post(self.url + path, data=raw.encode(), headers=signed | headers, timeout=10).json()


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    sandbox.add_key(ANDROID, SECRET)
    sandbox.add_key(IOS, SECRET)
    return Client(sandbox)


def push(**changes: Any) -> dict[str, Any]:
    message = {"title": "题", "content": "内容", "android": {"custom_content": '{"k":"v"}', "n_id": 3}}
    body = {"audience_type": "token", "token_list": [TOKEN], "message_type": "notify", "message": message}
    return body | changes


def test_a_push_is_accepted_and_recorded(client, sandbox):
    answer = client.call(push())
    assert (answer["ret_code"], answer["result"], bool(answer["push_id"])) == (0, "[0]", True)
    (entry,) = sandbox.received()
    found = (entry["token"], entry["title"], entry["custom"], entry["n_id"], entry["push_id"])
    assert found == (TOKEN, "题", {"k": "v"}, 3, answer["push_id"])


def test_ios_needs_an_environment(client):
    client.access_id = IOS
    assert client.call(push())["ret_code"] == 1008007
    assert client.call(push(environment="dev"))["ret_code"] == 0


def test_basic_authorisation_is_accepted(client):
    basic = base64.b64encode(f"{ANDROID}:{SECRET}".encode()).decode()
    assert client.call(push(), AccessId="", Sign="", Authorization=f"Basic {basic}")["ret_code"] == 0


@pytest.mark.parametrize("basic", ["!!", base64.b64encode(f"{ANDROID}:wrong".encode()).decode()])
def test_bad_basic_authorisation_is_refused(client, basic):
    assert client.call(push(), Authorization=f"Basic {basic}")["ret_code"] == 1008003


@pytest.mark.parametrize("headers", [{"Sign": "x"}, {"AccessId": ""}, {"TimeStamp": "soon"}, {"TimeStamp": "5"}])
def test_a_bad_signature_is_refused(client, headers):
    assert client.call(push(), **headers)["ret_code"] == 1008003


def test_an_unknown_access_id_is_told_apart(client):
    client.access_id = 1599999999
    assert client.call(push())["ret_code"] == 1008035


def test_an_old_clock_is_refused(client):
    client.now -= 3600
    assert client.call(push())["ret_code"] == 1008003


def test_a_list_skips_invalid_tokens_when_told_to(client, sandbox):
    bad = ["dead0000" + "0" * 28, "x" * 37]
    answer = client.call(push(audience_type="token_list", token_list=[TOKEN, *bad], ignore_invalid_token=1))
    assert (answer["ret_code"], answer["invalid_targe_list"]) == (0, bad)
    assert [entry["token"] for entry in sandbox.received()] == [TOKEN]


def test_a_list_with_an_invalid_token_fails_otherwise(client, sandbox):
    body = push(audience_type="token_list", token_list=[TOKEN, "x" * 37])
    assert (client.call(body)["ret_code"], sandbox.received()) == (1008029, [])


def test_a_list_of_invalid_tokens_only_fails(client):
    body = push(audience_type="token_list", token_list=["x" * 37], ignore_invalid_token=1)
    assert client.call(body)["ret_code"] == 1008027


def test_only_the_first_token_of_a_single_push_is_used(client, sandbox):
    client.call(push(token_list=[TOKEN, "cd" * 18]))
    assert len(sandbox.received()) == 1


def test_a_push_to_all_once_a_second(client, sandbox):
    assert [client.call(push(audience_type="all"))["ret_code"] for _ in range(2)] == [0, 1008028]
    assert [entry["token"] for entry in sandbox.received()] == ["*"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience_type": "planet"}, 1008007),
        ({"token_list": []}, 1008002),
        ({"token_list": [5]}, 1008002),
        ({"audience_type": "token_list", "token_list": [TOKEN] * 1001}, 1008007),
        ({"message": "text"}, 1008002),
        ({"message": {"content": "c"}}, 1008002),
        ({"message": {"title": "t"}}, 1008002),
        ({"message": {"title": "t", "content": "订" * 1400}}, 1008007),
        ({"message": {"title": "t", "content": "c", "android": {"custom_content": {}}}}, 1008007),
        ({"message": {"title": "t", "content": "c", "android": {"custom_content": "["}}}, 1008007),
        ({"message_type": "shout"}, 1008007),
        ({"expire_time": 259201}, 1008007),
        ({"expire_time": "x"}, 1008007),
    ],
)
def test_refusals(client, sandbox, changes, code):
    assert (client.call(push(**changes))["ret_code"], sandbox.received()) == (code, [])


@pytest.mark.parametrize("body", ["{", "[]"])
def test_what_is_no_json_object_is_refused(client, body):
    assert client.call(body)["ret_code"] == 1008001


def test_an_accounts_tokens_are_queried(client, sandbox):
    sandbox.bind_account(ANDROID, "joe", [TOKEN])
    answer = client.call({"operator_type": 1, "account_list": [{"account": "joe"}]}, "/v3/device/account/query")
    assert answer["account_tokens"] == [{"account": "joe", "token_list": [TOKEN]}]


@pytest.mark.parametrize(("body", "code"), [({"operator_type": 3}, 1008007), ({"operator_type": 1}, 1008002)])
def test_a_query_that_cannot_be_answered(client, body, code):
    assert client.call(body, "/v3/device/account/query")["retCode"] == code


def test_other_paths_are_not_found(client):
    assert requests.post(f"{client.url}/v3/push/plan", data="{}", timeout=10).status_code == 404


def test_a_get_is_refused(client):
    answer = requests.get(f"{client.url}/v3/push/app", headers={"AccessId": str(ANDROID)}, timeout=10)
    assert answer.json()["ret_code"] == 1008007
