"""APNs from outside, by requests made here by hand, over HTTP/2."""

import json
import time
from typing import Any

import pycurl
import pytest

from pushes.names import ProviderKind
from tests.pushes.providers.key_files import OTHER_P256, pem_of
from tests.pushes.sandbox.vendors import Answer, apns_token, call, known
from tests.sandbox_process import Sandbox

TOKEN = "ab" * 32
BODY = {"aps": {"alert": {"title": "题", "subtitle": "副", "body": "内容"}, "badge": 3}, "order": "7"}


class Client:
    def __init__(self, sandbox: Sandbox) -> None:
        self.url = sandbox.url
        self.jwt = apns_token()
        self.http2 = True
        self.method = "POST"

    def push(self, token: str = TOKEN, body: Any = BODY, path: str = "/3/device/", **headers: str) -> Answer:
        raw = body if isinstance(body, str) else json.dumps(body)
        sent = {"authorization": f"bearer {self.jwt}", "apns-topic": "com.higo.shop", "apns-push-type": "alert"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        return call(self.url + path + token, raw, sent, http2=self.http2, method=self.method)

    def refusal(self, *args: Any, **headers: str) -> tuple[int, str]:
        answer = self.push(*args, **headers)
        return answer.status, answer.body["reason"]


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    known(sandbox, ProviderKind.APNS)
    return Client(sandbox)


def test_a_push_is_accepted_and_recorded(client, sandbox):
    answer = client.push(apns_collapse_id="77")
    assert (answer.status, answer.body, len(answer.headers["apns-id"])) == (200, None, 36)
    (entry,) = sandbox.received()
    found = (entry["token"], entry["platform"], entry["title"], entry["content"], entry["custom"], entry["n_id"])
    assert found == (TOKEN, "ios", "题", "副\n内容", {"order": "7"}, 77)
    assert entry["push_id"] == answer.headers["apns-id"]


def test_the_callers_id_is_echoed_in_refusals_too(client):
    own = "123e4567-e89b-12d3-a456-4266554400a0"
    assert client.push(apns_id=own).headers["apns-id"] == own
    assert client.push("baad0000" + "0" * 56, apns_id=own).headers["apns-id"] == own


def test_a_token_is_the_same_in_either_letter_case(client, sandbox):
    assert client.push(TOKEN.upper()).status == 200
    assert len(sandbox.received(token=TOKEN)) == 1


def test_http_1_is_not_spoken(client):
    client.http2 = False
    assert client.push().status == 505


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"authorization": ""}, 403, "MissingProviderToken"),
        ({"authorization": "bearer a.b"}, 403, "InvalidProviderToken"),
        ({"authorization": "bearer a.b.c"}, 403, "InvalidProviderToken"),
        ({"apns_topic": ""}, 400, "MissingTopic"),
        ({"apns_topic": "com.higo.other"}, 400, "TopicDisallowed"),
        ({"apns_push_type": "loud"}, 400, "InvalidPushType"),
        ({"apns_push_type": "background"}, 400, "BadPriority"),
        ({"apns_priority": "7"}, 400, "BadPriority"),
        ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
        ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
        ({"apns_id": "7"}, 400, "BadMessageId"),
    ],
)
def test_headers_are_checked(client, sandbox, change, status, reason):
    assert client.refusal(**change) == (status, reason)
    assert sandbox.received() == []


@pytest.mark.parametrize("token", ["", "ab" * 31, "xy" * 32, "a" * 65])
def test_the_shape_of_a_token_is_checked(client, token):
    assert client.refusal(token) == (400, "BadDeviceToken" if token else "MissingDeviceToken")


def test_path_method_payload_and_size_are_checked(client):
    assert client.refusal(path="/3/devices/") == (404, "BadPath")
    assert client.refusal(body="") == (400, "PayloadEmpty")
    assert client.refusal(body="[1]") == (400, "PayloadEmpty")
    frame = len(json.dumps({"aps": {"alert": ""}}))
    assert client.push(body={"aps": {"alert": "x" * (4096 - frame)}}).status == 200
    assert client.refusal(body={"aps": {"alert": "x" * (4097 - frame)}}) == (413, "PayloadTooLarge")
    client.method = "PUT"
    assert client.refusal() == (405, "MethodNotAllowed")


