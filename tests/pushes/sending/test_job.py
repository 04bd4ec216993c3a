"""The send job against the real sandbox provider, over real HTTP."""

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings
from redis import Redis, RedisError

from higo_push.running.processes import free_port
from pushes.history.timeline import timeline
from pushes.keys import gate, pausing
from pushes.ledger import claims
from pushes.models import AppKey, DeliveryResult, Device, DeviceEvent, MultiPush, PushRecord
from pushes.names import DeviceEventKind, Platform, PushType, Reason, Status
from pushes.people import directory
from pushes.people.directory import TableDirectory
from pushes.providers.base import HttpRequest, PreparedMessage
from pushes.providers.sandbox import SandboxProvider
from pushes.providers.xinge_v2 import XingeMessage
from pushes.sending import job
from pushes.sending.job import deliver
from pushes.text import notes
from pushes.upkeep.sweep import sweep
from pushes.values import Credentials, Notification
from pushes.workers import threads
from tests.make import make_account, make_app_key, make_device, make_secret, make_token
from tests.pushes.rows import make_delivery, make_record
from tests.sandbox_process import Sandbox
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
ORDER, CHAT, DEFAULT = PushType.NEW_ORDER, PushType.CHAT, PushType.DEFAULT  # resend; keep and presence; keep


def make_key(sandbox: Sandbox, platform: Platform = Platform.ANDROID, **fields: Any) -> AppKey:
    """An app key that the sandbox knows. Xinge tells the platform by the access id."""
    secret = make_secret()
    key = make_app_key(platform=platform, endpoint_url=sandbox.url, secret=secret, **fields)
    key.access_id = str(int(key.access_id) + (100_000_000 if platform == Platform.IOS else 0))
    key.save()
    sandbox.add_key(int(key.access_id), secret)
    return key


def due(key: AppKey, record: PushRecord | None = None, *, token: str = "", **fields: Any) -> DeliveryResult:
    """A delivery under `key` to a device of its own."""
    device = make_device(make_account(), token=token, platform=key.platform)
    return make_delivery(record, device, app_key_id=key.pk, **fields)


def send(*rows: DeliveryResult) -> list[tuple[str, str]]:
    """Deliver the rows in one job; their states and reasons after it."""
    deliver([row.pk for row in rows])
    return states(*rows)


def states(*rows: DeliveryResult) -> list[tuple[str, str]]:
    for row in rows:
        row.refresh_from_db()
    return [(row.status, row.reason) for row in rows]


def arrived(sandbox: Sandbox, *rows: DeliveryResult) -> list[int]:
    """How often each row's token was reached."""
    tokens = [entry["token"] for entry in sandbox.received()]
    return [tokens.count(row.token) for row in rows]


def bad_token(start: str) -> str:
    """A token that the sandbox treats by its first letters."""
    return start + make_token()[len(start) :]


ACCEPTED = (Status.ACCEPTED, "")


# --- what is sent -----------------------------------------------------------------------------


def test_a_push_reaches_the_phone_and_its_row_says_so(sandbox: Sandbox):
    row = due(make_key(sandbox), make_record(text="您有新的订单", title="订单", push_type=5, data={"id": 9}))
    assert send(row) == [ACCEPTED]
    [entry] = sandbox.received()
    assert (entry["token"], entry["title"], entry["content"]) == (row.token, "订单", "您有新的订单")
    assert (entry["custom"], entry["n_id"]) == ({"id": "9", "type": "5"}, row.record_id)
    assert (row.attempts, row.claim, row.lease_until, row.provider_code) == (1, "", None, "0")
    assert row.sent_at is not None
    assert row.finished_at is not None
    assert row.sent_at <= row.finished_at


def test_many_different_pushes_each_arrive_once(sandbox: Sandbox):
    key = make_key(sandbox)
    rows = [due(key) for _ in range(150)]
    assert set(send(*rows)) == {ACCEPTED}
    assert arrived(sandbox, *rows) == [1] * 150


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_to_end_finishes_its_calls_and_begins_no_more(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch, run_jobs
):
    monkeypatch.setattr(threads._Process, "workshop", None)
    settings.SEND_CONCURRENCY, settings.SEND_THREADS = 10, 1
    key = make_key(sandbox)
    rows = [due(key) for _ in range(50)]
    sandbox.set_latency(500)
    workshop = threads.start(1)
    threads.send(deliver, [row.pk for row in rows], threads.Stream("loose"))
    while not DeliveryResult.objects.filter(status=Status.SENDING).exists():
        time.sleep(0.01)
    threads.end()
    workshop.drain()
    assert sorted(states(*rows)) == [ACCEPTED] * 10 + [(Status.RETRYING, Reason.THROTTLED)] * 40
    # Whoever is there finds the rest due at once, and nobody's.
    monkeypatch.setattr(threads._Process, "workshop", None)
    sandbox.set_latency(0)
    sweep()
    run_jobs()
    assert set(states(*rows)) == {ACCEPTED}
    assert arrived(sandbox, *rows) == [1] * 50


