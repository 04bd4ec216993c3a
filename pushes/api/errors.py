"""The error format of the API: `{"error": {"code", "message", "field"?}}` with a status."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse


class ApiError(Exception):
    """`code` is stable and for programs, `message` is for people, `field` names the faulty field of the body."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = dict(headers or {})

    def as_dict(self) -> dict[str, str]:
        shown = {"code": self.code, "message": self.message}
        return shown | {"field": self.field} if self.field else shown


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found", f"No such {what}.")


def invalid(field: str, message: str, *, code: str = "invalid") -> ApiError:
    return ApiError(422, code, message, field=field)


class JsonAnswer(HttpResponse):
    # Without this mark Django logs the path of every refusal, and paths may contain device tokens.
    _has_been_logged = True


def json_response(status: int, content: Any, headers: Mapping[str, str] | None = None) -> HttpResponse:
    response = JsonAnswer(orjson.dumps(content), status=status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    # In a browser that opens an answer as a page nothing may run or load.
    response["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def error_response(error: ApiError) -> HttpResponse:
    return json_response(error.status, {"error": error.as_dict()}, error.headers)