def test_a_voip_push_goes_to_its_own_topic_and_may_be_larger(client):
    body = {"aps": {"alert": "x" * 4500}}
    assert client.push(body=body, apns_push_type="voip", apns_topic="com.higo.shop.voip").status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": pem_of(OTHER_P256)},
        {"team": "ZZZ999ZZZZ"},
        {"key_id": "ZZZ999ZZZZ"},
    ],
)
def test_another_signature_team_or_key_is_refused(client, wrong):
    client.jwt = apns_token(**wrong)
    assert client.refusal() == (403, "InvalidProviderToken")


def test_a_token_from_a_clock_that_is_ahead_is_refused(client):
    client.jwt = apns_token(iat=time.time() + 4000)
    assert client.refusal() == (403, "InvalidProviderToken")


def test_a_token_older_than_an_hour_has_expired(client):
    client.jwt = apns_token(iat=time.time() - 3590)
    assert client.push().status == 200
    client.jwt = apns_token(iat=time.time() - 3610)
    assert client.refusal() == (403, "ExpiredProviderToken")


def test_two_tokens_of_one_key_within_20_minutes_are_too_many(client):
    first, now = client.jwt, time.time()
    assert client.push().status == 200
    client.jwt = apns_token(iat=now - 600)
    assert client.refusal() == (429, "TooManyProviderTokenUpdates")
    assert client.refusal() == (429, "TooManyProviderTokenUpdates")
    client.jwt = first
    assert client.push().status == 200
    client.jwt = apns_token(iat=now - 1300)
    assert client.push().status == 200


def test_tokens_that_are_declared_old_are_refused_and_new_ones_taken(client, sandbox):
    assert client.push().status == 200
    sandbox.expire_tokens("ABC123DEFG")
    assert client.refusal() == (403, "ExpiredProviderToken")
    client.jwt = apns_token(iat=time.time() - 1500)
    assert client.push().status == 200


@pytest.mark.parametrize(
    ("prefix", "status", "reason"),
    [
        ("baad0000", 400, "BadDeviceToken"),
        ("b0b00000", 503, "ServiceUnavailable"),
        ("cafe0000", 429, "TooManyRequests"),
    ],
)
def test_tokens_have_their_fates(client, sandbox, prefix, status, reason):
    assert client.refusal(prefix + "0" * 56) == (status, reason)
    assert sandbox.received() == []


def test_a_dead_token_says_since_when(client):
    before = time.time() - 1
    answer = client.push("dead0000" + "0" * 56)
    assert (answer.status, answer.body["reason"]) == (410, "Unregistered")
    assert before <= answer.body["timestamp"] / 1000 <= time.time() + 1
    assert client.push(f"dead00000a9e{1_600_000_000:08x}" + "0" * 44).body["timestamp"] == 1_600_000_000_000


def test_a_push_is_recorded_and_the_connection_cut(client, sandbox):
    with pytest.raises(pycurl.error):
        client.push("d1ed0000" + "0" * 56)
    assert len(sandbox.received()) == 1


@pytest.mark.parametrize(
    ("profile", "status", "reason"),
    [
        ("bad_auth", 403, "InvalidProviderToken"),
        ("bad_token", 400, "BadDeviceToken"),
        ("throttle", 429, "TooManyRequests"),
    ],
)
def test_profiles(client, sandbox, profile, status, reason):
    sandbox.set_profile(profile, access_id="ABC123DEFG")
    assert client.refusal() == (status, reason)


@pytest.mark.parametrize("profile", ["refused_stream", "goaway"])
def test_what_is_refused_unread_is_not_recorded(client, sandbox, profile):
    """libcurl itself tries a refused stream again, so the fault lasts."""
    sandbox.set_profile(profile, access_id="ABC123DEFG")
    with pytest.raises(pycurl.error):
        client.push()
    assert sandbox.received() == []
    sandbox.set_profile("ok", access_id="ABC123DEFG")
    assert client.push().status == 200


def test_calls_are_counted_under_one_path(client, sandbox):
    client.push()
    client.push("cd" * 32)
    assert sandbox.stats()["by_path"] == {"/3/device/": 2}