def test_ios_and_android_go_under_their_own_keys_in_one_job(sandbox: Sandbox):
    android, ios = make_key(sandbox), make_key(sandbox, Platform.IOS)
    rows = [due(android), due(ios, token=make_token().rjust(64, "0"))]
    assert send(*rows) == [ACCEPTED, ACCEPTED]
    assert {entry["platform"] for entry in sandbox.received()} == {"android", "ios"}


def test_a_job_that_runs_twice_sends_once(sandbox: Sandbox):
    row = due(make_key(sandbox))
    send(row)
    assert deliver([row.pk]) == 0
    assert arrived(sandbox, row) == [1]


@pytest.mark.django_db(transaction=True)
def test_two_workers_with_the_same_job_send_once(sandbox: Sandbox):
    key = make_key(sandbox)
    rows = [due(key) for _ in range(40)]
    together([lambda: deliver([row.pk for row in rows])] * 2)
    assert set(states(*rows)) == {ACCEPTED}
    assert arrived(sandbox, *rows) == [1] * 40


def test_nothing_is_sent_after_its_expiry(sandbox: Sandbox):
    now = timezone.now()
    late, early = (
        due(make_key(sandbox), expires_at=now),
        make_delivery(status=Status.HELD, due_at=now + timedelta(minutes=1)),
    )
    assert deliver([late.pk, early.pk]) == 0
    assert sandbox.received() == []


def test_a_job_costs_the_same_number_of_queries_whatever_its_size(sandbox: Sandbox, django_assert_max_num_queries):
    key = make_key(sandbox)
    for size in (2, 100):
        rows = [due(key) for _ in range(size)]
        with django_assert_max_num_queries(20):
            deliver([row.pk for row in rows])
        assert set(states(*rows)) == {ACCEPTED}


# --- one message to many ----------------------------------------------------------------------


