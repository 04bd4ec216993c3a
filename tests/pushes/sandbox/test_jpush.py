"""JPush from outside, by requests made here by hand."""

import base64
import json
from typing import Any

import pytest

from pushes.names import ProviderKind
from tests.pushes.sandbox.vendors import Answer, call, entered, known
from tests.sandbox_process import Sandbox

ID = "170976fa8aba0c3e5b1"
CID = "0123456789abcdef01234567-5f0c6a9b-3d4e-4f55-8a21-9c9b6d7e8f90"
KEY, SECRET = entered(ProviderKind.JPUSH).values()


class Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.pair = f"{KEY}:{SECRET}"

    def call(self, path: str, body: Any = None, method: str = "POST") -> Answer:
        basic = base64.b64encode(self.pair.encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
        return call(self.url + path, json.dumps(body), headers, method=method)

    def push(self, *ids: str, path: str = "/v3/push", **changes: Any) -> Answer:
        return self.call(path, push(*ids, **changes))

    def refusal(self, *ids: str, **changes: Any) -> tuple[int, int]:
        answer = self.push(*ids, **changes)
        return answer.status, answer.body["error"]["code"]


def push(*ids: str, **changes: Any) -> dict[str, Any]:
    android = {"alert": "内容", "title": "题", "extras": {"order": "7", "n_id": 5}}
    body: dict[str, Any] = {"platform": ["android"], "audience": {"registration_id": list(ids or [ID])}}
    return body | {"notification": {"android": android}, "options": {"time_to_live": 60}} | changes


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    known(sandbox, ProviderKind.JPUSH)
    return Client(sandbox.url)


def test_a_push_is_accepted_and_recorded(client, sandbox):
    answer = client.push()
    assert (answer.status, answer.body["sendno"]) == (200, "0")
    (entry,) = sandbox.received()
    assert answer.body["msg_id"] == entry["push_id"]
    found = (entry["token"], entry["platform"], entry["title"], entry["content"], entry["n_id"])
    assert found == (ID, "android", "题", "内容", 5)


@pytest.mark.parametrize(
    ("platform", "own", "shown"),
    [
        ("ios", {"alert": {"title": "题", "body": "内容"}, "extras": {}}, "ios"),
        ("ios", {"alert": "内容", "extras": {}}, "ios"),
        ("hmos", {"alert": "内容", "title": "题"}, "harmony"),
    ],
)
def test_every_platform_has_its_phone(client, sandbox, platform, own, shown):
    assert client.push(platform=[platform], notification={platform: own}).status == 200
    assert [(entry["platform"], entry["content"]) for entry in sandbox.received()] == [(shown, "内容")]


def test_the_same_cid_answers_the_same_and_pushes_nothing(client, sandbox):
    first = client.push(cid=CID)
    again = client.push("1" * 18, cid=CID)
    assert (again.status, again.body) == (200, first.body)
    assert [entry["token"] for entry in sandbox.received()] == [ID]
    assert client.push(cid=CID[:-1] + "1").body != first.body


def test_a_refusal_is_not_kept_under_its_cid(client, sandbox):
    assert client.refusal("dead0000aba0c3e5b1", cid=CID) == (400, 1011)
    assert client.push(cid=CID).status == 200
    assert len(sandbox.received()) == 1


def test_an_answer_that_was_lost_can_be_asked_for(client, sandbox):
    sandbox.set_profile("error500", access_id=KEY, times=1)
    assert client.push(cid=CID).status == 500
    assert client.push(cid=CID).status == client.push(cid=CID).status == 200
    assert len(sandbox.received()) == 1


def test_dead_ids_of_a_list_are_dropped_without_a_word(client, sandbox):
    answer = client.push(ID, "dead0000aba0c3e5b1", "baad0000aba0c3e5b1")
    assert (answer.status, answer.body.keys()) == (200, {"sendno", "msg_id"})
    assert [entry["token"] for entry in sandbox.received()] == [ID]
    assert client.refusal("dead0000aba0c3e5b1", "dead0000aba0c3e5b2") == (400, 1011)


def test_a_thousand_ids_are_taken_and_no_more(client, sandbox):
    ids = [f"{number:018x}" for number in range(1001)]
    assert client.push(*ids[:1000]).status == 200
    assert len(sandbox.received()) == 1000
    assert client.refusal(*ids) == (400, 1003)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"platform": ["symbian"]}, 1003),
        ({"platform": []}, 1003),
        ({"audience": {"tag": ["x"]}}, 1003),
        ({"audience": {"registration_id": []}}, 1003),
        ({"notification": None}, 1002),
        ({"notification": {"android": {}}}, 1002),
        ({"notification": {"android": {"alert": "x" * 4000}}}, 1005),
        ({"options": {"time_to_live": -1}}, 1003),
        ({"cid": "a b"}, 1003),
    ],
)
def test_a_wrong_message_is_refused(client, sandbox, changes, code):
    assert client.refusal(**changes) == (400, code)
    assert sandbox.received() == []


@pytest.mark.parametrize(
    ("prefix", "status", "code"),
    [("dead0000", 400, 1011), ("baad0000", 400, 1003), ("b0b00000", 503, 1030), ("cafe0000", 429, 2002)],
)
def test_ids_have_their_fates(client, prefix, status, code):
    assert client.refusal(prefix + "a" * 10) == (status, code)


def test_the_caller_is_checked(client):
    client.pair = f"{KEY}:{'0' * 24}"
    assert client.refusal() == (401, 1004)
    client.pair = f"{'1' * 24}:{SECRET}"
    assert client.refusal() == (400, 1008)
    client.pair = ""
    assert client.refusal() == (401, 1004)


def test_the_rate_is_told_and_limited(client, sandbox):
    sandbox.set_limit(2)
    assert client.push().headers["x-rate-limit-remaining"] == "1"
    assert client.push().headers["x-rate-limit-remaining"] == "0"
    answer = client.push()
    assert (answer.status, answer.body["error"]["code"], answer.headers["x-rate-limit-limit"]) == (429, 2002, "2")
    assert 0 < int(answer.headers["x-rate-limit-reset"]) <= 60
    assert len(sandbox.received()) == 2


def test_a_dry_run_pushes_nothing(client, sandbox):
    assert client.push(path="/v3/push/validate").status == 200
    assert client.refusal("dead0000aba0c3e5b1", path="/v3/push/validate") == (400, 1011)
    assert sandbox.received() == []


def test_cids_are_handed_out(client):
    found = client.call("/v3/push/cid?count=3&type=push", method="GET").body["cidlist"]
    assert len(set(found)) == 3
    assert all(cid.startswith(f"{KEY}-") for cid in found)
    assert client.call("/v3/push/cid?count=0", method="GET").status == 400


def test_the_fates_of_a_push_are_told(client):
    msg_id = int(client.push(ID, "dead0000aba0c3e5b1").body["msg_id"])
    ids = [ID, "dead0000aba0c3e5b1", "1" * 18]
    answer = client.call("/v3/status/message", {"msg_id": msg_id, "registration_ids": ids})
    assert [answer.body[one]["status"] for one in ids] == [0, 2, 3]


@pytest.mark.parametrize(
    ("profile", "status", "code"), [("bad_auth", 401, 1004), ("bad_token", 400, 1011), ("throttle", 429, 2002)]
)
def test_profiles(client, sandbox, profile, status, code):
    sandbox.set_profile(profile, access_id=KEY)
    assert client.refusal() == (status, code)
