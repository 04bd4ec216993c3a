import threading
import time

import pytest
from pytest_django import Settings

from pushes.keys import check
from pushes.names import App, Environment, Platform, ProviderKind, Reason
from pushes.providers.base import Sealed
from pushes.values import Blame, Outcome, Scope, Verdict
from tests.make import make_app_key
from tests.pushes.providers.raw_server import Connection, serving

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def key(db, sandbox):
    """A key that the sandbox knows."""
    key = make_app_key(access_id=2100000301, secret=SECRET, endpoint_url=sandbox.url)
    sandbox.add_key(int(key.access_id), SECRET)
    return key


@pytest.mark.parametrize("kind", [ProviderKind.XINGE_V2, ProviderKind.SANDBOX])
def test_a_good_key_is_accepted(key, kind):
    key.provider = kind
    outcome = check.check(key)
    assert check.is_good(outcome)
    assert check.explain(outcome) == "the provider accepted these credentials"


def test_a_good_key_of_tpns_is_accepted(db, sandbox):
    key = make_app_key(access_id=1500000301, secret=SECRET, endpoint_url=sandbox.url, provider=ProviderKind.TPNS)
    sandbox.add_key(1500000301, SECRET)
    assert check.is_good(check.check(key))


def test_a_good_key_of_ios_is_accepted(db, sandbox):
    sandbox.add_key(2200000301, SECRET)
    key = make_app_key(
        platform=Platform.IOS,
        environment=Environment.LOCAL,
        access_id=2200000301,
        secret=SECRET,
        endpoint_url=sandbox.url,
    )
    assert check.is_good(check.check(key))


def test_a_check_pushes_nothing(key, sandbox):
    check.check(key)
    assert sandbox.received() == []


def test_a_wrong_secret_is_refused_in_the_providers_words(key):
    key.set_secret("ffffffffffffffffffffffffffffffff")
    text = check.explain(check.check(key))
    assert text == "refused: check the credentials and the endpoint URL (-3 sign error)"


def test_nobody_there_says_so(key):
    key.endpoint_url = "http://127.0.0.1:9"
    text = check.explain(check.check(key))
    assert text.startswith("no connection to the provider: check the endpoint URL and the network (")


def test_a_provider_that_talks_garbage_says_so(key, sandbox):
    sandbox.set_profile("garbage", access_id=int(key.access_id))
    assert check.explain(check.check(key)).startswith("no usable answer")


def test_a_busy_provider_says_so(key, sandbox):
    sandbox.set_profile("busy503", access_id=int(key.access_id))
    assert check.explain(check.check(key)).startswith("the provider could not answer: try again later")


def test_a_secret_that_cannot_be_decrypted_says_so(key, settings):
    settings.ENCRYPTION_KEYS = ["a" * 43 + "="]
    outcome = check.check(key)
    assert (outcome.reason, outcome.scope) == (Reason.BAD_CREDENTIALS, Scope.KEY)
    assert "cannot be decrypted" in outcome.text


def test_an_endpoint_without_a_host_says_so(key):
    key.endpoint_url = "http://"
    assert "names no host" in check.explain(check.check(key))


def test_an_unknown_provider_says_so(key):
    key.provider = "pigeon"
    assert "provider='pigeon' is unknown" in check.explain(check.check(key))


@pytest.mark.parametrize(
    ("blame", "words"),
    [
        (Blame.CREDENTIALS, "credentials"),
        (Blame.CLOCK, "clock"),
        (Blame.CERTIFICATE, "certificate"),
        (Blame.APP, "paid"),
        (Blame.ENDPOINT, "address"),
    ],
)
def test_what_is_to_blame_is_named(blame, words):
    assert words in check.explain(Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, blame=blame))


def test_an_access_id_is_judged_by_its_provider(key):
    key.access_id = "2200000001"
    assert "an iOS app" in check.doubt(key)
    key.provider = "pigeon"
    assert "'pigeon' is unknown" in check.doubt(key)


