import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from django.http import HttpResponse
from django.test import Client

from pushes.models import ApiToken


@dataclass
class Api:
    """A client of the API with one token. `call` answers status and decoded JSON (None for no body)."""

    client: Client
    clear: str

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        response = self.raw(method, path, body, **headers)
        return response.status_code, json.loads(response.content) if response.content else None

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        content = b"" if body is None else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {self.clear}"} | headers
        answer: Any = self.client.generic(method, f"/api/v1{path}", content, "application/json", headers=given)
        return cast(HttpResponse, answer)


@pytest.fixture
def make_api(db: None) -> Callable[..., Api]:
    """`make_api("push", "read")`: a client whose new token has these scopes (all without any)."""

    def make(*scopes: str) -> Api:
        name = f"token {ApiToken.objects.count()}"
        return Api(Client(), ApiToken.issue(name, list(scopes or ApiToken.SCOPES))[1])

    return make


@pytest.fixture
def api(make_api: Callable[..., Api], redis_client: Any) -> Api:
    """A client with every scope."""
    return make_api()