def test_one_message_to_many_is_created_once_and_sent_as_a_list(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    rows = [due(key, record) for _ in range(5)]
    assert set(send(*rows)) == {ACCEPTED}
    assert arrived(sandbox, *rows) == [1] * 5
    created = MultiPush.objects.get(record=record, app_key=key)
    assert {entry["push_id"] for entry in sandbox.received()} == {created.push_id}


class YesMan(BaseHTTPRequestHandler):
    """A gateway that says yes to everything and forgets the push id."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.answer()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> bytes:
        return b'{"ret_code": 0}'

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@contextlib.contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a gateway that answers so."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_list_that_was_created_without_an_id_is_tried_again():
    with ThreadingHTTPServer(("127.0.0.1", 0), YesMan) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        key = make_app_key(endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        record = make_record()
        rows = [due(key, record) for _ in range(3)]
        deliver([row.pk for row in rows])
        server.shutdown()
    assert not MultiPush.objects.exists()
    found = DeliveryResult.objects.values_list("status", "reason", "provider_text").distinct()
    assert list(found) == [(Status.RETRYING, Reason.PROVIDER_BUSY, "created without a push id")]


def test_a_later_job_uses_the_message_that_an_earlier_one_created(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    for _ in range(2):
        send(*[due(key, record) for _ in range(3)])
    assert len({entry["push_id"] for entry in sandbox.received()}) == 1
    assert MultiPush.objects.count() == 1


def test_a_created_message_that_the_provider_does_not_know_any_more_is_created_again(sandbox: Sandbox):
    """As after the key got another access id: the message itself is fine, and its record must not be halted."""
    key, record = make_key(sandbox), make_record()
    send(*[due(key, record) for _ in range(3)])
    MultiPush.objects.update(push_id="1")
    rows, later = [due(key, record) for _ in range(3)], due(key, record, due_at=timezone.now() + timedelta(hours=1))
    assert send(*rows) == [(Status.RETRYING, Reason.PROVIDER_BUSY)] * 3
    assert states(later) == [(Status.PENDING, "")]
    DeliveryResult.objects.filter(status=Status.RETRYING).update(due_at=timezone.now())
    assert send(*rows) == [ACCEPTED] * 3
    assert arrived(sandbox, *rows) == [1] * 3


class Verbose(YesMan):
    """A gateway whose push ids fit into no column."""

    def answer(self) -> bytes:
        return b'{"ret_code": 0, "result": {"push_id": "%s"}}' % (b"7" * 70)


def test_a_list_that_was_created_with_an_id_too_long_to_keep_is_tried_again():
    with answering(Verbose) as url:
        key, record = make_app_key(endpoint_url=url), make_record()
        rows = [due(key, record) for _ in range(3)]
        send(*rows)
    assert {(row.status, row.attempts) for row in rows} == {(Status.RETRYING, 1)}


class Babbler(YesMan):
    """A gateway that answers with a code that is none."""

    def answer(self) -> bytes:
        return b'{"ret_code": 9000000000}'


def test_a_code_beyond_every_column_is_no_answer_and_harms_no_other_push():
    with answering(Babbler) as url:
        key = make_app_key(endpoint_url=url)
        rows = [due(key, make_record(push_type=DEFAULT)) for _ in range(3)]
        assert set(send(*rows)) == {(Status.UNKNOWN, Reason.NO_ANSWER)}


class Fussy(YesMan):
    """A gateway that creates every message and refuses every list."""

    def answer(self) -> bytes:
        if self.path.endswith("create_multipush"):
            return b'{"ret_code": 0, "result": {"push_id": "7"}}'
        return b'{"ret_code": -1, "err_msg": "param error"}'


def test_a_list_that_is_refused_right_after_its_creation_halts_its_record():
    with ThreadingHTTPServer(("127.0.0.1", 0), Fussy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        key = make_app_key(endpoint_url=f"http://127.0.0.1:{server.server_address[1]}")
        record = make_record()
        rows = [due(key, record) for _ in range(3)]
        later = due(key, record, due_at=timezone.now() + timedelta(hours=1))
        deliver([row.pk for row in rows])
        server.shutdown()
    assert set(states(*rows, later)) == {(Status.FAILED, Reason.BAD_PAYLOAD)}


def test_each_key_creates_a_message_of_its_own(sandbox: Sandbox):
    record, keys = make_record(), (make_key(sandbox), make_key(sandbox, Platform.IOS))
    rows = [due(key, record, token=make_token().rjust(40 + 24 * n, "0")) for n, key in enumerate(keys) for _ in "abc"]
    assert set(send(*rows)) == {ACCEPTED}
    assert MultiPush.objects.count() == 2


def test_a_message_to_a_few_goes_to_each_alone(sandbox: Sandbox, settings: Settings):
    settings.MULTI_PUSH_LEAST = 4
    key, record = make_key(sandbox), make_record()
    rows = [due(key, record) for _ in range(3)]
    assert set(send(*rows)) == {ACCEPTED}
    assert MultiPush.objects.count() == 0


def test_a_list_that_is_refused_for_a_token_goes_out_one_by_one(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    wrong = due(key, record, token="no-token-at-all")
    rows = [due(key, record) for _ in range(4)]
    assert send(wrong, *rows) == [(Status.FAILED, Reason.BAD_TOKEN), *[ACCEPTED] * 4]
    assert arrived(sandbox, wrong, *rows) == [0, 1, 1, 1, 1]
    assert list(Device.objects.filter(is_active=False).values_list("token", flat=True)) == ["no-token-at-all"]


def test_a_refused_list_that_cannot_be_sent_one_by_one_goes_back(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    """The provider has said that it took none of them."""
    key, record = make_key(sandbox), make_record(push_type=DEFAULT)
    rows = [due(key, record, token="no-token-at-all"), *(due(key, record) for _ in range(4))]
    admit, asked = gate.admit, list[int]()

    def once(key_id: int, wanted: int, rate: int | None) -> gate.Admission:
        if asked:
            raise RedisError("away")
        asked.append(wanted)
        return admit(key_id, wanted, rate)

    with monkeypatch.context() as patch:
        patch.setattr(gate, "admit", once)
        with pytest.raises(RedisError):
            deliver([row.pk for row in rows])
    assert set(states(*rows)) == {(Status.RETRYING, Reason.CUT_OFF)}
    assert {row.attempts for row in rows} == {0}


def test_one_by_one_keeps_to_the_keys_rate(sandbox: Sandbox):
    key, record = make_key(sandbox, rate_per_second=4), make_record()
    rows = [due(key, record, token="no-token-at-all"), *(due(key, record) for _ in range(11))]
    after = send(*rows)
    assert sum(arrived(sandbox, *rows)) <= 4
    waiting = [row for row, state in zip(rows, after, strict=True) if state == (Status.RETRYING, Reason.THROTTLED)]
    assert len(waiting) >= 8
    assert {row.attempts for row in waiting} == {0}


def test_credentials_refused_when_the_list_is_created_pause_the_key(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    sandbox.add_key(int(key.access_id), make_secret())
    rows = [due(key, record) for _ in range(3)]
    assert set(send(*rows)) == {(Status.RETRYING, Reason.BAD_CREDENTIALS)}
    assert {row.attempts for row in rows} == {0}
    key.refresh_from_db()
    assert key.is_paused


def test_a_servers_error_when_the_list_is_created_is_told_as_such_and_has_pushed_nothing(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    sandbox.set_profile("error500", access_id=int(key.access_id))
    rows = [due(key, record) for _ in range(3)]
    assert set(send(*rows)) == {(Status.RETRYING, Reason.PROVIDER_ERROR)}
    assert {(row.http_status, row.may_have_arrived) for row in rows} == {(500, False)}


def test_a_list_that_could_not_be_created_counts_as_an_attempt(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record()
    sandbox.set_profile("busy503", access_id=int(key.access_id))
    rows = [due(key, record) for _ in range(3)]
    assert set(send(*rows)) == {(Status.RETRYING, Reason.PROVIDER_BUSY)}
    assert {row.attempts for row in rows} == {1}
    sandbox.set_profile("ok", access_id=int(key.access_id))
    gate.forget(key.pk)
    DeliveryResult.objects.update(due_at=timezone.now())
    assert set(send(*rows)) == {ACCEPTED}


@pytest.mark.usefixtures("impatient")
def test_a_list_whose_creation_got_no_answer_is_simply_tried_again(sandbox: Sandbox):
    key, record = make_key(sandbox), make_record(push_type=DEFAULT)
    sandbox.set_profile("hang", access_id=int(key.access_id))
    rows = [due(key, record) for _ in range(3)]
    assert {status for status, _ in send(*rows)} == {Status.RETRYING}
    assert sandbox.received() == []


# --- bad tokens and bad messages --------------------------------------------------------------


def test_a_dead_token_is_deactivated_alone_and_with_its_history(sandbox: Sandbox):
    key = make_key(sandbox)
    owner = make_account()
    kept = make_device(owner)
    dead, fine = due(key, token=bad_token("dead0000")), make_delivery(None, kept, app_key_id=key.pk)
    assert send(dead, fine) == [(Status.FAILED, Reason.BAD_TOKEN), ACCEPTED]
    device = Device.objects.get(is_active=False)
    assert (device.token, device.deactivated_reason) == (dead.token, Reason.BAD_TOKEN)
    event = DeviceEvent.objects.get()
    assert (event.device, event.event, event.reason) == (device, DeviceEventKind.DEACTIVATED, Reason.BAD_TOKEN)
    assert str(dead.provider_code) in event.detail


def test_a_message_that_cannot_be_written_fails_alone_and_touches_no_token(sandbox: Sandbox):
    key = make_key(sandbox)
    poison = make_record(data={"x": "y" * 5_000})
    bad, fine = [due(key, poison) for _ in range(4)], [due(key) for _ in range(3)]
    assert send(*bad, *fine) == [(Status.FAILED, Reason.BAD_PAYLOAD)] * 4 + [ACCEPTED] * 3
    assert not Device.objects.filter(is_active=False).exists()
    key.refresh_from_db()
    assert not key.is_paused


def test_the_rest_of_a_poisoned_record_is_spared(sandbox: Sandbox):
    key = make_key(sandbox)
    poison = make_record(data={"x": "y" * 5_000})
    first, later = due(key, poison), due(key, poison)
    send(first)
    assert states(later) == [(Status.FAILED, Reason.BAD_PAYLOAD)]


class PoisonedSandbox(SandboxProvider):
    """It breaks over one message and over one token, as a fault of ours would."""

    def prepare(self, credentials: Credentials, notification: Notification) -> XingeMessage:
        if notification.content == "poison":
            raise ZeroDivisionError("poison")
        return super().prepare(credentials, notification)

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        if token.startswith("poison"):
            raise ZeroDivisionError("poison")
        return super().to_device(message, token, now=now)


def test_what_the_program_breaks_over_fails_alone(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job, "provider", lambda _kind: PoisonedSandbox())
    key = make_key(sandbox)
    message, token = due(key, make_record(text="poison")), due(key, token=bad_token("poison"))
    assert send(message, token, due(key)) == [(Status.FAILED, Reason.BAD_PAYLOAD)] * 2 + [ACCEPTED]
    assert (message.attempts, token.attempts, token.provider_text) == (1, 1, "ZeroDivisionError: poison")
    assert not Device.objects.filter(is_active=False).exists()


# --- a key that says no -----------------------------------------------------------------------


def test_a_bad_secret_stops_only_its_own_key(sandbox: Sandbox):
    """A paused key never delays another, and its own pushes wait without burning attempts."""
    good, bad = make_key(sandbox), make_key(sandbox, Platform.IOS)
    sandbox.add_key(int(bad.access_id), make_secret())
    under_good = [due(good) for _ in range(20)]
    under_bad = [due(bad, token=make_token().rjust(64, "0")) for _ in range(20)]
    mixed = [row for pair in zip(under_bad, under_good, strict=True) for row in pair]
    send(*mixed)
    assert set(states(*under_good)) == {ACCEPTED}
    assert set(states(*under_bad)) == {(Status.RETRYING, Reason.BAD_CREDENTIALS)}
    assert {row.attempts for row in under_bad} == {0}
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.is_paused, bad.is_paused) == (False, True)
    assert str(under_bad[0].provider_code) in bad.paused_reason

    more = [due(bad, token=make_token().rjust(64, "0")) for _ in range(3)]
    assert set(send(*more)) == {(Status.RETRYING, Reason.KEY_PAUSED)}
    assert set(send(*[due(good) for _ in range(3)])) == {ACCEPTED}


@pytest.mark.django_db(transaction=True)
def test_what_waited_for_a_paused_key_goes_out_once_it_is_resumed(sandbox: Sandbox, run_jobs):
    key, right = make_key(sandbox), make_secret()
    sandbox.add_key(int(key.access_id), right)
    rows = [due(key) for _ in range(5)]
    send(*rows)
    assert sweep() is not None
    assert run_jobs() == 0

    key.refresh_from_db()
    key.set_secret(right)
    key.save()
    pausing.resume_key(key)
    sweep()
    run_jobs()
    assert set(states(*rows)) == {ACCEPTED}
    assert {row.attempts for row in rows} == {1}


def test_an_unreadable_secret_pauses_the_key_and_its_pushes_wait(sandbox: Sandbox, settings: Settings):
    key = make_key(sandbox)
    row = due(key)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert send(row) == [(Status.RETRYING, Reason.KEY_PAUSED)]
    key.refresh_from_db()
    assert "ENCRYPTION_KEYS" in notes.english(key.paused_reason)
    assert sandbox.received() == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"endpoint_url": "http://"}, "names no host"), ({"provider": "pigeon"}, "'pigeon' is unknown")],
)
def test_a_key_that_no_call_can_be_written_for_is_paused_and_its_pushes_wait(wrong: dict[str, Any], words: str):
    key = make_app_key(**wrong)
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.KEY_PAUSED)]
    assert row.attempts == 0
    key.refresh_from_db()
    assert words in notes.english(key.paused_reason)


@pytest.mark.parametrize(
    "endpoint",
    ["http://例子.test", "http://127.0.0.1.evil.test", "http://user:pw@127.0.0.1:9", "http://169.254.169.254/latest"],
)
def test_under_an_endpoint_that_is_not_allowed_pushes_wait_and_nothing_is_called(endpoint: str):
    key = make_app_key(endpoint_url=endpoint)
    row, other = due(key, make_record(push_type=DEFAULT)), due(key)
    assert send(row, other) == [(Status.RETRYING, Reason.ENDPOINT_REFUSED)] * 2
    assert (row.attempts, row.may_have_arrived) == (0, False)
    assert timezone.now() < row.due_at < row.expires_at
    key.refresh_from_db()
    assert not key.is_paused
    assert not Device.objects.filter(is_active=False).exists()


def test_what_waited_for_its_endpoint_to_be_allowed_is_sent_then(sandbox: Sandbox, settings: Settings):
    allowed, settings.PROVIDER_HOSTS = settings.PROVIDER_HOSTS, []
    key = make_key(sandbox)
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.ENDPOINT_REFUSED)]
    settings.PROVIDER_HOSTS = allowed
    DeliveryResult.objects.update(due_at=timezone.now())
    assert send(row) == [ACCEPTED]


def test_under_a_disabled_or_removed_key_nothing_is_sent(sandbox: Sandbox):
    disabled, removed = make_key(sandbox), make_key(sandbox, Platform.IOS)
    rows = [due(disabled), due(removed)]
    AppKey.objects.filter(pk=disabled.pk).update(is_enabled=False)
    AppKey.objects.filter(pk=removed.pk).delete()
    assert send(*rows) == [(Status.SKIPPED, Reason.NO_APP_KEY)] * 2
    assert {row.finished_at is None for row in rows} == {False}


@pytest.mark.parametrize("push_type", [ORDER, CHAT])
def test_a_servers_error_is_told_as_such_wherever_the_row_is_read(sandbox: Sandbox, push_type: PushType):
    """Status, reason, the provider's words and "may have arrived" say the same; an order is sent again, a chat not."""
    key = make_key(sandbox)
    record = make_record(push_type=push_type, message_id="order-7", accounts=["7"])
    row = make_delivery(record, make_device(make_account("7")), app_key_id=key.pk)
    sandbox.set_profile("error500", access_id=int(key.access_id))
    status = Status.RETRYING if push_type == ORDER else Status.UNKNOWN
    assert send(row) == [(status, Reason.PROVIDER_ERROR)]
    assert (row.may_have_arrived, row.http_status) == (True, 500)
    found = timeline("7", "order-7")
    assert found.outcome == status.value
    assert "server error" in found.summary
    assert "the provider said: HTTP 500 Internal Server Error" in found.summary
    assert "never came" not in found.summary
    assert [step.may_have_arrived for step in found.steps if step.code == status.value] == [True]


# --- throttled, busy, unreachable -------------------------------------------------------------


def test_throttled_is_not_failed(sandbox: Sandbox):
    row = due(make_key(sandbox), token=bad_token("cafe0000"))
    assert send(row) == [(Status.RETRYING, Reason.THROTTLED)]
    assert row.attempts == 0
    assert row.due_at > timezone.now()


def test_the_pause_that_a_provider_asks_for_is_kept_by_everybody(sandbox: Sandbox, settings: Settings):
    key = make_key(sandbox)
    settings.BREAKER_BASE_SECONDS = 30.0  # Xinge asks for a pause without saying for how long
    sandbox.set_profile("throttle", access_id=int(key.access_id))
    send(due(key))
    calls = sandbox.stats()["requests"]
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.THROTTLED)]
    assert sandbox.stats()["requests"] == calls
    assert 20 < (row.due_at - timezone.now()).total_seconds() < 31


