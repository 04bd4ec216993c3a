"""What holds for every provider, over real HTTP, against the sandbox."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pushes.names import Environment, Platform, ProviderKind, Reason, Status, UnknownPolicy
from pushes.providers.base import HttpRequest, Provider
from pushes.providers.http import HttpWindow
from pushes.providers.registry import provider
from pushes.sending.retry import Attempt, Schedule, next_state
from pushes.values import Blame, Credentials, Notification, Outcome, Scope, Verdict
from tests.pushes.providers.raw_server import Connection, serving
from tests.sandbox_process import Sandbox

SECRET = "fedcba9876543210fedcba9876543210"
KINDS = [
    (ProviderKind.XINGE_V2, Platform.ANDROID, 2100000101, 40),
    (ProviderKind.XINGE_V2, Platform.IOS, 2200000101, 64),
    (ProviderKind.SANDBOX, Platform.ANDROID, 2100000102, 40),
    (ProviderKind.SANDBOX, Platform.IOS, 2200000102, 64),
    (ProviderKind.TPNS, Platform.ANDROID, 1500000101, 36),
    (ProviderKind.TPNS, Platform.IOS, 1600000101, 36),
]


@dataclass
class Line:
    """A provider, a key, and a way to call the sandbox with them."""

    provider: Provider
    credentials: Credentials
    window: HttpWindow
    token_length: int

    def token(self, prefix: str = "") -> str:
        return prefix.ljust(self.token_length, "7")

    def becomes_impatient(self) -> None:
        """For servers that never answer."""
        self.window.close()
        self.window = HttpWindow(4, timeout_seconds=0.3)

    def call(self, request: HttpRequest) -> Outcome:
        self.window.add(None, request)
        ((_, answer),) = self.window.collect(60)
        return self.provider.read(answer)

    def push(self, token: str = "", notification: Notification | None = None) -> Outcome:
        message = self.provider.prepare(self.credentials, notification or a_notification())
        return self.call(self.provider.to_device(message, token or self.token(), now=int(time.time())))


def a_notification(**fields) -> Notification:
    values: dict[str, Any] = {
        "title": "新订单 & =",
        "content": '内容 + "引号" 😀',
        "custom": {"order": "7"},
        "expire_seconds": 3600,
    }
    return Notification(**values | fields)


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def line(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Line]:
    kind, platform, access_id, length = request.param
    sandbox.add_key(access_id, SECRET)
    credentials = Credentials(kind, access_id, sandbox.url, platform, Environment.LOCAL, SECRET)
    window = HttpWindow(4, timeout_seconds=30)
    line = Line(provider(kind), credentials, window, length)
    yield line
    line.window.close()


def test_every_provider_is_put_to_the_test():
    assert {kind for kind, *_rest in KINDS} == set(ProviderKind)


def test_a_push_arrives_as_it_was_meant(line, sandbox):
    assert line.push(notification=a_notification(replace_id=9)).verdict is Verdict.ACCEPTED
    (entry,) = sandbox.received()
    found = (entry["token"], entry["title"], entry["content"], entry["custom"]["order"])
    assert found == (line.token(), "新订单 & =", '内容 + "引号" 😀', "7")
    assert entry["platform"] == line.credentials.platform


def test_the_largest_message_arrives(line, sandbox):
    assert line.push(notification=a_notification(content="订😀" * 2000)).verdict is Verdict.ACCEPTED
    assert sandbox.received()[0]["content"].endswith("…")


def test_a_list_arrives_at_every_token(line, sandbox):
    tokens = [line.token(f"{number:08x}") for number in range(line.provider.list_limit)]
    message, now = line.provider.prepare(line.credentials, a_notification()), int(time.time())
    push_id = ""
    if line.provider.lists_need_creation:
        push_id = line.call(line.provider.create_list(message, now=now)).push_id
        assert push_id
    assert line.call(line.provider.to_list(message, push_id, tokens, now=now)).verdict is Verdict.ACCEPTED
    assert [entry["token"] for entry in sandbox.received()] == tokens


def test_only_the_unknown_tokens_of_a_list_are_bad(line, sandbox):
    """Xinge drops them silently; TPNS names them."""
    message, now = line.provider.prepare(line.credentials, a_notification()), int(time.time())
    dead = line.token("dead0000")
    push_id = ""
    if line.provider.lists_need_creation:
        push_id = line.call(line.provider.create_list(message, now=now)).push_id
    outcome = line.call(line.provider.to_list(message, push_id, [line.token(), dead], now=now))
    assert outcome.verdict is Verdict.ACCEPTED
    assert outcome.bad_tokens == ((dead,) if line.provider.kind == ProviderKind.TPNS else ())
    assert [entry["token"] for entry in sandbox.received()] == [line.token()]


def test_the_check_is_accepted_and_pushes_nothing(line, sandbox):
    outcome = line.call(line.provider.check(line.credentials, now=int(time.time())))
    assert outcome.verdict is Verdict.ACCEPTED
    assert sandbox.received() == []


@pytest.mark.parametrize("change", [{"secret": "wrong"}, {"access_id": 2100009999}])
def test_bad_credentials_stop_the_key(line, change):
    bad = replace(line.credentials, **change)
    outcome = line.call(line.provider.check(bad, now=int(time.time())))
    found = (outcome.verdict, outcome.reason, outcome.scope)
    assert found == (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
    assert outcome.blame is Blame.CREDENTIALS


def test_a_wrong_clock_stops_the_key(line):
    outcome = line.call(line.provider.check(line.credentials, now=int(time.time()) - 3600))
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
def test_tokens_have_their_fates(line, prefix, verdict, reason):
    if prefix == "deaf0000":
        line.becomes_impatient()
    outcome = line.push(line.token(prefix))
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
def test_faults_have_their_outcomes(line, sandbox, profile, verdict, reason, recorded):
    sandbox.set_profile(profile, access_id=line.credentials.access_id)
    if profile.startswith("hang"):
        line.becomes_impatient()
    outcome = line.push()
    assert (outcome.verdict, outcome.reason) == (verdict, reason)
    assert len(sandbox.received()) == recorded


def test_the_pause_that_the_provider_wants_is_told(line, sandbox):
    sandbox.set_profile("busy503", access_id=line.credentials.access_id, retry_after="17")
    assert line.push().retry_after_seconds == 17


def test_nothing_is_sent_twice_over_kept_connections(line, sandbox):
    """Every second answer is cut off after the push was recorded, over connections that are reused."""
    for number in range(20):
        if number % 2:
            sandbox.set_profile("cut_after", access_id=line.credentials.access_id, times=1)
        line.push(line.token(f"{number:08x}"))
    assert sandbox.counts()["repeated"] == 0
    assert len(sandbox.received()) == 20


def test_every_outcome_is_true_when_much_goes_wrong(line, sandbox):
    """Accepted: arrived once. Retry: never arrived, so that trying again cannot double it. Unknown: once or never."""
    rates = {"cut": 8, "cut_after": 8, "half_after": 8, "error500": 8, "busy503": 8, "garbage": 8, "throttle": 8}
    sandbox.set_profile("flaky", access_id=line.credentials.access_id, rates=rates, seed=7)
    message = line.provider.prepare(line.credentials, a_notification(replace_id=1))
    waiting, now = [line.token(f"{number:08x}") for number in range(600)], int(time.time())
    verdicts: dict[str, Verdict] = {}
    window = HttpWindow(32, timeout_seconds=30)
    while waiting or window.in_flight:
        while waiting and window.free:
            window.add(waiting[-1], line.provider.to_device(message, waiting.pop(), now=now))
        for token, answer in window.collect(30):
            verdicts[token] = line.provider.read(answer).verdict
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


HTML = b"<html><body><h1>It is broken</h1></body></html>"
NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
ANSWERS = [
    ("200, code 0", http(200, b'{"ret_code":0}'), Verdict.ACCEPTED, None, Scope.TARGET),
    ("200, empty", http(200), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("200, HTML", http(200, HTML), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("200, half of JSON", http(200, b'{"ret_co'), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("200, JSON without a code", http(200, b'{"ok":true}'), Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("302", http(302, HTML, b"Location: http://127.0.0.1:1/"), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("400, HTML", http(400, HTML), Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    ("400, code 0", http(400, b'{"ret_code":0}'), Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    ("401, HTML", http(401, HTML), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("403", http(403), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("404, HTML", http(404, HTML), Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY),
    ("408", http(408), Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.TARGET),
    ("413, HTML", http(413, HTML), Verdict.FAILED, Reason.BAD_PAYLOAD, Scope.MESSAGE),
    ("429, HTML", http(429, HTML), Verdict.RETRY, Reason.THROTTLED, Scope.KEY),
    ("500, empty", http(500), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("500, HTML", http(500, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("500, a code", http(500, b'{"ret_code":40}'), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("500, code 0", http(500, b'{"ret_code":0}'), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("502, HTML", http(502, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("503, HTML", http(503, HTML), Verdict.RETRY, Reason.PROVIDER_BUSY, Scope.KEY),
    ("504, HTML", http(504, HTML), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("599", http(599), Verdict.UNKNOWN, Reason.PROVIDER_ERROR, Scope.TARGET),
    ("no HTTP", b"\0\1 who are you?\r\n\r\n", Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
    ("half an answer", http(200, b'{"ret_code":0}')[:-3], Verdict.UNKNOWN, Reason.NO_ANSWER, Scope.TARGET),
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


@pytest.mark.parametrize(
    ("answer", "verdict", "reason", "scope"), [row[1:] for row in ANSWERS], ids=[r[0] for r in ANSWERS]
)
def test_every_answer_has_its_meaning(line, answer, verdict, reason, scope):
    outcome = said(line, answer)
    assert (outcome.verdict, outcome.reason, outcome.scope) == (verdict, reason, scope)
    assert "<" not in outcome.text
    # Somebody is to blame exactly where the key is refused.
    assert (outcome.blame is not None) == (reason is Reason.BAD_CREDENTIALS)
    # What the row then says of itself: only a call whose fate is unknown may have arrived, and it is called unknown.
    attempt = Attempt(1, NOW + timedelta(days=1), UnknownPolicy.KEEP)
    state = next_state(outcome, attempt, Schedule(2, 300, 6), NOW, lambda: 0.5)
    assert state.may_have_arrived == (state.status == Status.UNKNOWN) == (verdict is Verdict.UNKNOWN)
    assert (state.status == Status.ACCEPTED) == (state.reason is None)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_servers_error_is_told_as_such_with_its_words(line, status):
    outcome = said(line, http(status, b'{"ret_code":15,"err_msg":"<b>database</b> is down","errMsg":""}'))
    assert (outcome.code, outcome.http_status) == (None, status)
    assert outcome.text.startswith(f"HTTP {status} ")
    assert outcome.text.endswith(": database is down")


def test_of_a_request_that_was_wrong_the_providers_own_code_says_what(line):
    code = 1008029 if line.provider.kind == ProviderKind.TPNS else 40
    outcome = said(line, http(400, b'{"ret_code":%d,"err_msg":"token"}' % code))
    assert (outcome.verdict, outcome.reason) == (Verdict.BAD_TARGET, Reason.BAD_TOKEN)
    assert (outcome.code, outcome.http_status) == (code, 400)


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
