"""Access tokens over real Redis and a real HTTP server: one exchange for all, whatever races, breaks or lies."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from pytest_django import Settings

from higo_push.env import BASE_DIR
from higo_push.running.processes import free_port
from pushes import vault
from pushes.keys import access_tokens
from pushes.names import Environment, Platform, Reason
from pushes.providers.base import AccessToken
from pushes.providers.hosts import HostRefusedError
from pushes.providers.huawei_v1 import HuaweiV1
from pushes.providers.huawei_v3 import HuaweiV3
from pushes.storage import shared_redis
from pushes.values import Blame, Credentials, Outcome, Scope, Verdict
from tests.pushes.providers.key_files import RSA, pem_of
from tests.pushes.token_server import Vendor, running_vendor, stored
from tests.together import together

SECRET = "a-secret-that-nobody-logs"
HUAWEI = HuaweiV1()


@pytest.fixture(autouse=True)
def nothing_remembered(redis_client: redis.Redis) -> Iterator[None]:
    access_tokens.forget()
    yield
    access_tokens.forget()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        vendor.secret = SECRET
        yield vendor


@pytest.fixture
def credentials(vendor: Vendor) -> Credentials:
    return Credentials("huawei_v1", "100", vendor.url, Platform.ANDROID, Environment.PRODUCTION, stored(SECRET))


def text_of(found: AccessToken | Outcome) -> str:
    assert isinstance(found, AccessToken)
    return found.text


def current(credentials: Credentials) -> str:
    return text_of(access_tokens.current(HUAWEI, credentials))


def outcome_of(found: AccessToken | Outcome) -> Outcome:
    assert isinstance(found, Outcome)
    return found


def token_key(client: redis.Redis) -> str:
    [key] = [key for key in client.keys("higo:access-token:*") if not key.endswith(b":lease")]  # type: ignore[union-attr]
    return str(key.decode())


def aged(credentials: Credentials, share: float) -> None:
    """Let the token in Redis, and in this process, have lived for this share of its life."""
    found = access_tokens.current(HUAWEI, credentials)
    assert isinstance(found, AccessToken)
    made_at = int(time.time() - 3600 * share)
    access_tokens.keep(HUAWEI, credentials, AccessToken(found.text, made_at, made_at + 3600))


# --- one for all ------------------------------------------------------------------------------


def test_a_token_is_exchanged_once_and_then_remembered(vendor: Vendor, credentials: Credentials):
    assert {current(credentials) for _ in range(5)} == {"token-0"}
    assert vendor.exchanges == 1


def test_another_process_takes_it_from_redis(vendor: Vendor, credentials: Credentials):
    current(credentials)
    access_tokens.forget()
    assert (current(credentials), vendor.exchanges) == ("token-0", 1)


def test_threads_that_race_exchange_once(vendor: Vendor, credentials: Credentials):
    vendor.latency = 0.2
    assert set(together([lambda: current(credentials)] * 12)) == {"token-0"}
    assert vendor.exchanges == 1


RACER = """
import django, sys
django.setup()
from pushes.keys import access_tokens
from pushes.names import Environment, Platform
from pushes.providers.huawei_v1 import HuaweiV1
from pushes.storage import shared_redis
from pushes.values import Credentials
credentials = Credentials("huawei_v1", "100", sys.argv[1], Platform.ANDROID, Environment.PRODUCTION, sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(access_tokens.current(HuaweiV1(), credentials).text)
"""


@pytest.mark.django_db(transaction=True)
def test_processes_that_race_exchange_once(vendor: Vendor, process_environment: dict[str, str]):
    vendor.latency = 0.5
    environment = {**process_environment, "DJANGO_SETTINGS_MODULE": "higo_push.settings"}
    command = [sys.executable, "-c", RACER, vendor.url, stored(SECRET)]
    racers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=BASE_DIR
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    assert {racer.communicate(timeout=60)[0] for racer in racers} == {"token-0\n"}
    assert vendor.exchanges == 1


def test_other_credentials_have_a_token_of_their_own(vendor: Vendor, credentials: Credentials):
    vendor.secret = ""
    tokens = {
        current(credentials),
        current(replace(credentials, secret=stored("another"))),
        current(replace(credentials, access_id="101")),
        current(replace(credentials, endpoint_url=f"{vendor.url}/")),
    }
    assert len(tokens) == 4


# --- renewed in time --------------------------------------------------------------------------


def test_before_80_percent_of_its_life_a_token_is_kept(vendor: Vendor, credentials: Credentials):
    aged(credentials, 0.79)
    assert (current(credentials), vendor.exchanges) == ("token-0", 1)


def test_after_80_percent_of_its_life_a_token_is_renewed_once(vendor: Vendor, credentials: Credentials):
    aged(credentials, 0.81)
    assert set(together([lambda: current(credentials)] * 6)) <= {"token-0", "token-1"}
    assert (current(credentials), vendor.exchanges) == ("token-1", 2)


def test_while_one_renews_it_the_others_go_on_with_the_old_one(vendor: Vendor, credentials: Credentials):
    aged(credentials, 0.9)
    vendor.latency = 1.0
    renewing = threading.Thread(target=current, args=[credentials])
    renewing.start()
    while not shared_redis.connection().keys("higo:access-token:*:lease"):
        time.sleep(0.01)
    access_tokens.forget()  # as another process
    started = time.monotonic()
    assert current(credentials) == "token-0"
    assert time.monotonic() - started < 0.9
    renewing.join()
    assert vendor.exchanges == 2


def test_an_old_token_does_while_no_new_one_can_be_had(vendor: Vendor, credentials: Credentials):
    aged(credentials, 0.9)
    vendor.exchange_status = 503
    assert [current(credentials) for _ in range(3)] == ["token-0"] * 3
    assert vendor.exchanges == 2  # nobody asks again at once


def test_a_token_that_would_expire_during_a_call_is_not_used(vendor: Vendor, credentials: Credentials):
    aged(credentials, 0.999)
    vendor.exchange_status = 503
    outcome = outcome_of(access_tokens.current(HUAWEI, credentials))
    assert (outcome.verdict, outcome.scope) == (Verdict.RETRY, Scope.KEY)


# --- refused as too old -----------------------------------------------------------------------


def test_a_storm_of_refusals_renews_once(vendor: Vendor, credentials: Credentials):
    current(credentials)
    vendor.latency = 0.1
    found = together([lambda: text_of(access_tokens.renewed(HUAWEI, credentials, stale="token-0"))] * 12)
    assert (set(found), vendor.exchanges) == ({"token-1"}, 2)


def test_a_late_refusal_finds_what_another_process_has_renewed(vendor: Vendor, credentials: Credentials):
    current(credentials)
    text_of(access_tokens.renewed(HUAWEI, credentials, stale="token-0"))
    access_tokens.forget()
    assert text_of(access_tokens.renewed(HUAWEI, credentials, stale="token-0")) == "token-1"
    assert vendor.exchanges == 2


# --- refused and unreachable ------------------------------------------------------------------


def test_a_refused_exchange_is_the_credentials_fault(vendor: Vendor, credentials: Credentials):
    outcome = outcome_of(access_tokens.current(HUAWEI, replace(credentials, secret=stored("wrong"))))
    assert (outcome.verdict, outcome.reason, outcome.scope) == (Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY)
    assert (outcome.blame, outcome.text) == (Blame.CREDENTIALS, "access token: invalid client")


def test_who_is_not_answered_tries_again_later(credentials: Credentials):
    nobody = replace(credentials, endpoint_url=f"http://127.0.0.1:{free_port()}")
    outcome = outcome_of(access_tokens.current(HUAWEI, nobody))
    assert (outcome.verdict, outcome.scope) == (Verdict.RETRY, Scope.KEY)
    assert outcome.text.startswith("access token: ")


def test_a_silent_vendor_is_waited_for_no_longer_than_for_a_call(
    vendor: Vendor, credentials: Credentials, settings: Settings
):
    settings.CALL_TIMEOUT_SECONDS = 0.5
    vendor.latency = 3
    started = time.monotonic()
    outcomes = together([lambda: outcome_of(access_tokens.current(HUAWEI, credentials))] * 3)
    assert time.monotonic() - started < 2
    assert {outcome.verdict for outcome in outcomes} == {Verdict.RETRY}


def test_after_asking_in_vain_others_do_not_ask_at_once(vendor: Vendor, credentials: Credentials):
    vendor.exchange_status = 503
    for _ in range(5):
        assert outcome_of(access_tokens.current(HUAWEI, credentials)).verdict is Verdict.RETRY
        access_tokens.forget()
    assert vendor.exchanges == 1


def test_a_host_that_is_not_allowed_is_not_asked(credentials: Credentials):
    with pytest.raises(HostRefusedError):
        access_tokens.current(HUAWEI, replace(credentials, endpoint_url="http://169.254.169.254"))


# --- without Redis ----------------------------------------------------------------------------


def test_without_redis_each_process_gets_its_own(vendor: Vendor, credentials: Credentials, settings: Settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    vendor.latency = 0.1
    assert set(together([lambda: current(credentials)] * 4)) == {"token-0"}
    assert vendor.exchanges == 1


def test_losing_redis_loses_no_token_of_this_process(
    vendor: Vendor, credentials: Credentials, redis_client: redis.Redis
):
    current(credentials)
    redis_client.delete(token_key(redis_client))
    assert (current(credentials), vendor.exchanges) == ("token-0", 1)


# --- what stands in Redis is not trusted ------------------------------------------------------


def test_no_token_stands_in_redis_in_clear_nor_for_ever(credentials: Credentials, redis_client: redis.Redis):
    current(credentials)
    key = token_key(redis_client)
    stored = redis_client.get(key)
    assert isinstance(stored, bytes)
    assert b"token-0" not in stored
    assert SECRET not in key
    assert 0 < int(redis_client.ttl(key)) <= 3600  # type: ignore[arg-type]


#: Scope (None: the right one), text and two moments, which count from now.
PLANTED = [
    b"nonsense",
    b"\xff\xfe",
    b"",
    ["token", 0, 3600],
    ["of another scope", "planted", 0, 3600],
    [None, "planted\r\nX-Header: 1", 0, 3600],
    [None, "", 0, 3600],
    [None, "x" * 10_000, 0, 3600],
    [None, 7, 0, 3600],
    [None, "planted", True, 3600],
    [None, "planted", 0, 1e99],
    [None, "planted", 0, 90 * 86_400],
    [None, "planted", 86_400, 90_000],
    [None, "planted", 0, -1],
    {"text": "planted"},
]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: str(planted)[:40])
def test_a_planted_value_is_not_used(vendor: Vendor, credentials: Credentials, redis_client: redis.Redis, planted: Any):
    current(credentials)
    key = token_key(redis_client)
    access_tokens.forget()
    if not isinstance(planted, bytes):
        if isinstance(planted, list):
            moments = [part + int(time.time()) if type(part) is int else part for part in planted[2:]]
            planted = [planted[0] or key.rpartition(":")[2], planted[1], *moments]
        planted = vault.encrypt(json.dumps(planted))
    redis_client.set(key, planted)
    assert (current(credentials), vendor.exchanges) == ("token-1", 2)


def test_a_value_of_another_type_is_not_used(vendor: Vendor, credentials: Credentials, redis_client: redis.Redis):
    current(credentials)
    key = token_key(redis_client)
    access_tokens.forget()
    redis_client.delete(key)
    redis_client.rpush(key, "planted")
    assert (current(credentials), vendor.exchanges) == ("token-1", 2)


@pytest.mark.parametrize("plant", ["set", "rpush", "far"])
def test_a_planted_lease_blocks_nobody(vendor: Vendor, credentials: Credentials, redis_client: redis.Redis, plant: str):
    current(credentials)
    key = token_key(redis_client)
    access_tokens.forget()
    redis_client.delete(key)
    lease = f"{key}:lease"
    if plant == "rpush":
        redis_client.rpush(lease, "planted")
    else:
        redis_client.set(lease, "planted", ex=None if plant == "set" else 86_400)
    assert (current(credentials), vendor.exchanges) == ("token-1", 2)


def test_the_lease_of_another_is_not_given_back(credentials: Credentials, redis_client: redis.Redis, vendor: Vendor):
    current(credentials)
    lease = f"{token_key(redis_client)}:lease"
    assert not redis_client.exists(lease)
    redis_client.set(lease, "another", px=5_000)
    access_tokens._give_back(lease.split(":")[2], "holder", 0)
    assert redis_client.get(lease) == b"another"


def test_no_secret_and_no_token_is_logged(
    vendor: Vendor, credentials: Credentials, settings: Settings, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    found = access_tokens.current(HUAWEI, credentials)
    assert "token-0" not in repr(found)
    vendor.exchange_status = 503
    access_tokens.renewed(HUAWEI, credentials, stale="token-0")
    assert "Redis is away" in caplog.text
    assert SECRET not in caplog.text
    assert "token-0" not in caplog.text


# --- what we sign ourselves -------------------------------------------------------------------


def test_a_signed_token_is_shared_as_well():
    secret = json.dumps({"key_id": "k", "sub_account": "1", "private_key": pem_of(RSA)})
    credentials = Credentials("huawei_v3", "100", "", Platform.HARMONY, Environment.PRODUCTION, secret)
    first = text_of(access_tokens.current(HuaweiV3(), credentials))
    access_tokens.forget()
    assert text_of(access_tokens.current(HuaweiV3(), credentials)) == first


def test_a_secret_that_signs_nothing_is_told():
    credentials = Credentials("huawei_v3", "100", "", Platform.HARMONY, Environment.PRODUCTION, "no JSON")
    with pytest.raises(ValueError, match="cannot be read"):
        access_tokens.current(HuaweiV3(), credentials)


def test_the_process_remembers_a_bounded_number(vendor: Vendor, credentials: Credentials):
    vendor.secret = ""
    token = AccessToken("kept", int(time.time()), int(time.time()) + 3600)
    for number in range(access_tokens.MAX_REMEMBERED + 10):
        access_tokens.keep(HUAWEI, replace(credentials, access_id=str(number)), token)
    assert len(access_tokens._kept) == access_tokens.MAX_REMEMBERED
