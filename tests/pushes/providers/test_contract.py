"""What holds for every provider, over real HTTP: against the sandbox where it plays the vendor, and against whatever a
vendor may answer."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from pushes.names import CHANNELS, WITH_ACCESS_IDS, Environment, ProviderKind, Reason, Status, UnknownPolicy
from pushes.providers import hosts
from pushes.providers.base import (
    AccessToken,
    Answer,
    CredentialsError,
    HttpRequest,
    HttpResponse,
    MessageTooLargeError,
    Provider,
    TransportFailure,
    UnsupportedCallError,
)
from pushes.providers.http import HttpWindow
from pushes.providers.registry import PROVIDERS, provider
from pushes.sending.retry import Attempt, Schedule, next_state
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict
from tests.pushes.providers.raw_server import Connection, serving
from tests.pushes.providers.vendors import SECRET, VENDORS, Vendor, Words
from tests.sandbox_process import Sandbox

NOW_SECONDS = 1_764_230_400


@dataclass
class Line:
    """A provider, a key, and a way to call the vendor with them."""

    vendor: Vendor
    provider: Provider
    credentials: Credentials
    window: HttpWindow
    #: The servers of a test's own speak HTTP/1.1: what a provider says and hears does not depend on it.
    is_played: bool = False

    @property
    def access_id(self) -> int | str:
        """The key's name in the sandbox."""
        return access_id_of(self.credentials)

    def token(self, prefix: str = "") -> str:
        return prefix + self.vendor.token[len(prefix) :]

    def becomes_impatient(self) -> None:
        """For servers that never answer."""
        self.window.close()
        self.window = HttpWindow(4, timeout_seconds=0.3)

    def call(self, request: HttpRequest) -> Outcome:
        return self.provider.read(self.answer(request))

    def answer(self, request: HttpRequest) -> Answer:
        self.window.add(None, replace(request, http2=request.http2 and self.is_played))
        ((_, answer),) = self.window.collect(60)
        return answer

    def checked(self, entered: Mapping[str, str], *, now: int) -> Outcome:
        """Check what was entered as the platform does: first get an access token, if one is needed."""
        access_id, secret = self.provider.sealed(entered)
        found = self.with_token(replace(self.credentials, access_id=access_id, secret=secret), now=now)
        if isinstance(found, Outcome):
            return found
        return self.provider.read_check(self.answer(self.provider.check(found, now=now)))

    def with_token(self, credentials: Credentials, *, now: int) -> Credentials | Outcome:
        if not self.provider.needs_access_token:
            return credentials
        found: AccessToken | HttpRequest | Outcome = self.provider.access_token(credentials, now=now)
        if isinstance(found, HttpRequest):
            found = self.provider.read_access_token(self.answer(found), now=now)
        return found if isinstance(found, Outcome) else replace(credentials, access_token=found.text)

    def push(self, token: str = "", notification: Notification | None = None) -> Outcome:
        message = self.provider.prepare(self.credentials, notification or a_notification())
        return self.call(self.provider.to_device(message, token or self.token(), now=int(time.time())))

    def request(self, token: str = "", **fields: Any) -> HttpRequest:
        """Return the call of one push, at a fixed time."""
        message = self.provider.prepare(self.credentials, a_notification(**fields))
        return self.provider.to_device(message, token or self.token(), now=NOW_SECONDS)


def a_notification(**fields) -> Notification:
    values: dict[str, Any] = {
        "title": "新订单 & =",
        "content": '内容 + "引号" 😀',
        "custom": {"order": "7"},
        "expire_seconds": 3600,
    }
    return Notification(**values | fields)


def access_id_of(credentials: Credentials) -> int | str:
    is_number = CHANNELS[ProviderKind(credentials.provider)] in WITH_ACCESS_IDS
    return int(credentials.access_id) if is_number else credentials.access_id


