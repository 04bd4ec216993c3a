import json

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from pushes.api.accounts import MAX_BODY
from pushes.models import PushRecord
from tests.pushes.api.conftest import Api


def send(api: Api, content: bytes, content_type: str = "application/json", method: str = "PATCH") -> tuple[int, str]:
    response = api.client.generic(
        method, "/api/v1/accounts/7", content, content_type, headers={"Authorization": f"Bearer {api.clear}"}
    )
    return response.status_code, json.loads(response.content).get("error", {}).get("code", "")


def test_a_good_body_is_read(api: Api):
    assert send(api, b'{"push_status": 0}') == (200, "")


def test_a_charset_may_be_named(api: Api):
    assert send(api, b'{"push_status": 0}', "application/json; charset=utf-8") == (200, "")


@pytest.mark.parametrize("content", [b" ", b"{", b"{'a': 1}", b'{"a": NaN}', b'{"a": "\xff"}', b"[" * 2000])
def test_what_is_no_json_is_a_bad_request(api: Api, content: bytes):
    assert send(api, content) == (400, "bad_json")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(api: Api, content_type: str):
    assert send(api, b'{"push_status": 0}', content_type) == (415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_refused(api: Api):
    assert send(api, b" " * (MAX_BODY + 1)) == (413, "too_large")


def test_the_largest_allowed_body_is_read(api: Api):
    assert send(api, b'{"push_status": 0}'.ljust(MAX_BODY)) == (200, "")


def test_another_method_is_refused_and_told_which_are_not(api: Api):
    response = api.raw("GET", "/devices/some-token")
    assert response.status_code == 405
    assert response["Allow"] == "DELETE, PUT"


def test_what_can_be_got_can_be_asked_for_its_head(api: Api):
    response = api.client.head("/api/v1/healthz")
    assert (response.status_code, response.content) == (200, b"")


NOWHERE = [
    "/v1/nothing",
    "/v1/pushes/",
    "/v1/pushes/abc",
    "/v1/pushes/-1",
    "/v1/",
    "/v1",
    "",
    "/",
    "/v2/pushes",
    "/pushes",
]
NOWHERE += [
    "/v1/devices/",
    "/v1/devices",
    "/v1/accounts/7/",
    "/v1/presence/a/b/",
    "/v1//pushes",
    "/v1/pushes%0A",
    "/v1/ä",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", NOWHERE)
def test_an_unknown_address_is_answered_in_json(api: Api, method: str, path: str):
    """As a program calls it: with the checks that keep a browser's forms safe, with a body, and without a token."""
    client = Client(enforce_csrf_checks=True)
    answer = client.generic(method, f"/api{path}", b"{}", "application/json")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    if method != "HEAD":
        assert json.loads(answer.content)["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["//api/v1/pushes", "//api", "/api//v1/pushes"])
def test_doubled_slashes_lead_nowhere_and_redirect_nobody(path: str):
    client = Client(enforce_csrf_checks=True)
    # As a server hands it over: the test client itself would take the first part for a host.
    answer = client.generic("POST", "/", b"{}", "application/json", PATH_INFO=path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("GET", "/pushes", "POST"), ("PUT", "/pushes", "POST"), ("OPTIONS", "/pushes", "POST"),
    ("POST", "/pushes/1", "DELETE, GET"),
    ("POST", "/accounts/a/b", "PATCH"), ("POST", "/presence/7", "DELETE, PUT"), ("POST", "/healthz", "GET"),
])  # fmt: skip
def test_a_known_address_says_which_methods_it_has(method: str, path: str, allowed: str):
    answer = Client(enforce_csrf_checks=True).generic(method, f"/api/v1{path}", b"{}", "application/json")
    assert (answer.status_code, answer["Allow"]) == (405, allowed)
    assert json.loads(answer.content)["error"]["code"] == "method_not_allowed"


def test_a_host_that_is_not_ours_is_refused_in_json():
    answer = Client().post("/api/v1/pushes", b"{}", "application/json", headers={"Host": "evil.example"})
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (400, "bad_request")
    page = Client().get("/admin/", headers={"Host": "evil.example"})
    assert (page.status_code, page["Content-Type"].partition(";")[0]) == (400, "text/html")


def test_answers_are_never_cached(api: Api):
    assert api.raw("GET", "/openapi.json")["Cache-Control"] == "no-store"


def test_a_browser_session_is_no_way_in(admin_client: Client):
    assert admin_client.get("/api/v1/pushes/1").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_unavailable_not_an_error_of_ours(api: Api, caplog: pytest.LogCaptureFixture):
    table = connection.ops.quote_name(PushRecord._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO pushes_away")
        try:
            response = api.raw("GET", "/pushes/1")
        finally:
            cursor.execute(f"ALTER TABLE pushes_away RENAME TO {table}")
    assert (response.status_code, json.loads(response.content)["error"]["code"]) == (503, "unavailable")
    assert response["Retry-After"] == "5"
    assert "GET api/v1/pushes/<int:record_id>" in caplog.text


def test_a_refusal_leaves_no_device_token_in_the_log(api: Api, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    assert api.call("DELETE", "/devices/secret-device-token")[0] == 404
    assert api.call("PUT", "/devices/secret-device-token", {})[0] == 422
    assert "secret-device-token" not in caplog.text


def test_over_plain_http_nothing_is_redirected(api: Api, settings: Settings):
    settings.SECURE_SSL_REDIRECT = True
    for path, status, code in (("/pushes", 403, "https_required"), ("/nothing", 404, "not_found")):
        answer = api.raw("POST", path, {})
        assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (status, code)
    assert api.raw("GET", "/healthz").status_code == 200
    secure = api.client.post("/api/v1/pushes", b"{}", "application/json", secure=True)
    assert secure.status_code == 401
