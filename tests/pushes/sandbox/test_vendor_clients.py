"""The vendors' own clients push through the sandbox: what they accept, reject and retry is what ours must live with."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aioapns
import aioapns.connection
import jpush
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account
from jpush import common

from pushes.names import ProviderKind
from tests.environment import ends
from tests.pushes.providers.key_files import OTHER_P256, OTHER_RSA, P256, pem_of
from tests.pushes.providers.vendors import SERVICE_ACCOUNT
from tests.pushes.sandbox.node_apn import push_by_node
from tests.pushes.sandbox.vendors import entered, known
from tests.sandbox_process import Sandbox, running_sandbox

APNS_TOKEN = "ab" * 32
DEAD = "dead0000" + "0" * 56
REGISTRATION = "fGx:APA91b" + "x" * 130
ID = "170976fa8aba0c3e5b1"
TOPIC = "com.higo.shop"


@pytest.fixture(scope="module")
def secure_process() -> Sandbox:
    return ends.enter_context(running_sandbox(tls=True))


@pytest.fixture
def secure(secure_process: Sandbox) -> Sandbox:
    """A sandbox that speaks TLS, too, and has received nothing yet."""
    secure_process.reset()
    return secure_process


# --- aioapns -------------------------------------------------------------------------------------


@pytest.fixture
def apple(secure: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox in the place of Apple's host."""
    known(secure, ProviderKind.APNS)
    protocol = aioapns.connection.APNsProductionClientProtocol
    monkeypatch.setattr(protocol, "APNS_SERVER", "localhost")
    monkeypatch.setattr(protocol, "APNS_PORT", int(secure.tls_url.rpartition(":")[2]))
    return secure


def by_aioapns(sandbox: Sandbox, *tokens: str, key: str = "", attempts: int = 1, **fields: Any) -> list[Any]:
    """The answers to one push to each token, all at once over one connection."""

    async def push() -> list[Any]:
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        context.set_alpn_protocols(["h2"])
        who = entered(ProviderKind.APNS)
        client = aioapns.APNs(
            key=key or pem_of(P256),
            key_id=who["key_id"],
            team_id=who["team_id"],
            topic=TOPIC,
            max_connections=1,
            max_connection_attempts=attempts,
            ssl_context=context,
        )
        message = {"aps": {"alert": {"title": "题", "body": "内容"}}}
        requests = [aioapns.NotificationRequest(token, message, **fields) for token in tokens]
        try:
            return await asyncio.gather(
                *(client.send_notification(request) for request in requests), return_exceptions=True
            )
        finally:
            client.pool.close()
            await asyncio.sleep(0.05)

    return asyncio.run(push())


def test_aioapns_pushes(apple):
    (answer,) = by_aioapns(apple, APNS_TOKEN)
    assert answer.is_successful
    (entry,) = apple.received()
    assert (entry["token"], entry["title"], entry["content"]) == (APNS_TOKEN, "题", "内容")


def test_aioapns_pushes_many_at_once_over_one_connection(apple):
    tokens = [f"{number:064x}" for number in range(200)]
    assert all(answer.is_successful for answer in by_aioapns(apple, *tokens))
    assert sorted(entry["token"] for entry in apple.received()) == tokens


def test_aioapns_waits_until_it_may_open_more_than_one_stream(apple):
    apple.set_first_streams(1)
    tokens = [f"{number:064x}" for number in range(200)]
    assert all(answer.is_successful for answer in by_aioapns(apple, *tokens))
    assert sorted(entry["token"] for entry in apple.received()) == tokens


def test_aioapns_understands_refusals(apple):
    dead, bad = by_aioapns(apple, DEAD, "baad0000" + "0" * 56)
    assert (dead.status, dead.description, dead.timestamp > 1_700_000_000_000) == ("410", "Unregistered", True)
    assert (bad.status, bad.description) == ("400", "BadDeviceToken")


def test_aioapns_hears_of_a_wrong_topic(apple):
    (answer,) = by_aioapns(apple, APNS_TOKEN, apns_topic="com.higo.other")
    assert (answer.status, answer.description) == ("400", "TopicDisallowed")


def test_aioapns_with_a_new_token_for_each_client_is_told_to_keep_one(apple, monkeypatch):
    """It makes one for each connection, ours one for all machines."""
    (first,) = by_aioapns(apple, APNS_TOKEN)
    monkeypatch.setattr(aioapns.connection, "time", SimpleNamespace(time=lambda: time.time() - 60))
    (answer,) = by_aioapns(apple, APNS_TOKEN)
    assert first.is_successful
    assert (answer.status, answer.description) == ("429", "TooManyProviderTokenUpdates")


def test_aioapns_with_the_key_of_another_is_refused(apple):
    (answer,) = by_aioapns(apple, APNS_TOKEN, key=pem_of(OTHER_P256))
    assert (answer.status, answer.description) == ("403", "InvalidProviderToken")


def test_aioapns_tries_again_when_the_connection_goes_away(apple):
    apple.set_profile("goaway", access_id="ABC123DEFG", times=1)
    (answer,) = by_aioapns(apple, APNS_TOKEN, attempts=2)
    assert answer.is_successful
    assert len(apple.received()) == 1


def test_aioapns_doubles_a_push_whose_answer_was_cut_off_which_ours_must_not(apple):
    apple.set_profile("cut_after", access_id="ABC123DEFG", times=1)
    (answer,) = by_aioapns(apple, APNS_TOKEN, attempts=2)
    assert answer.is_successful
    assert len(apple.received()) == 2


