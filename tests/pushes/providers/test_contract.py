"""What holds for every provider, over real HTTP, against the sandbox."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pushes.names import Environment, Platform, ProviderKind, Reason
from pushes.providers.base import HttpRequest, Provider
from pushes.providers.http import HttpWindow
from pushes.providers.registry import provider
from pushes.values import Credentials, Notification, Outcome, Scope, Verdict
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


def test_a_push_to_all_has_a_push_id(line, sandbox):
    message = line.provider.prepare(line.credentials, a_notification())
    assert line.call(line.provider.to_all(message, now=int(time.time()))).push_id
    assert [entry["token"] for entry in sandbox.received()] == ["*"]


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
        ("error500", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("busy503", Verdict.RETRY, Reason.PROVIDER_BUSY, 0),
        ("hang", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("hang_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("cut", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("cut_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("half_after", Verdict.UNKNOWN, Reason.NO_ANSWER, 1),
        ("garbage", Verdict.UNKNOWN, Reason.NO_ANSWER, 0),
        ("throttle", Verdict.RETRY, Reason.THROTTLED, 0),
        ("bad_auth", Verdict.FAILED, Reason.BAD_CREDENTIALS, 0),
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