def test_any_other_refusal_is_explained_by_the_provider():
    outcome = Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, "-1", "param error")
    assert check.explain(outcome) == "refused for another reason (-1 param error)"


def test_a_secret_that_is_not_stored_can_be_checked(key, sandbox):
    key.set_secret("f" * 32)
    assert not check.is_good(check.check(key))
    assert check.is_good(check.check_secret(key, Sealed(str(key.access_id), SECRET)))


def test_no_secret_shows(key):
    key.set_secret("secretsecretsecretsecretsecret00")
    assert "secretsecret" not in repr(check.check(key))


# --- how long, how many, and where to -------------------------------------------------------------


def drip(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    for _ in range(600):
        connection.send(b"x")
        time.sleep(0.1)


def test_a_provider_that_drips_is_waited_for_no_longer_than_one_that_is_silent(key, settings: Settings):
    settings.CALL_TIMEOUT_SECONDS = 0.5
    with serving(drip) as server:
        key.endpoint_url = server.url
        started = time.monotonic()
        outcome = check.check(key)
    assert time.monotonic() - started < 1
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, Reason.NO_ANSWER)


def test_the_third_check_is_turned_away_at_once_and_a_place_becomes_free_again(key, settings: Settings, sandbox):
    settings.CALL_TIMEOUT_SECONDS = 1.5
    with serving(drip) as server:
        slow = make_app_key(App.HIGIRL, endpoint_url=server.url)
        waiting = [threading.Thread(target=check.check, args=[slow]) for _ in range(2)]
        for thread in waiting:
            thread.start()
        while server.connections < 2:
            time.sleep(0.01)
        started = time.monotonic()
        for again in (check.check, check.check_old):
            with pytest.raises(check.BusyError, match="Two checks are already running"):
                again(key)
        assert time.monotonic() - started < 0.2
        for thread in waiting:
            thread.join()
    assert check.is_good(check.check(key))


def test_many_keys_are_checked_in_the_time_of_one(settings: Settings, db):
    settings.CALL_TIMEOUT_SECONDS = 0.5
    with serving(drip) as server:
        keys = [make_app_key(app, platform, endpoint_url=server.url) for app in App for platform in Platform]
        started = time.monotonic()
        outcomes = check.check_all(keys)
    assert time.monotonic() - started < 1.2
    assert [outcome.reason for outcome in outcomes] == [Reason.NO_ANSWER] * len(keys)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://user:pw@127.0.0.1/", "http://127.0.0.1.evil.test"])
def test_an_endpoint_that_is_not_allowed_is_not_called(key, url: str):
    key.endpoint_url = url
    outcome = check.check(key)
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.FAILED, Reason.ENDPOINT_REFUSED, Scope.KEY)
    assert check.explain(outcome).startswith("not checked: the endpoint is not allowed")
    assert outcome.blame is None


def test_of_an_answer_only_a_short_clean_text_is_shown(key):
    words = (
        '{"ret_code":-3,"err_msg":"<script>alert(1)</script><b>sign</b> error\\u202e\\r\\n\\u0000' + "x" * 500 + '"}'
    )

    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(words)}\r\n\r\n{words}".encode())

    with serving(answer) as server:
        key.endpoint_url = server.url
        outcome = check.check(key)
    assert outcome.text.startswith("alert(1) sign error xxxx")
    assert len(outcome.text) == 200


def test_the_words_of_another_server_than_a_provider_are_not_shown(key):
    """What an internal service says to a stranger must not be read through the console."""
    for body in (b"root:x:0:0:root", b"<html>internal wiki: password 1234</html>", b'["secret"]'):

        def answer(connection: Connection, body: bytes = body) -> None:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        with serving(answer) as server:
            key.endpoint_url = server.url
            said = check.explain(check.check(key))
        assert said == (
            "no usable answer: check that the endpoint URL speaks this provider's protocol "
            "(HTTP 200 without a readable answer)"
        )
