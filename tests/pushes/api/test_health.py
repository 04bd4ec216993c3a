import json
import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from higo_push.running import processes
from pushes.api import health

pytestmark = pytest.mark.django_db(transaction=True)


def ask(path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    response = Client().get(path)
    content = json.loads(response.content)
    return response.status_code, content.get("checks", content)


def hang() -> None:
    time.sleep(health.TIMEOUT_SECONDS + 2)


def use_redis(settings: Settings, url: str) -> None:
    settings.REDIS_URL = url


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_process_that_answers_is_healthy(prefix: str):
    assert ask(f"{prefix}/healthz") == (200, {"status": "ok"})


def test_with_everything_there_it_is_ready(redis_client: object, settings: Settings):
    settings.READINESS_CHECKS = {}
    status, checks = ask()
    assert status == 200
    assert [(name, check["ok"]) for name, check in checks.items()] == [("database", True), ("redis", True)]


def test_without_redis_it_is_not_ready(settings: Settings):
    settings.READINESS_CHECKS = {}
    use_redis(settings, f"redis://127.0.0.1:{processes.free_port()}/0")
    status, checks = ask()
    assert (status, checks["redis"]) == (503, {"ok": False, "error": "ConnectionError"})


def test_a_real_mongodb_is_asked(redis_client: object, settings: Settings, mongo_db: object):
    settings.READINESS_CHECKS = {"mongodb": "higo_push.readiness.check_mongodb"}
    assert ask()[1]["mongodb"]["ok"]


def test_a_mongodb_that_is_away_is_named(redis_client: object, settings: Settings):
    settings.READINESS_CHECKS = {"mongodb": "higo_push.readiness.check_mongodb"}
    settings.MONGO_URL = f"mongodb://127.0.0.1:{processes.free_port()}/"
    status, checks = ask()
    assert (status, checks["mongodb"]["ok"], checks["redis"]["ok"]) == (503, False, True)


def test_a_dependency_that_hangs_does_not_hang_the_answer(redis_client: object, settings: Settings):
    settings.READINESS_CHECKS = {"slow": f"{__name__}.hang"}
    started = time.monotonic()
    status, checks = ask()
    assert time.monotonic() - started < health.TIMEOUT_SECONDS + 1.5
    assert (status, checks["slow"]["error"]) == (503, "no answer within 2 s")


def test_it_tells_no_address(settings: Settings):
    settings.READINESS_CHECKS = {}
    use_redis(settings, f"redis://:password@127.0.0.1:{processes.free_port()}/0")
    assert "127.0.0.1" not in str(ask())


def test_a_probe_is_not_redirected_to_https(settings: Settings):
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/api/v1/openapi.json").status_code == 301


def test_the_probes_leave_no_connection_of_theirs(redis_client: object, settings: Settings):
    settings.READINESS_CHECKS = {}
    for _ in range(3):
        assert ask()[0] == 200
    assert connection.connection is None or connection.is_usable()
