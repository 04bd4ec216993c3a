import time

import pytest
import requests

from tests.pushes.sandbox.client import android_message, push_params
from tests.pushes.sandbox.conftest import ANDROID_ID

TOKEN = "a1" * 20


def push(client, token=TOKEN, **changes):
    return client.call("/v2/push/single_device", device_token=token, **push_params(android_message(), **changes))


def test_received_pushes_are_listed_in_order(android, sandbox):
    tokens = [f"{number:040x}" for number in range(5)]
    for token in tokens:
        push(android, token)
    assert [entry["token"] for entry in sandbox.received()] == tokens


def test_a_reader_goes_on_where_it_was(android, sandbox):
    push(android)
    position = sandbox.received()[-1]["seq"]
    push(android, "b2" * 20)
    assert [entry["token"] for entry in sandbox.received(after=position)] == ["b2" * 20]


def test_one_token_and_one_key_can_be_asked_for(android, sandbox):
    push(android)
    push(android, "b2" * 20)
    assert len(sandbox.received(token=TOKEN)) == 1
    assert len(sandbox.received(access_id=ANDROID_ID)) == 2
    assert sandbox.received(access_id=1) == []


def test_a_limit_is_kept(android, sandbox):
    for _ in range(3):
        push(android)
    assert len(sandbox.received(limit=2)) == 2


def test_repeated_pushes_are_counted(android, sandbox):
    for token in (TOKEN, TOKEN, TOKEN, "b2" * 20):
        push(android, token)
    counts = sandbox.counts()
    assert (counts["entries"], counts["distinct"], counts["repeated"]) == (4, 2, 1)
    assert counts["groups"] == [{"access_id": ANDROID_ID, "token": TOKEN, "n_id": 7, "count": 3}]


@pytest.mark.parametrize("by", ["token", "title,content"])
def test_repetitions_can_be_counted_by_other_fields(android, sandbox, by):
    push(android)
    push(android)
    assert sandbox.counts(by=by)["groups"][0]["count"] == 2


def test_every_group_is_listed_when_asked_for(android, sandbox):
    push(android)
    assert sandbox.counts(least=1)["groups"][0]["token"] == TOKEN


def test_stats_tell_calls_and_codes(android, sandbox):
    push(android)
    push(android, "dead0000" + "0" * 32)
    stats = sandbox.stats()
    assert stats["by_path"] == {"/v2/push/single_device": 2}
    assert stats["by_code"] == {"0": 1, "40": 1}
    assert (stats["received"], stats["requests"]) == (1, 2)
    assert stats["rss_bytes"] > 10_000_000


def test_resetting_forgets_but_keeps_keys(android, sandbox):
    push(android)
    sandbox.set_profile("bad_auth")
    sandbox.set_codes("gateway")
    sandbox.set_latency(5)
    sandbox.reset()
    stats = sandbox.stats()
    assert (sandbox.received(), stats["profiles"]) == ([], {"*": "ok"})
    assert (stats["codes"], stats["latency_ms"]) == ("legacy", 0)
    assert push(android)["ret_code"] == 0


def test_latency_is_added_to_every_answer(android, sandbox):
    sandbox.set_latency(150)
    started = time.monotonic()
    push(android)
    assert time.monotonic() - started >= 0.15


def test_a_slow_profile_is_late(android, sandbox):
    sandbox.set_profile("slow", latency_ms=120)
    started = time.monotonic()
    assert push(android)["ret_code"] == 0
    assert time.monotonic() - started >= 0.12


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("profile", {"profile": "broken"}, "profile='broken'"),
        ("profile", {"profile": "ok", "access_id": ""}, "access_id=''"),
        ("limits", {"calls_a_minute": 0}, "calls_a_minute=0"),
        ("streams", {"first": 0}, "first=0"),
        ("streams", {"first": 1001}, "first=1001"),
        ("expire", {"access_id": -1}, "access_id=-1"),
        ("latency", {"latency_ms": -1}, "latency_ms=-1"),
        ("codes", {"codes": "modern"}, "codes='modern'"),
        ("keys", {"access_id": 0, "secret": "x"}, "access_id=0"),
        ("keys", {"access_id": 1, "secret": ""}, "secret: a text is needed"),
        ("accounts", {"access_id": 1, "account": "a", "tokens": ["<x>"]}, "tokens: a list"),
    ],
)
def test_a_bad_order_is_refused_by_field(sandbox, name, body, message):
    answer = requests.post(f"{sandbox.url}/_sandbox/{name}", json=body, timeout=10)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("data", "content_type", "message"),
    [
        ("{}", "text/plain", "Content-Type must be application/json"),
        ("{", "application/json", "the body is no JSON"),
        ("[]", "application/json", "the body must be a JSON object"),
    ],
)
def test_a_body_must_be_json_and_say_so(sandbox, data, content_type, message):
    headers = {"Content-Type": content_type}
    answer = requests.post(f"{sandbox.url}/_sandbox/reset", data=data, headers=headers, timeout=10)
    assert (answer.status_code, message in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("query", "message"),
    [("received?after=x", "after='x'"), ("received?limit=-1", "limit='-1'"), ("counts?by=colour", "by: 'colour'")],
)
def test_a_bad_question_is_refused_by_field(sandbox, query, message):
    answer = requests.get(f"{sandbox.url}/_sandbox/{query}", timeout=10)
    assert (answer.status_code, message in answer.json()["error"]) == (400, True)


def test_reading_orders_and_writing_questions_do_not_exist(sandbox):
    assert requests.get(f"{sandbox.url}/_sandbox/reset", timeout=10).status_code == 404
    assert requests.post(f"{sandbox.url}/_sandbox/stats", json={}, timeout=10).status_code == 404