def line_of(vendor: Vendor, url: str = "") -> Line:
    own = provider(vendor.kind)
    access_id, secret = own.sealed(vendor.entered)
    credentials = Credentials(
        vendor.kind, access_id, url, vendor.platform, Environment.LOCAL, secret, vendor.access_token
    )
    return Line(vendor, own, credentials, HttpWindow(4, timeout_seconds=30))


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    """Every provider, under a key without an endpoint URL."""
    line = line_of(request.param)
    yield line
    line.window.close()


def line_to(vendor: Vendor, sandbox: Sandbox) -> Line:
    line = line_of(vendor, sandbox.url)
    line.is_played = True
    sandbox.add_key(line.access_id, line.credentials.secret)
    found = line.with_token(line.credentials, now=int(time.time()))
    assert isinstance(found, Credentials)
    line.credentials = found
    return line


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def played(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Line]:
    """Every provider, as the sandbox plays it, under a key that it knows."""
    line = line_to(request.param, sandbox)
    yield line
    line.window.close()


@pytest.fixture(params=[one for one in VENDORS if provider(one.kind).list_limit], ids=lambda vendor: vendor.name)
def listing(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Line]:
    """Every provider that has lists, as the sandbox plays it."""
    line = line_to(request.param, sandbox)
    yield line
    line.window.close()


@pytest.fixture(params=[one for one in VENDORS if one.has_clock], ids=lambda vendor: vendor.name)
def timed(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Line]:
    """Every provider whose calls say when they are made, as the sandbox plays it."""
    line = line_to(request.param, sandbox)
    yield line
    line.window.close()


def test_every_provider_is_put_to_the_test():
    tested = {(vendor.kind, vendor.platform) for vendor in VENDORS}
    assert tested == {(known.kind, platform) for known in PROVIDERS for platform in known.platforms}


# --- against the sandbox ----------------------------------------------------------------------------


def test_a_push_arrives_as_it_was_meant(played, sandbox):
    assert played.push(notification=a_notification(replace_id=9)).verdict is Verdict.ACCEPTED
    (entry,) = sandbox.received()
    found = (entry["token"], entry["title"], entry["content"], entry["custom"]["order"])
    assert found == (played.token(), "新订单 & =", '内容 + "引号" 😀', "7")
    assert entry["platform"] == played.credentials.platform


def test_the_largest_message_arrives(played, sandbox):
    assert played.push(notification=a_notification(content="订😀" * 2000)).verdict is Verdict.ACCEPTED
    assert sandbox.received()[0]["content"].endswith("…")


def test_a_list_arrives_at_every_token(listing, sandbox):
    tokens = [listing.token(f"{number:08x}") for number in range(listing.provider.list_limit)]
    message, now = listing.provider.prepare(listing.credentials, a_notification()), int(time.time())
    push_id = ""
    if listing.provider.lists_need_creation:
        push_id = listing.call(listing.provider.create_list(message, now=now)).push_id
        assert push_id
    assert listing.call(listing.provider.to_list(message, push_id, tokens, now=now)).verdict is Verdict.ACCEPTED
    assert [entry["token"] for entry in sandbox.received()] == tokens


def test_only_the_unknown_tokens_of_a_list_are_bad(listing, sandbox):
    """Xinge and JPush drop them silently; TPNS and Huawei name them."""
    message, now = listing.provider.prepare(listing.credentials, a_notification()), int(time.time())
    dead = listing.token("dead0000")
    push_id = ""
    if listing.provider.lists_need_creation:
        push_id = listing.call(listing.provider.create_list(message, now=now)).push_id
    outcome = listing.call(listing.provider.to_list(message, push_id, [listing.token(), dead], now=now))
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.bad_tokens == ((dead,) if listing.provider.lists_name_bad_tokens else ())
    assert [entry["token"] for entry in sandbox.received()] == [listing.token()]


def test_the_check_is_accepted_and_pushes_nothing(played, sandbox):
    assert played.checked(played.vendor.entered, now=int(time.time())).verdict is Verdict.ACCEPTED
    assert sandbox.received() == []