def test_the_delay_that_a_busy_provider_names_is_honoured(sandbox: Sandbox):
    key = make_key(sandbox)
    sandbox.set_profile("busy503", access_id=int(key.access_id), retry_after="77")
    row = due(key)
    send(row)
    assert 70 < (row.due_at - timezone.now()).total_seconds() < 78


def test_a_busy_provider_is_asked_again_later(sandbox: Sandbox):
    key = make_key(sandbox)
    sandbox.set_profile("busy503", access_id=int(key.access_id), times=1)
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.PROVIDER_BUSY)]
    assert row.attempts == 1
    DeliveryResult.objects.update(due_at=timezone.now())
    assert send(row) == [ACCEPTED]
    assert row.attempts == 2


def test_without_a_connection_the_push_never_left(settings: Settings):
    key = make_app_key(endpoint_url=f"http://127.0.0.1:{free_port()}")
    row = due(key, make_record(push_type=DEFAULT))
    assert send(row) == [(Status.RETRYING, Reason.UNREACHABLE)]


def test_the_last_attempt_ends_it(settings: Settings):
    settings.MAX_ATTEMPTS = 3
    row = due(make_app_key(endpoint_url=f"http://127.0.0.1:{free_port()}"), attempts=2)
    assert send(row) == [(Status.FAILED, Reason.TOO_MANY_ATTEMPTS)]


