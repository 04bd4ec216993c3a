"""Turn an HTTP request into a handler's call, and the handler's result or error into an HTTP response.

Requests are refused in this order: method, plain HTTP, token, scope, content type, size, JSON. The answer is always
JSON.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from redis import RedisError

from pushes.api import auth
from pushes.api.errors import ApiError, error_response, json_response
from pushes.inbound.payload import PayloadError, parse_json
from pushes.models import ApiToken
from pushes.storage import outages

log = logging.getLogger(__name__)

RETRY_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class Call:
    """A handler's input. `token` is None only on an endpoint without scope; `body` is None without a body."""

    request: HttpRequest = field(repr=False)
    token: ApiToken | None
    body: Any = None


Handler = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a resource. `max_bytes` 0: no body; `body_optional`: an empty one means None."""

    handler: Handler
    scope: str = ""
    max_bytes: int = 0
    body_optional: bool = False


class Resource:
    """The view of one URL, with an operation for each HTTP method."""

    # Browsers never send bearer tokens on their own, so requests cannot be forged.
    csrf_exempt = True

    def __init__(self, **operations: Operation) -> None:
        self.operations = operations

    def __call__(self, request: HttpRequest, **where: Any) -> HttpResponse:
        try:
            return _call(self.operations, request, where)
        except ApiError as error:
            return error_response(error)
        except Exception as error:
            return failed(request, error)


def failed(request: HttpRequest, error: BaseException) -> HttpResponse:
    """Return the answer to a request that ended in an error: 503 for an outage, 500 for a bug."""
    if not is_outage(error):
        log.error("%s %s failed", request.method, _route(request), exc_info=error)
        return error_response(ApiError(500, "internal", "Internal server error; the details are in the server's log."))
    log.warning("%s %s: %s: %s", request.method, _route(request), type(error).__name__, error)
    message = "A service that the API depends on is unavailable; try again later."
    return error_response(ApiError(503, "unavailable", message, headers={"Retry-After": RETRY_SECONDS}))


def is_outage(error: BaseException) -> bool:
    """Whether a service behind the API is unavailable, locked or not set up: the same request may succeed later."""
    return isinstance(error, RedisError) or outages.concerns_everything(error)


def _route(request: HttpRequest) -> str:
    """Return the URL pattern instead of the URL, which may contain a device token."""
    return request.resolver_match.route if request.resolver_match else ""


def _call(operations: dict[str, Operation], request: HttpRequest, where: dict[str, Any]) -> HttpResponse:
    # The server removes the body of an answer to HEAD.
    operation = operations.get("GET" if request.method == "HEAD" else request.method or "")
    if operation is None:
        allowed = ", ".join(sorted(operations))
        message = f"{request.method} is not allowed here; use {allowed}."
        raise ApiError(405, "method_not_allowed", message, headers={"Allow": allowed})
    if operation.scope and settings.SECURE_SSL_REDIRECT and not request.is_secure():
        # A redirect would turn a POST into a GET, and the token has already been exposed.
        raise ApiError(403, "https_required", "Use https: this request came over plain HTTP.")
    token = auth.authenticate(request, operation.scope) if operation.scope else None
    body = _body(request, operation) if operation.max_bytes else None
    return operation.handler(Call(request, token, body), **where)


def _body(request: HttpRequest, operation: Operation) -> Any:
    raw = _raw(request, operation.max_bytes)
    if not raw and operation.body_optional:
        return None
    if request.content_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "The body must be JSON: Content-Type: application/json")
    try:
        return parse_json(raw)
    except PayloadError as error:
        raise ApiError(400, "bad_json", f"The body cannot be read: {error.detail} ({error.reason}).") from None


def _raw(request: HttpRequest, most: int) -> bytes:
    """Return the body. If its length is declared, a too large body is refused before it is read."""
    told = request.META.get("CONTENT_LENGTH") or "0"
    if told.isdigit() and int(told) <= most:
        raw = request.read(most + 1)
        if len(raw) <= most:
            return bytes(raw)
    raise ApiError(413, "too_large", f"The body must not be larger than {most} bytes.")


def answer(status: int, content: Any) -> HttpResponse:
    return json_response(status, content)


def no_content() -> HttpResponse:
    return HttpResponse(status=204)
