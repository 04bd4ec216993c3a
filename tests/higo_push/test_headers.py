"""What every answer tells the browser not to do, and what travels compressed."""

import gzip
import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client

from pushes.console.operators import roles
from pushes.models import ApiToken
from tests.environment import PROJECT
from tests.make import make_account, make_operator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def browser() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make_operator(roles.VIEWER))
    return client


def policy(answer: Any) -> dict[str, list[str]]:
    parts = [part.split() for part in answer["Content-Security-Policy"].split(";") if part.strip()]
    return {part[0]: part[1:] for part in parts}


PAGES = {
    "/admin/": 200,
    "/admin/login/?next=x": 302,
    "/admin/pushes/account/": 200,
    "/admin/no/such/page/": 404,
    "/admin/pushes/appkey/add/": 403,
    "/admin/me/": 200,
    "/healthz": 200,
    "/metrics": 401,
    "/api/v1/pushes": 405,
    "/api/v1/no/such/address": 404,
    "/api/v1/openapi.json": 200,
    "/static/pushes/console.css": 200,
    "/no/such/page": 404,
}


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_has_a_policy(browser: Client, page: str) -> None:
    answer = browser.get(page)
    assert answer.status_code == PAGES[page]
    found = policy(answer)
    assert found["frame-ancestors"] == ["'none'"]
    assert found["default-src"] in (["'self'"], ["'none'"])
    assert "'unsafe-inline'" not in found.get("script-src", [])
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    answer.close()


def test_errors_of_our_own_have_one_too(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushes.console.overview.page.context", None)
    monkeypatch.setattr("pushes.console.operators.own_account.PreferencesForm", None)
    answer = browser.get("/admin/me/")
    assert answer.status_code == 500
    assert policy(answer)["script-src"] == ["'self'", "'unsafe-eval'"]
    assert policy(browser.get("/admin/", headers={"host": "evil.example"}))["object-src"] == ["'none'"]
    assert policy(Client(enforce_csrf_checks=True).post("/admin/login/"))["base-uri"] == ["'none'"]


def test_long_pages_travel_compressed(browser: Client) -> None:
    for number in range(50):
        make_account(str(100_000 + number))
    plain = browser.get("/admin/pushes/account/")
    short = browser.get("/admin/pushes/account/", headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in plain
    assert short["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in short["Vary"]
    assert len(short.content) < len(plain.content) / 4
    assert b"100049" in gzip.decompress(short.content)


@pytest.mark.parametrize("encoding", ["gzip;q=0", "br, gzip; q=0.0", "deflate, GZIP ;q=0.000, br", "identity", "br"])
def test_whoever_takes_no_gzip_gets_none(browser: Client, encoding: str) -> None:
    answer = browser.get("/admin/me/", headers={"accept-encoding": encoding})
    assert "Content-Encoding" not in answer
    assert "Accept-Encoding" in answer["Vary"]


@pytest.mark.parametrize("encoding", ["gzip;q=0.1", "br;q=0, gzip", "gzip ; q=1.0, br;q=0"])
def test_whoever_takes_gzip_too_gets_it(browser: Client, encoding: str) -> None:
    assert browser.get("/admin/me/", headers={"accept-encoding": encoding})["Content-Encoding"] == "gzip"


def test_two_answers_of_the_same_page_differ_in_length(browser: Client) -> None:
    """A length that can be compared tells by and by what is in a page."""
    lengths = {len(browser.get("/admin/me/", headers={"accept-encoding": "gzip"}).content) for _ in range(12)}
    assert len(lengths) > 3


def test_the_api_travels_compressed_too(client: Client) -> None:
    _token, clear = ApiToken.issue("monitor", ["metrics"])
    headers = {"accept-encoding": "gzip", "authorization": f"Bearer {clear}"}
    answer = client.get("/metrics", headers=headers)
    assert b"higo_" in gzip.decompress(answer.content)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HTTPS": "on"}, "31536000 True False"),
        ({"HTTPS": "on", "HSTS_PRELOAD": "on"}, "31536000 True True"),
        ({"HTTPS": "off", "HSTS_PRELOAD": "on"}, "0 False False"),
    ],
)
def test_lists_of_browsers_are_joined_only_when_somebody_asks(variables: dict[str, str], expected: str) -> None:
    code = (
        "from higo_push import settings as s; "
        "print(s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS, s.SECURE_HSTS_PRELOAD)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, cwd=PROJECT, capture_output=True, text=True
    )
    assert done.stdout.strip() == expected
