import pytest

from pushes import keycheck
from pushes.names import Environment, Platform, ProviderKind, Reason
from pushes.values import Outcome, Scope, Verdict
from tests.make import make_app_key

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def key(db, sandbox):
    """A key that the sandbox knows."""
    key = make_app_key(access_id=2100000301, secret=SECRET, endpoint_url=sandbox.url)
    sandbox.add_key(key.access_id, SECRET)
    return key


@pytest.mark.parametrize("kind", [ProviderKind.XINGE_V2, ProviderKind.SANDBOX])
def test_a_good_key_is_accepted(key, kind):
    key.provider = kind
    outcome = keycheck.check(key)
    assert keycheck.is_good(outcome)
    assert keycheck.explain(outcome) == "accepted: the access id and the secret are right"


def test_a_good_key_of_tpns_is_accepted(db, sandbox):
    key = make_app_key(access_id=1500000301, secret=SECRET, endpoint_url=sandbox.url, provider=ProviderKind.TPNS)
    sandbox.add_key(1500000301, SECRET)
    assert keycheck.is_good(keycheck.check(key))


def test_a_good_key_of_ios_is_accepted(db, sandbox):
    sandbox.add_key(2200000301, SECRET)
    key = make_app_key(
        platform=Platform.IOS,
        environment=Environment.LOCAL,
        access_id=2200000301,
        secret=SECRET,
        endpoint_url=sandbox.url,
    )
    assert keycheck.is_good(keycheck.check(key))


def test_a_check_pushes_nothing(key, sandbox):
    keycheck.check(key)
    assert sandbox.received() == []


def test_a_wrong_secret_is_refused_in_the_providers_words(key):
    key.set_secret("ffffffffffffffffffffffffffffffff")
    text = keycheck.explain(keycheck.check(key))
    assert text == "refused: check the access id, the secret and the endpoint URL (-3 sign error)"


def test_nobody_there_says_so(key):
    key.endpoint_url = "http://127.0.0.1:9"
    text = keycheck.explain(keycheck.check(key))
    assert text.startswith("no connection to the provider: check the endpoint URL and the network (")


def test_a_provider_that_talks_garbage_says_so(key, sandbox):
    sandbox.set_profile("garbage", access_id=key.access_id)
    assert keycheck.explain(keycheck.check(key)).startswith("no usable answer")


def test_a_busy_provider_says_so(key, sandbox):
    sandbox.set_profile("busy503", access_id=key.access_id)
    assert keycheck.explain(keycheck.check(key)).startswith("the provider could not answer just now")


def test_a_secret_that_cannot_be_decrypted_says_so(key, settings):
    settings.ENCRYPTION_KEYS = ["a" * 43 + "="]
    outcome = keycheck.check(key)
    assert (outcome.reason, outcome.scope) == (Reason.BAD_CREDENTIALS, Scope.KEY)
    assert "cannot be decrypted" in outcome.text


def test_an_endpoint_without_a_host_says_so(key):
    key.endpoint_url = "http://"
    assert "names no host" in keycheck.explain(keycheck.check(key))


def test_an_unknown_provider_says_so(key):
    key.provider = "apns"
    assert "provider='apns' is unknown" in keycheck.explain(keycheck.check(key))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-2, "clock"),
        (-102, "clock"),
        (100, "certificate"),
        (-106, "certificate"),
        (1008023, "certificate"),
        (1008030, "paid"),
        (1008031, "paid"),
        (302, "address"),
        (404, "address"),
    ],
)
def test_known_causes_are_named(code, words):
    assert words in keycheck.explain(Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, code))


def test_any_other_refusal_is_explained_by_the_provider():
    outcome = Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, -1, "param error")
    assert keycheck.explain(outcome) == "refused for another reason (-1 param error)"


@pytest.mark.parametrize("code", [-3, -103, 20, 21, 401, 403, 1008003, 1008035, 10030002, None])
def test_another_secret_could_help_against_refused_credentials(code):
    assert keycheck.blames_the_secret(Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, code))


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Verdict.ACCEPTED),
        Outcome(Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE, -1),
        Outcome(Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY),
        Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER),
        *[
            Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, code)
            for code in (-2, -102, 100, -106, 1008013, 1008020, 1008030, 1008031, 1010001, 301, 404, 405, 410)
        ],
    ],
)
def test_no_other_secret_helps_against_anything_else(outcome):
    assert not keycheck.blames_the_secret(outcome)


def test_a_secret_that_is_not_stored_can_be_checked(key, sandbox):
    key.set_secret("f" * 32)
    assert not keycheck.is_good(keycheck.check(key))
    assert keycheck.is_good(keycheck.check_secret(key, SECRET))


def test_no_secret_shows(key):
    key.set_secret("secretsecretsecretsecretsecret00")
    assert "secretsecret" not in repr(keycheck.check(key))