def test_an_unreachable_provider_trips_the_breaker_and_then_is_left_in_peace(settings: Settings):
    settings.BREAKER_FAILURES = 5
    key = make_app_key(endpoint_url=f"http://127.0.0.1:{free_port()}")
    send(*[due(key) for _ in range(5)])
    assert gate.state(key.pk).is_tripped
    row = due(key)
    assert send(row) == [(Status.RETRYING, Reason.THROTTLED)]
    assert row.attempts == 0


def test_a_single_probe_closes_the_breaker(sandbox: Sandbox, settings: Settings, redis_client: Redis):
    settings.BREAKER_FAILURES = 2
    key = make_key(sandbox)
    sandbox.set_profile("busy503", access_id=int(key.access_id))
    send(due(key), due(key))
    sandbox.set_profile("ok", access_id=int(key.access_id))
    redis_client.hset(gate.KEY.format(key_id=key.pk), "open_until", "0")  # its time is over
    rows = [due(key) for _ in range(10)]
    assert sorted(send(*rows)) == sorted([ACCEPTED, *[(Status.RETRYING, Reason.THROTTLED)] * 9])
    assert not gate.state(key.pk).is_tripped


def test_what_a_halted_job_leaves_is_due_again_although_the_key_is_open_by_then(sandbox: Sandbox, settings: Settings):
    """A pause that is over before the job looks again must not leave rows pending that no job is about."""
    settings.SEND_CONCURRENCY = settings.SEND_THREADS = settings.BREAKER_FAILURES = 1
    settings.BREAKER_BASE_SECONDS = 0.0
    key = make_key(sandbox)
    sandbox.set_profile("busy503", access_id=int(key.access_id))
    rows = [due(key) for _ in range(3)]
    assert send(*rows)[1:] == [(Status.RETRYING, Reason.THROTTLED)] * 2
    assert all(row.due_at <= timezone.now() for row in rows[1:])