@pytest.mark.parametrize("change", ["wrong", "unknown"])
def test_bad_credentials_stop_the_key(played, change):
    entered = {**played.vendor.entered, **getattr(played.vendor, change)}
    outcome = played.checked(entered, now=int(time.time()))
    found = (outcome.verdict, outcome.reason, outcome.scope)
    assert found == (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
    assert outcome.blame is Blame.CREDENTIALS


def test_a_wrong_clock_stops_the_key(timed):
    outcome = timed.checked(timed.vendor.entered, now=int(time.time()) - 7200)
    assert (outcome.verdict, outcome.scope) == (Verdict.FAILED, Scope.KEY)


@pytest.mark.parametrize(
    ("prefix", "verdict", "reason"),
    [
        ("dead0000", Verdict.BAD_TARGET, Reason.BAD_TOKEN),
        ("b0b00000", Verdict.RETRY, Reason.PROVIDER_BUSY),
        ("cafe0000", Verdict.RETRY, Reason.THROTTLED),
        ("deaf0000", Verdict.UNKNOWN, Reason.NO_ANSWER),
        ("d1ed0000", Verdict.UNKNOWN, Reason.NO_ANSWER),
    ],
)
def test_tokens_have_their_fates(played, prefix, verdict, reason):
    if prefix == "deaf0000":
        played.becomes_impatient()
    outcome = played.push(played.token(prefix))
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("profile", "verdict", "reason", "recorded"),
    [
        ("error500", Verdict.UNKNOWN, Reason.PROVIDER_ERROR, 0),
        ("busy503", Verdict.RETRY, Reason.PROVIDER_BUSY, 0),
        ("hang", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("hang_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("cut", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("cut_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("half_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("garbage", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("throttle", Verdict.RETRY, Reason.THROTTLED, 0),
        ("bad_auth", Verdict.FAILED, Reason.BAD_CREDENTIALS, 0),
        ("bad_token", Verdict.BAD_TARGET, Reason.BAD_TOKEN, 0),
    ],
)
def test_faults_have_their_outcomes(played, sandbox, profile, verdict, reason, recorded):
    sandbox.set_profile(profile, access_id=played.access_id)
    if profile.startswith("hang"):
        played.becomes_impatient()
    outcome = played.push()
    assert (outcome.verdict, outcome.reason) == (verdict, reason)
    assert len(sandbox.received()) == recorded


def test_the_pause_that_the_provider_wants_is_told(played, sandbox):
    sandbox.set_profile("busy503", access_id=played.access_id, retry_after="17")
    assert played.push().retry_after_seconds == 17


def test_nothing_is_sent_twice_over_kept_connections(played, sandbox):
    """Every second answer is cut off after the push was recorded, over connections that are reused."""
    for number in range(20):
        if number % 2:
            sandbox.set_profile("cut_after", access_id=played.access_id, times=1)
        played.push(played.token(f"{number:08x}"))
    assert sandbox.counts()["repeated"] == 0
    assert len(sandbox.received()) == 20


def test_every_outcome_is_true_when_much_goes_wrong(played, sandbox):
    """Accepted: arrived once. Retry: never arrived, so that trying again cannot double it. Unknown: once or never."""
    message = played.provider.prepare(played.credentials, a_notification(replace_id=1))
    is_shared = played.provider.to_device(message, played.token("0"), now=int(time.time())).http2
    # Over HTTP/2 the end of a connection is the end of all the calls on it.
    ends = dict.fromkeys(("cut", "cut_after", "half_after"), 1 if is_shared else 8)
    rates = ends | dict.fromkeys(("error500", "busy503", "garbage", "throttle"), 8)
    sandbox.set_profile("flaky", access_id=played.access_id, rates=rates, seed=7)
    waiting, now = [played.token(f"{number:08x}") for number in range(600)], int(time.time())
    verdicts: dict[str, Verdict] = {}
    window = HttpWindow(32, timeout_seconds=30)
    while waiting or window.in_flight:
        while waiting and window.free:
            window.add(waiting[-1], played.provider.to_device(message, waiting.pop(), now=now))
        for token, answer in window.collect(30):
            verdicts[token] = played.provider.read(answer).verdict
    window.close()
    arrived = Counter(entry["token"] for entry in sandbox.received())
    assert set(arrived.values()) == {1}
    assert {arrived[token] for token, verdict in verdicts.items() if verdict is Verdict.ACCEPTED} == {1}
    assert {arrived[token] for token, verdict in verdicts.items() if verdict is Verdict.RETRY} == {0}
    assert {arrived[token] for token, verdict in verdicts.items() if verdict is Verdict.UNKNOWN} == {0, 1}
    assert len(verdicts) == 600


# --- every answer, and what it says about the push; docs/providers.md has the same table ------------


def http(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    head = b"".join(b"%b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d Some\r\n%bContent-Length: %d\r\n\r\n%b" % (status, head, len(body), body)


def said_by(words: Words) -> bytes:
    return http(words.status, words.body, *(f"{name}: {value}".encode() for name, value in words.headers.items()))


HTML = b"<html><body><h1>It is broken</h1></body></html>"
NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
ANSWERS = [
    ("200, HTML", http(200, HTML), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("200, half of JSON", http(200, b'{"ret_co'), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("200, JSON without a code", http(200, b'{"ok":true}'), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("302", http(302, HTML, b"Location: http://127.0.0.1:1/"), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("400, HTML", http(400, HTML), Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    ("401, HTML", http(401, HTML), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("403", http(403), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("404, HTML", http(404, HTML), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("408", http(408), Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET),
    ("413, HTML", http(413, HTML), Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    ("429, HTML", http(429, HTML), Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
    ("500, empty", http(500), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("500, HTML", http(500, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("502, HTML", http(502, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("503, HTML", http(503, HTML), Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY),
    ("504, HTML", http(504, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("599", http(599), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("no HTTP", b"\0\1 who are you?\r\n\r\n", Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("too long", http(200, b"x" * 70_000), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("closed", b"", Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
]


def said(line: Line, answer: bytes) -> Outcome:
    """What becomes of a push that is answered so."""

    def handle(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)

    with serving(handle) as server:
        line.credentials = replace(line.credentials, endpoint_url=server.url)
        return line.push()


def assert_true_of_itself(outcome: Outcome) -> None:
    """What any outcome keeps to, and what the row then says: only a call whose fate is unknown may have arrived, and it
    is called unknown."""
    assert (outcome.reason is None) == (outcome.verdict is Verdict.ACCEPTED)
    # Somebody is to blame exactly where the key is refused.
    assert (outcome.blame is not None) == (outcome.reason is Reason.BAD_CREDENTIALS)
    assert len(outcome.code) <= 40
    assert len(outcome.text) <= 200
    assert outcome.text.isprintable()
    attempt = Attempt(1, NOW + timedelta(days=1), UnknownPolicy.KEEP)
    state = next_state(outcome, attempt, Schedule(2, 300, 6), NOW, lambda: 0.5)
    assert state.may_have_arrived == (state.status == Status.UNKNOWN) == (outcome.verdict is Verdict.UNKNOWN)
    assert (state.status == Status.ACCEPTED) == (state.reason is None)


@pytest.mark.parametrize(
    ("answer", "verdict", "reason", "scope"), [row[1:] for row in ANSWERS], ids=[r[0] for r in ANSWERS]
)
def test_every_answer_has_its_meaning(line, answer, verdict, reason, scope):
    outcome = said(line, answer)
    assert (outcome.verdict, outcome.reason, outcome.scope) == (verdict, reason, scope)
    assert "<" not in outcome.text
    assert_true_of_itself(outcome)


def test_a_push_is_accepted_under_its_id(line):
    outcome = said(line, said_by(line.vendor.yes))
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.push_id == line.vendor.push_id
    assert_true_of_itself(outcome)


def test_an_empty_answer_says_nothing_unless_that_is_how_the_vendor_says_yes(line):
    accepted = said(line, http(200)).verdict is Verdict.ACCEPTED
    assert accepted == line.vendor.empty_is_yes


def test_half_of_a_yes_is_none(line):
    assert line.vendor.yes.body or line.vendor.empty_is_yes
    if line.vendor.empty_is_yes:  # of nothing there is no half, and the head comes whole over HTTP/2
        return
    outcome = said(line, said_by(line.vendor.yes)[:-3])
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET)


def test_a_yes_under_the_status_of_a_refusal_is_none(line):
    outcome = said(line, said_by(line.vendor.yes.under(400)))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE)


@pytest.mark.parametrize("words", ["yes", "bad_token", "bad_message"])
def test_of_a_server_that_failed_nothing_else_is_believed(line, words):
    outcome = said(line, said_by(getattr(line.vendor, words).under(500)))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET)
    assert outcome.http_status == 500
    assert outcome.text.startswith("HTTP 500 ")


@pytest.mark.parametrize(
    ("words", "verdict", "reason", "scope"),
    [
        ("bad_token", Verdict.BAD_TARGET, Reason.BAD_TOKEN, Scope.TARGET),
        ("bad_key", Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
        ("bad_message", Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
        ("throttled", Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
    ],
)
def test_the_vendors_own_refusals_have_their_meaning(line, words, verdict, reason, scope):
    refusal = getattr(line.vendor, words)
    outcome = said(line, said_by(refusal))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (verdict, reason, scope)
    assert outcome.code
    assert outcome.http_status == refusal.status
    assert_true_of_itself(outcome)


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_in_the_header_is_handed_on(line, status):
    assert said(line, http(status, b"", b"Retry-After: 17")).retry_after_seconds == 17


def test_a_reset_after_the_request_may_have_arrived(line):
    def reset(connection: Connection) -> None:
        connection.read_request()
        connection.reset()

    with serving(reset) as server:
        line.credentials = replace(line.credentials, endpoint_url=server.url)
        outcome = line.push()
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, Reason.NO_ANSWER)


def test_what_never_left_cannot_have_arrived(line):
    line.credentials = replace(line.credentials, endpoint_url="http://127.0.0.1:1")
    outcome = line.push()
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.RETRY, Reason.UNREACHABLE, Scope.KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
#: Where vendors put what they mean.
NAMES = st.sampled_from(
    [
        *("ret_code", "err_msg", "result", "push_id", "reason", "timestamp", "error", "code", "message", "status"),
        *("details", "name", "errorCode", "access_token", "expires_in", "error_description", "msg", "msg_id", "sendno"),
    ]
)
BODIES = st.binary(max_size=200) | st.one_of(
    JSON, st.dictionaries(NAMES, JSON), st.fixed_dictionaries({"error": st.dictionaries(NAMES, JSON)})
).map(lambda value: json.dumps(value).encode())


@given(
    vendor=st.sampled_from(VENDORS), status=st.sampled_from([200, 204, 400, 401, 403, 404, 410, 429, 500]), body=BODIES
)
def test_no_answer_is_too_strange(vendor, status, body):
    own = provider(vendor.kind)
    answer = HttpResponse(status, body)
    outcome = own.read(answer)
    assert_true_of_itself(outcome)
    assert outcome.verdict is not Verdict.ACCEPTED or status < 300
    assert_true_of_itself(own.read_check(answer))
    if own.needs_access_token and own.kind not in (ProviderKind.APNS, ProviderKind.HUAWEI_V3):  # which make their own
        assert isinstance(own.read_access_token(answer, now=NOW_SECONDS), AccessToken | Outcome)


# --- keys ----------------------------------------------------------------------------------------


def test_what_an_operator_enters_becomes_a_key(line):
    assert set(line.vendor.entered) == {field.name for field in line.provider.credential_fields}
    access_id, secret = line.provider.sealed(line.vendor.entered)
    assert (access_id, secret) == (line.credentials.access_id, line.credentials.secret)
    assert 0 < len(access_id) <= 128
    assert line.provider.secret_fault(secret) == ""


def test_what_is_left_out_is_named(line):
    for field in line.provider.credential_fields:
        for nothing in ("", "   "):
            with pytest.raises(CredentialsError) as caught:
                line.provider.sealed({**line.vendor.entered, field.name: nothing})
            assert caught.value.field == field.name
            assert str(caught.value)
        with pytest.raises(CredentialsError):
            line.provider.sealed({name: value for name, value in line.vendor.entered.items() if name != field.name})


def test_a_secret_is_shown_nowhere(line):
    secrets = [line.vendor.entered[field.name] for field in line.provider.credential_fields if field.is_secret]
    parts = [secret[60:90] if len(secret) > 90 else secret for secret in secrets]
    assert parts
    message = line.provider.prepare(line.credentials, a_notification())
    shown = [line.provider.sealed(line.vendor.entered), line.credentials, message, line.request()]
    shown.append(line.provider.check(line.credentials, now=NOW_SECONDS))
    for part in (*parts, line.vendor.access_token or parts[0]):
        assert [value for value in shown if part in repr(value)] == []


def test_the_check_of_a_good_key_is_accepted(line):
    outcome = line.provider.read_check(line.vendor.good_key.answer)
    assert outcome.verdict is Verdict.ACCEPTED
    assert_true_of_itself(outcome)


@pytest.mark.parametrize("words", ["bad_key", "throttled"])
def test_the_check_of_another_key_says_why_not(line, words):
    answer = getattr(line.vendor, words).answer
    assert line.provider.read_check(answer) == line.provider.read(answer)
    assert line.provider.read_check(answer).verdict is not Verdict.ACCEPTED


def test_every_call_of_a_key_without_an_endpoint_may_be_made(line, settings: Settings):
    settings.PROVIDER_HOSTS = []
    requests = [line.request(), line.provider.check(line.credentials, now=NOW_SECONDS)]
    if line.provider.needs_access_token:
        found = line.provider.access_token(line.credentials, now=NOW_SECONDS)
        requests += [found] if isinstance(found, HttpRequest) else []
    for request in requests:
        assert hosts.fault(request.url) == ""
        assert request.body


def test_every_call_of_a_key_with_an_endpoint_goes_there(line):
    line.credentials = replace(line.credentials, endpoint_url="https://relay.example.com:8443/push/")
    requests = [line.request(), line.provider.check(line.credentials, now=NOW_SECONDS)]
    if line.provider.needs_access_token:
        found = line.provider.access_token(line.credentials, now=NOW_SECONDS)
        requests += [found] if isinstance(found, HttpRequest) else []
    assert {request.url.startswith("https://relay.example.com:8443/push/") for request in requests} == {True}
    assert [request.url for request in requests if "//" in urlsplit(request.url).path] == []


# --- access tokens --------------------------------------------------------------------------------


KEYED = [vendor for vendor in VENDORS if provider(vendor.kind).needs_access_token]


@pytest.fixture(params=KEYED, ids=lambda vendor: vendor.name)
def keyed(request: pytest.FixtureRequest) -> Iterator[Line]:
    """The providers whose calls carry an access token."""
    line = line_of(request.param)
    yield line
    line.window.close()


def test_a_secret_that_another_provider_sealed_is_refused_in_words(keyed):
    for secret in ("", "{}", "[]", SECRET, '{"key_id": 7}', '{"project_id": null}'):
        assert keyed.provider.secret_fault(secret)
        with pytest.raises(ValueError, match=r"."):
            keyed.provider.access_token(replace(keyed.credentials, secret=secret), now=NOW_SECONDS)


def test_calls_carry_the_access_token(keyed):
    carried = [name for name in keyed.request().headers if keyed.vendor.access_token in name]
    assert len(carried) == 1
    assert carried[0].lower().startswith("authorization: bearer ")
    check = keyed.provider.check(keyed.credentials, now=NOW_SECONDS)
    assert carried[0] in check.headers


def test_a_prepared_message_goes_out_with_the_token_that_it_has_then(keyed):
    message = keyed.provider.prepare(replace(keyed.credentials, access_token=""), a_notification())
    renewed = replace(message, credentials=replace(keyed.credentials, access_token="another.token"))
    request = keyed.provider.to_device(renewed, keyed.token(), now=NOW_SECONDS)
    assert any(header.endswith("earer another.token") for header in request.headers)


EXCHANGES = [
    TransportFailure(True, "timed out"),
    TransportFailure(False, "refused"),
    *(HttpResponse(status, body) for status in (200, 302, 400, 401, 404, 429, 500, 503) for body in (b"", HTML, b"{}")),
]


@pytest.mark.parametrize("answer", EXCHANGES, ids=repr)
def test_asking_for_a_token_in_vain_says_nothing_of_a_push(keyed, answer):
    """The key waits, whatever the answer: nothing was pushed, so nothing is unknown, dead or broken."""
    if isinstance(keyed.provider.access_token(keyed.credentials, now=NOW_SECONDS), AccessToken):
        return  # it makes its own
    outcome = keyed.provider.read_access_token(answer, now=NOW_SECONDS)
    assert isinstance(outcome, Outcome)
    assert outcome.verdict in (Verdict.RETRY, Verdict.FAILED)
    assert outcome.scope is Scope.KEY
    assert_true_of_itself(outcome)


# --- messages --------------------------------------------------------------------------------------


def test_the_same_push_is_the_same_call(line):
    assert line.request(replace_id=7) == line.request(replace_id=7)


def test_a_huge_text_is_cut_and_nothing_else(line):
    request = line.request(content="订😀" * 4000, title="题" * 90)
    body = unquote_plus(request.body.decode())
    assert "…" in body
    assert "题" * 90 in body
    assert len(request.body) < 14_000


def test_data_that_is_too_large_is_told(line):
    with pytest.raises(MessageTooLargeError, match=str(line.provider.max_message_bytes)):
        line.request(custom={"order": "7" * 5000})


STRANGE = ["../../x", "a/b", "a?b=c", "a#b", "a b", "a%2fb", 'a"b', "a\r\nX-Evil: 1", "订单", "\ud800", "a&access_id=1"]


@pytest.mark.parametrize("token", STRANGE)
def test_a_strange_token_changes_nothing_but_itself(line, token):
    plain = line.request()
    try:
        strange = line.request(token)
    except UnicodeEncodeError:
        return
    assert strange.url.count("/") == plain.url.count("/")
    assert urlsplit(strange.url).netloc == urlsplit(plain.url).netloc
    assert (urlsplit(strange.url).query, urlsplit(strange.url).fragment) == ("", "")
    assert strange.url.isascii()
    assert strange.url.isprintable()
    assert " " not in strange.url
    assert len(strange.headers) == len(plain.headers)
    assert [header for header in strange.headers if not header.isprintable()] == []


def test_no_text_becomes_a_header_line(line):
    evil = "x\r\nX-Evil: 1"
    request = line.request(
        title=evil, content=evil, subtitle=evil, link=evil, image=evil, sound=evil, thread=evil, category=evil
    )
    assert [header for header in request.headers if not header.isprintable()] == []


def test_only_who_has_lists_makes_them(line):
    message = line.provider.prepare(line.credentials, a_notification())
    if line.provider.list_limit == 0:
        with pytest.raises(UnsupportedCallError):
            line.provider.create_list(message, now=NOW_SECONDS)
        with pytest.raises(UnsupportedCallError):
            line.provider.to_list(message, "", [line.token()], now=NOW_SECONDS)
        return
    with pytest.raises(ValueError, match="tokens: 0 given"):
        line.provider.to_list(message, "", [], now=NOW_SECONDS)
