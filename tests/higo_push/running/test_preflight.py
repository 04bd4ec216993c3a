"""What `./push.sh start` refuses before anything runs."""

from typing import Any

import pytest

from higo_push.running import preflight
from higo_push.running.processes import free_port
from pushes.storage import shared_redis


@pytest.mark.parametrize(
    "value", ["", "127.0.0.1:8800", "*:80", "[::1]:8800", "localhost:8800 10.0.0.1:8800", "push.example.com:65535"]
)
def test_addresses_to_listen_on(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("WEB_LISTEN", value)
    assert preflight.listen_problem() is None


@pytest.mark.parametrize("value", ["nonsense", "8800", ":8800", "host:", "host:0", "host:65536", "host:http", "a:1 b"])
def test_what_is_no_address_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("WEB_LISTEN", value)
    said = preflight.listen_problem() or ""
    assert f"WEB_LISTEN={value!r}" in said
    assert "127.0.0.1:8800" in said


@pytest.mark.parametrize(
    ("variable", "value"), [("WORKERS_GROUP", "two"), ("WEB_THREADS", "0"), ("LOG_MEGABYTES", "x")]
)
def test_a_setting_of_the_processes_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    monkeypatch.setenv(variable, value)
    assert f"{variable}={value!r}" in (preflight.process_problem() or "")


def test_a_process_set_that_can_be_run():
    assert preflight.process_problem() is None


def test_a_mongodb_that_is_away_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 0.2)
    port = free_port()
    monkeypatch.setenv("MONGO_URL", f"mongodb://user:secret@127.0.0.1:{port}/higo")
    said = preflight.mongo_problem() or ""
    assert f"127.0.0.1:{port}/higo" in said
    assert "secret" not in said
    assert "TopologyDescription" not in said


@pytest.mark.django_db
def test_what_had_better_be_otherwise_is_advice_and_no_problem():
    client: Any = shared_redis.connection()
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        said = [text for text in preflight.advice() if "maxmemory-policy" in text]
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    assert len(said) == 1
    assert said[0].endswith("Set it to noeviction. (pushes.W003)")
    assert not [text for text in preflight.advice() if "SSL" in text]
    assert not [text for text in preflight.manage_problems() if "maxmemory-policy" in text]