# --- google-auth ---------------------------------------------------------------------------------


@pytest.fixture
def google(secure: Sandbox) -> Iterator[AuthorizedSession]:
    """A session of google-auth, whose access tokens come from the sandbox, by TLS."""
    known(secure, ProviderKind.FCM)
    session = google_session(secure)
    yield session
    session.close()


def google_session(sandbox: Sandbox, **changes: str) -> AuthorizedSession:
    account = SERVICE_ACCOUNT | {"token_uri": f"{sandbox.tls_url}/token"} | changes
    scopes = ["https://www.googleapis.com/auth/firebase.messaging"]
    credentials = service_account.Credentials.from_service_account_info(account, scopes=scopes)
    request = Request()
    session = AuthorizedSession(credentials, auth_request=request)
    for one in (request.session, session):
        one.trust_env, one.verify = False, sandbox.ca_file
    ends.callback(request.session.close)
    return session


def by_google(session: AuthorizedSession, sandbox: Sandbox, token: str) -> Any:
    message = {"message": {"token": token, "notification": {"title": "题", "body": "内容"}}}
    project = SERVICE_ACCOUNT["project_id"]
    return session.post(f"{sandbox.tls_url}/v1/projects/{project}/messages:send", json=message, timeout=10)


def test_google_auth_gets_a_token_and_pushes(google, secure):
    answer = by_google(google, secure, REGISTRATION)
    assert (answer.status_code, list(answer.json())) == (200, ["name"])
    (entry,) = secure.received()
    assert (entry["token"], entry["title"], entry["content"]) == (REGISTRATION, "题", "内容")


def test_google_auth_renews_a_token_that_was_refused(google, secure):
    assert by_google(google, secure, REGISTRATION).status_code == 200
    secure.expire_tokens(SERVICE_ACCOUNT["project_id"])
    assert by_google(google, secure, REGISTRATION).status_code == 200
    assert secure.stats()["by_path"]["/token"] == 2
    assert len(secure.received()) == 2


def test_google_auth_hears_of_a_dead_token(google, secure):
    answer = by_google(google, secure, "dead0000" + "x" * 130)
    assert (answer.status_code, answer.json()["error"]["details"][0]["errorCode"]) == (404, "UNREGISTERED")


def test_google_auth_with_the_key_of_another_gets_no_token(secure):
    known(secure, ProviderKind.FCM)
    session = google_session(secure, private_key=pem_of(OTHER_RSA))
    with pytest.raises(RefreshError, match="invalid_grant"):
        by_google(session, secure, REGISTRATION)
    session.close()


# --- jpush ---------------------------------------------------------------------------------------


@pytest.fixture
def jiguang(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """JPush's client, whose calls go to the sandbox."""
    known(sandbox, ProviderKind.JPUSH)
    monkeypatch.setitem(common.ZONES["DEFAULT"], "PUSH", f"{sandbox.url}/v3/")
    client = jpush.JPush(*entered(ProviderKind.JPUSH).values())
    yield client
    client.session.close()


def by_jpush(client: Any, *ids: str, cid: str | None = None) -> Any:
    push = client.create_push()
    push.audience = jpush.audience(jpush.registration_id(*ids))
    push.notification = jpush.notification(android=jpush.android(alert="内容", title="题", extras={"order": "7"}))
    push.platform = jpush.platform("android")
    push.options = {"time_to_live": 60}
    push.cid = cid
    return push


def test_jpush_pushes(jiguang, sandbox):
    answer = by_jpush(jiguang, ID).send()
    assert answer.status_code == 200
    (entry,) = sandbox.received()
    found = (entry["token"], entry["title"], entry["content"], entry["custom"], entry["push_id"])
    assert found == (ID, "题", "内容", {"order": "7"}, answer.payload["msg_id"])


def test_jpush_pushes_once_under_one_cid(jiguang, sandbox):
    (cid,) = jiguang.create_push().get_cid(1, "push").payload["cidlist"]
    first, again = (by_jpush(jiguang, ID, cid=cid).send() for _ in range(2))
    assert first.payload == again.payload
    assert len(sandbox.received()) == 1


def test_jpush_examines_a_push(jiguang, sandbox):
    assert by_jpush(jiguang, ID).send_validate().status_code == 200
    assert sandbox.received() == []


def test_jpush_understands_refusals(jiguang):
    with pytest.raises(common.JPushFailure) as caught:
        by_jpush(jiguang, "dead0000aba0c3e5b1").send()
    assert caught.value.error_code == 1011


def test_jpush_with_a_wrong_secret_is_refused(jiguang):
    wrong = jpush.JPush(entered(ProviderKind.JPUSH)["app_key"], "0" * 24)
    with pytest.raises(common.Unauthorized):
        by_jpush(wrong, ID).send()
    wrong.session.close()


# --- node-apn ------------------------------------------------------------------------------------


def test_node_apn_pushes(secure: Sandbox, tmp_path: Path) -> None:
    known(secure, ProviderKind.APNS)
    answers = push_by_node(secure, tmp_path, [APNS_TOKEN, DEAD])
    assert [sent["device"] for sent in answers["sent"]] == [APNS_TOKEN]
    (dead,) = answers["failed"]
    assert (dead["device"], dead["status"], dead["response"]["reason"]) == (DEAD, 410, "Unregistered")
    assert [entry["title"] for entry in secure.received()] == ["题"]
