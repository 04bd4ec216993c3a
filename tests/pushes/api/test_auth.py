import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from django.http import HttpResponse
from django.urls import URLPattern
from django.utils import timezone

from pushes.api.endpoint import Operation, Resource
from pushes.api.urls import urlpatterns
from pushes.models import ApiToken
from tests.pushes.api.conftest import Api

EXAMPLES = {
    "pushes": "/pushes",
    "pushes/<int:record_id>": "/pushes/1",
    "pushes/<int:record_id>/deliveries": "/pushes/1/deliveries",
    "devices/<token:token>": "/devices/some-token",
    "accounts/<account:account_id>": "/accounts/7",
    "presence/<account:account_id>": "/presence/7",
}
OPEN = {"healthz", "readyz", "metrics", "openapi.json"}


def route(pattern: URLPattern) -> str:
    return str(pattern.pattern)


def operations_of(pattern: URLPattern) -> dict[str, Operation]:
    return pattern.callback.operations if isinstance(pattern.callback, Resource) else {}


def protected() -> list[tuple[str, str, str]]:
    """Method, path and scope of everything that asks for a token."""
    return [
        (method, EXAMPLES[route(pattern)], operation.scope)
        for pattern in urlpatterns
        if route(pattern) not in OPEN
        for method, operation in operations_of(pattern).items()
    ]


def use(api: Api, authorization: str | None) -> HttpResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    response: Any = api.client.get("/api/v1/pushes/1", headers=headers)
    return cast(HttpResponse, response)


def test_every_address_but_the_open_ones_asks_for_a_scope():
    assert len(protected()) == 9
    assert all(scope in ApiToken.SCOPES for _, _, scope in protected())


@pytest.mark.parametrize(("method", "path", "scope"), protected())
def test_nothing_works_without_a_token(api: Api, method: str, path: str, scope: str):
    response = api.client.generic(method, f"/api/v1{path}")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="higo-push"'


@pytest.mark.parametrize(("method", "path", "scope"), protected())
def test_nothing_works_with_all_scopes_but_its_own(make_api: Callable[..., Api], method: str, path: str, scope: str):
    response = make_api(*(set(ApiToken.SCOPES) - {scope})).raw(method, path, {})
    assert response.status_code == 403
    assert response["WWW-Authenticate"].endswith(f'error="insufficient_scope", scope="{scope}"')


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Basic abc", "", "Token x"])
def test_an_authorization_of_another_kind_is_no_token(api: Api, authorization: str):
    assert use(api, authorization).status_code == 401


@pytest.mark.parametrize("clear", ["higo_wrong", "x" * 100_000, "中文", "' OR 1=1 --"])
def test_an_unknown_token_is_refused(api: Api, clear: str):
    response = use(api, f"Bearer {clear}")
    assert response.status_code == 401
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


def test_the_digest_itself_is_no_token(api: Api):
    assert use(api, f"Bearer {ApiToken.objects.get().digest}").status_code == 401


def test_a_disabled_token_is_refused(api: Api):
    ApiToken.objects.update(is_enabled=False)
    assert use(api, f"Bearer {api.clear}").status_code == 401


def test_a_disabled_and_an_unknown_token_look_the_same(api: Api):
    ApiToken.objects.update(is_enabled=False)
    assert use(api, f"Bearer {api.clear}").content == use(api, "Bearer higo_wrong").content


def test_a_token_is_found_by_its_digest_in_one_query(api: Api, django_assert_num_queries: Any):
    use(api, f"Bearer {api.clear}")
    with django_assert_num_queries(1) as queries:
        use(api, "Bearer higo_wrong")
    assert "digest" in queries.captured_queries[0]["sql"]
    assert "higo_wrong" not in queries.captured_queries[0]["sql"]


def test_a_use_is_noted_at_most_once_a_minute(api: Api):
    use(api, f"Bearer {api.clear}")
    first = ApiToken.objects.get().last_used_at
    use(api, f"Bearer {api.clear}")
    assert first
    assert ApiToken.objects.get().last_used_at == first


def test_a_use_is_noted_again_after_a_minute(api: Api):
    long_ago = timezone.now() - timedelta(seconds=61)
    ApiToken.objects.update(last_used_at=long_ago)
    use(api, f"Bearer {api.clear}")
    assert ApiToken.objects.get().last_used_at != long_ago


def test_a_refused_use_is_not_noted(make_api: Callable[..., Api]):
    make_api("push").call("GET", "/pushes/1")
    assert ApiToken.objects.get().last_used_at is None


def test_no_answer_and_no_log_repeats_the_token(api: Api, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    assert b"higo_secret_thing" not in use(api, "Bearer higo_secret_thing").content
    assert "higo_secret_thing" not in caplog.text


def test_a_token_works_until_it_expires_and_says_so_then(api: Api):
    token, clear = ApiToken.issue("ends", ["read"], timezone.now() + timedelta(hours=1))
    assert use(api, f"Bearer {clear}").status_code == 404
    ended = timezone.now() - timedelta(seconds=1)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=ended)
    answer = use(api, f"Bearer {clear}")
    assert answer.status_code == 401
    error = json.loads(answer.content)["error"]
    assert error["code"] == "unauthorized"
    assert f"expired at {ended:%Y-%m-%dT%H:%M:%S}Z" in error["message"]
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize(("method", "path", "scope"), protected())
def test_an_expired_token_opens_nothing(api: Api, method: str, path: str, scope: str):
    _token, clear = ApiToken.issue("ended", list(ApiToken.SCOPES), timezone.now() - timedelta(days=1))
    answer = api.client.generic(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {clear}"})
    assert answer.status_code == 401
    metrics = api.client.get("/metrics", headers={"Authorization": f"Bearer {clear}", "Host": "push.example.com"})
    assert metrics.status_code in (400, 401)