def test_rows_that_cannot_be_claimed_do_not_make_the_windows_small(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    settings.SEND_CONCURRENCY, settings.SEND_THREADS = 4, 1
    windows: list[int] = []
    claim = claims.claim

    def counted(ids: Sequence[int], **options: Any) -> Any:
        windows.append(len(ids))
        return claim(ids, **options)

    monkeypatch.setattr(claims, "claim", counted)
    key = make_key(sandbox)
    over = [due(key, status=Status.ACCEPTED) for _ in range(3)]
    rows = [due(key) for _ in range(9)]
    assert send(*over, *rows) == [ACCEPTED] * 12
    assert windows == [4, 4, 4]


def test_a_rate_lets_the_first_through_and_spreads_the_rest(sandbox: Sandbox):
    key = make_key(sandbox, rate_per_second=5)
    rows = [due(key) for _ in range(25)]
    after = send(*rows)
    assert after.count(ACCEPTED) <= 6
    waiting = sorted(row.due_at for row in rows if row.status == Status.RETRYING)
    assert {row.reason for row in rows if row.status == Status.RETRYING} == {Reason.THROTTLED}
    assert timedelta(seconds=2.5) < waiting[-1] - waiting[0] < timedelta(seconds=6)


# --- an unknown fate --------------------------------------------------------------------------


@pytest.fixture
def impatient(settings: Settings, own_connections: None) -> None:
    """Connections of this test's own, which wait for an answer no longer than this."""
    settings.CALL_TIMEOUT_SECONDS = 0.5


@pytest.mark.usefixtures("impatient")
def test_a_call_without_an_answer_ends_as_unknown_when_a_loss_is_better(sandbox: Sandbox):
    row = due(make_key(sandbox), make_record(push_type=DEFAULT), token=bad_token("deaf0000"))
    assert send(row) == [(Status.UNKNOWN, Reason.NO_ANSWER)]
    assert row.finished_at is not None


def test_it_is_sent_again_under_the_same_id_when_a_duplicate_is_better(sandbox: Sandbox):
    row = due(make_key(sandbox), make_record(push_type=ORDER), token=bad_token("d1ed0000"))
    assert send(row) == [(Status.RETRYING, Reason.NO_ANSWER)]
    DeliveryResult.objects.update(due_at=timezone.now())
    send(row)
    entries = sandbox.received(token=row.token)
    assert len(entries) == 2
    assert {entry["n_id"] for entry in entries} == {row.record_id}


@pytest.mark.parametrize("profile", ["cut_after", "half_after", "garbage", "error500"])
def test_an_answer_that_says_nothing_is_never_sent_again_in_secret(sandbox: Sandbox, profile: str):
    key = make_key(sandbox)
    sandbox.set_profile(profile, access_id=int(key.access_id))
    row = due(key, make_record(push_type=DEFAULT))
    assert send(row)[0][0] == Status.UNKNOWN
    assert arrived(sandbox, row)[0] <= 1


@pytest.mark.usefixtures("impatient")
def test_calls_that_an_error_left_under_way_answer_to_nobody_else(
    sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job, "SETTLE_SIZE", 1)
    settings.MAX_ATTEMPTS = "broken"  # the first outcome to be judged raises while the other call still hangs
    key = make_key(sandbox)
    busy = due(key, make_record(push_type=ORDER), token=bad_token("b0b00000"))
    hanging = due(key, make_record(push_type=ORDER), token=bad_token("deaf0000"))
    with pytest.raises(TypeError):
        deliver([busy.pk, hanging.pk])
    settings.MAX_ATTEMPTS = 6
    # The hanging call had the number 1 in its window, and this one has 0: the next job must know of no other.
    assert send(due(key, make_record(push_type=DEFAULT))) == [ACCEPTED]
    assert {status for status, _ in states(hanging, busy)} == {Status.SENDING}


def test_what_may_have_arrived_is_remembered_whatever_the_next_attempt_comes_to(sandbox: Sandbox, settings: Settings):
    settings.MAX_ATTEMPTS = 2
    key = make_key(sandbox)
    lost, gone = (due(key, make_record(push_type=ORDER), token=bad_token("d1ed0000")) for _ in range(2))
    assert send(lost, gone) == [(Status.RETRYING, Reason.NO_ANSWER)] * 2
    assert lost.may_have_arrived
    sandbox.set_profile("busy503", access_id=int(key.access_id))
    gate.forget(key.pk)
    DeliveryResult.objects.update(due_at=timezone.now())
    Device.objects.filter(token=gone.token).update(is_active=False)
    assert send(lost, gone) == [(Status.FAILED, Reason.TOO_MANY_ATTEMPTS), (Status.SKIPPED, Reason.NO_DEVICE)]
    assert lost.may_have_arrived
    assert gone.may_have_arrived


def test_what_certainly_did_not_arrive_says_nothing_of_the_kind(sandbox: Sandbox):
    key = make_key(sandbox)
    rows = [due(key), due(key, token=bad_token("dead0000")), due(key, token=bad_token("b0b00000"))]
    send(*rows)
    assert [row.may_have_arrived for row in rows] == [False] * 3


# --- order ------------------------------------------------------------------------------------


def chat(key: AppKey, device: Device, text: str, conversation: str = "group:7") -> DeliveryResult:
    return make_delivery(make_record(text=text, conversation=conversation, push_type=55), device, app_key_id=key.pk)


def test_a_conversations_messages_leave_in_their_order(sandbox: Sandbox):
    key, device = make_key(sandbox), make_device()
    rows = [chat(key, device, f"message {n}") for n in range(6)]
    assert set(send(*rows)) == {ACCEPTED}
    assert [entry["content"] for entry in sandbox.received()] == [f"message {n}" for n in range(6)]


def test_a_retrying_message_holds_back_the_next_on_that_device_only(sandbox: Sandbox):
    key = make_key(sandbox)
    busy, other = make_device(token=bad_token("b0b00000")), make_device()
    first, second = chat(key, busy, "first"), chat(key, busy, "second")
    elsewhere = [chat(key, other, "first"), chat(key, other, "second")]
    apart = chat(key, busy, "another conversation", "private:8")
    send(first, second, *elsewhere, apart)
    assert first.status == apart.status == Status.RETRYING
    assert second.status == Status.PENDING
    assert [row.status for row in elsewhere] == [Status.ACCEPTED] * 2


# --- presence, and rows that were taken away --------------------------------------------------


def test_who_has_come_online_is_not_pushed_to(sandbox: Sandbox, redis_client: Redis):
    key = make_key(sandbox)
    reading, away = due(key, make_record(push_type=CHAT)), due(key, make_record(push_type=CHAT))
    redis_client.set(directory.presence_key(reading.account_id), 1)
    assert send(reading, away) == [(Status.SKIPPED, Reason.ONLINE), ACCEPTED]
    assert arrived(sandbox, reading, away) == [0, 1]


def test_an_order_goes_out_to_whoever_is_online(sandbox: Sandbox, redis_client: Redis):
    row = due(make_key(sandbox), make_record(push_type=ORDER))
    redis_client.set(directory.presence_key(row.account_id), 1)
    assert send(row) == [ACCEPTED]


class TakingDirectory(TableDirectory):
    """While presence is asked, the sweeper gives one of the claimed rows back."""

    taken: int = 0

    def online(self, account_ids: Sequence[str]) -> set[str]:
        DeliveryResult.objects.filter(pk=TakingDirectory.taken).update(status=Status.PENDING, claim="")
        return super().online(account_ids)


def test_of_a_list_whose_one_row_was_taken_away_the_others_are_sent(sandbox: Sandbox, settings: Settings):
    settings.DIRECTORY = f"{__name__}.TakingDirectory"
    key, record = make_key(sandbox), make_record(push_type=CHAT)
    rows = [due(key, record) for _ in range(5)]
    TakingDirectory.taken = rows[2].pk
    send(*rows)
    assert [row.status for row in rows] == ["accepted", "accepted", "pending", "accepted", "accepted"]
    assert arrived(sandbox, *rows) == [1, 1, 0, 1, 1]


class FailingDirectory(TableDirectory):
    def online(self, account_ids: Sequence[str]) -> set[str]:
        raise LookupError("presence is away")


def test_what_was_not_begun_goes_back_when_something_fails(sandbox: Sandbox, settings: Settings):
    settings.DIRECTORY = f"{__name__}.FailingDirectory"
    row = due(make_key(sandbox), make_record(push_type=CHAT))
    with pytest.raises(LookupError):
        deliver([row.pk])
    assert states(row) == [(Status.RETRYING, Reason.CUT_OFF)]
    assert (row.claim, row.attempts) == ("", 0)


@pytest.mark.parametrize("push_type", [DEFAULT, ORDER])
def test_what_was_begun_but_never_handed_over_goes_back(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, push_type: PushType
):
    """Nothing has left, so it is neither unknown nor an attempt."""

    def broken(*_: object) -> None:
        raise MemoryError

    row = due(make_key(sandbox), make_record(push_type=push_type))
    with monkeypatch.context() as patch:
        patch.setattr(job, "requests_of", broken)
        with pytest.raises(MemoryError):
            deliver([row.pk])
    assert states(row) == [(Status.RETRYING, Reason.CUT_OFF)]
    assert (row.claim, row.attempts, row.sent_at, row.may_have_arrived) == ("", 0, None, False)
    assert send(row) == [ACCEPTED]
    assert (row.attempts, arrived(sandbox, row)) == (1, [1])


@pytest.mark.usefixtures("impatient")
def test_of_a_broken_window_only_what_was_handed_over_is_in_doubt(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    key = make_key(sandbox)
    rows = [due(key, make_record(push_type=DEFAULT), token=bad_token(f"deaf000{n}")) for n in range(3)]
    leaves = job._leaves

    def cut_at_the_second(work: Any, call: Any) -> None:
        if work.left:
            raise SystemExit
        leaves(work, call)

    monkeypatch.setattr(job, "_leaves", cut_at_the_second)
    with pytest.raises(SystemExit):
        deliver([row.pk for row in rows])
    assert states(*rows) == [(Status.SENDING, ""), *[(Status.RETRYING, Reason.CUT_OFF)] * 2]


@pytest.mark.django_db(transaction=True)
def test_rows_that_were_claimed_although_the_answer_was_lost_go_back_at_once(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    row, real = due(make_key(sandbox)), claims.claim

    def claim(*given: Any, **options: Any) -> Any:
        real(*given, **options)
        raise OperationalError(2013, "Lost connection to server during query")

    with monkeypatch.context() as patch:
        patch.setattr(claims, "claim", claim)
        with pytest.raises(OperationalError):
            send(row)
    assert states(row) == [(Status.RETRYING, Reason.CUT_OFF)]
    assert send(row) == [ACCEPTED]
    assert row.attempts == 1
