"""FCM from outside, by requests made here by hand."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from pushes.names import ProviderKind
from tests.pushes.providers.key_files import OTHER_RSA, pem_of
from tests.pushes.providers.vendors import SERVICE_ACCOUNT
from tests.pushes.sandbox.vendors import Answer, call, google_assertion, known
from tests.sandbox_process import Sandbox

PROJECT = SERVICE_ACCOUNT["project_id"]
TOKEN = "fGx:APA91b" + "x" * 130
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JSON = {"Content-Type": "application/json"}


class Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.bearer = ""

    def exchange(self, assertion: str, grant: str = GRANT) -> Answer:
        form = urlencode({"grant_type": grant, "assertion": assertion})
        return call(f"{self.url}/token", form, {"Content-Type": "application/x-www-form-urlencoded"})

    def log_in(self) -> None:
        self.bearer = self.exchange(google_assertion(SERVICE_ACCOUNT)).body["access_token"]

    def push(self, token: str = TOKEN, *, project: str = PROJECT, is_check: bool = False, **message: Any) -> Answer:
        words = {"notification": {"title": "题", "body": "内容"}, "token": token} | message
        body = json.dumps({"message": words, "validate_only": is_check})
        headers = JSON | {"Authorization": f"Bearer {self.bearer}"}
        return call(f"{self.url}/v1/projects/{project}/messages:send", body, headers)

    def refusal(self, *args: Any, **options: Any) -> tuple[int, str]:
        """The status, and the most exact word of the error."""
        answer = self.push(*args, **options)
        error = answer.body["error"]
        details = {detail["@type"].rpartition(".")[2]: detail for detail in error.get("details", [])}
        return answer.status, details.get("FcmError", {}).get("errorCode") or f"{error['status']} {sorted(details)}"


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    known(sandbox, ProviderKind.FCM)
    client = Client(sandbox.url)
    client.log_in()
    return client


def test_an_assertion_becomes_an_access_token(client):
    answer = client.exchange(google_assertion(SERVICE_ACCOUNT))
    assert answer.status == 200
    assert (answer.body["expires_in"], answer.body["token_type"]) == (3599, "Bearer")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key": pem_of(OTHER_RSA)}, "invalid_grant"),
        ({"iss": "nobody@example.com"}, "invalid_grant"),
        ({"aud": "https://example.com/token"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
def test_a_wrong_assertion_is_refused(client, changes, error):
    answer = client.exchange(google_assertion(SERVICE_ACCOUNT, **changes))
    assert (answer.status, answer.body["error"]) == (400, error)


@pytest.mark.parametrize("seconds_from_now", [{"exp": 7200}, {"iat": -7200, "exp": -3600}, {"iat": 1000}])
def test_an_assertion_for_another_time_is_refused(client, seconds_from_now):
    now = int(time.time())
    changes = {name: now + seconds for name, seconds in seconds_from_now.items()}
    answer = client.exchange(google_assertion(SERVICE_ACCOUNT, **changes))
    assert (answer.status, answer.body["error"]) == (400, "invalid_grant")


def test_what_is_no_assertion_is_refused(client):
    assert client.exchange("a.b.c").body["error"] == "invalid_grant"
    assert client.exchange("", grant="password").body["error"] == "unsupported_grant_type"


def test_a_push_is_accepted_and_recorded(client, sandbox):
    answer = client.push(data={"order": "7"}, android={"ttl": "60s", "priority": "HIGH", "notification": {"tag": "9"}})
    assert answer.status == 200
    (entry,) = sandbox.received()
    assert answer.body == {"name": f"projects/{PROJECT}/messages/{entry['push_id']}"}
    found = (entry["token"], entry["platform"], entry["title"], entry["content"], entry["custom"], entry["n_id"])
    assert found == (TOKEN, "android", "题", "内容", {"order": "7"}, 9)


def test_a_call_that_only_validates_delivers_nothing(client, sandbox):
    assert client.push(is_check=True).status == 200
    assert sandbox.received() == []


def test_the_access_token_is_checked(client, sandbox):
    assert client.refusal(project="another-shop")[0] == 403
    sandbox.expire_tokens(PROJECT)
    assert client.refusal() == (401, "UNAUTHENTICATED []")
    client.log_in()
    assert client.push().status == 200


@pytest.mark.parametrize(
    ("message", "status", "word"),
    [
        ({"data": {"n": 7}}, 400, "INVALID_ARGUMENT ['BadRequest']"),
        ({"data": {"from": "x"}}, 400, "INVALID_ARGUMENT"),
        ({"data": {"google.x": "x"}}, 400, "INVALID_ARGUMENT"),
        ({"data": {"n": "x" * 4096}}, 400, "INVALID_ARGUMENT"),
        ({"topic": "all"}, 400, "INVALID_ARGUMENT ['BadRequest']"),
        ({"android": {"ttl": "1h"}}, 400, "INVALID_ARGUMENT ['BadRequest']"),
        ({"android": {"ttl": "2419201s"}}, 400, "INVALID_ARGUMENT ['BadRequest']"),
        ({"android": {"priority": "URGENT"}}, 400, "INVALID_ARGUMENT ['BadRequest']"),
        ({"sound": "x"}, 400, "INVALID_ARGUMENT ['BadRequest']"),
    ],
)
def test_a_wrong_message_is_refused(client, sandbox, message, status, word):
    assert client.refusal(**message) == (status, word)
    assert sandbox.received() == []


@pytest.mark.parametrize(
    ("token", "status", "word"),
    [
        ("short", 400, "INVALID_ARGUMENT"),
        ("dead0000" + "x" * 130, 404, "UNREGISTERED"),
        ("baad0000" + "x" * 130, 400, "INVALID_ARGUMENT"),
        ("b0b00000" + "x" * 130, 503, "UNAVAILABLE"),
        ("cafe0000" + "x" * 130, 429, "QUOTA_EXCEEDED"),
    ],
)
def test_tokens_have_their_fates(client, token, status, word):
    assert client.refusal(token) == (status, word)


@pytest.mark.parametrize(
    ("profile", "status", "word"),
    [
        ("bad_auth", 403, "PERMISSION_DENIED []"),
        ("bad_token", 403, "SENDER_ID_MISMATCH"),
        ("throttle", 429, "QUOTA_EXCEEDED"),
    ],
)
def test_profiles(client, sandbox, profile, status, word):
    sandbox.set_profile(profile, access_id=PROJECT)
    assert client.refusal() == (status, word)


def test_a_profile_of_the_project_meets_the_exchange_too(client, sandbox):
    sandbox.set_profile("bad_auth", access_id=PROJECT)
    assert client.exchange(google_assertion(SERVICE_ACCOUNT)).body["error"] == "invalid_grant"
