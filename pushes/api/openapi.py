"""The API's description in OpenAPI 3.1. Tests compare it with the URL configuration and real answers."""

from collections.abc import Mapping

from django.http import HttpResponse

from pushes.api.endpoint import Call, answer
from pushes.api.pushes import DEFAULT_PAGE, MAX_ITEMS, MAX_PAGE
from pushes.api.schemas import NUMBER, SCHEMAS, TEXT, Schema, one_of, ref
from pushes.names import MAX_TOKEN, App, Status
from pushes.text.device_tokens import MIN_TOKEN

#: The statuses of an invalid body.
UNUSABLE_BODY = (400, 413, 415, 422)


def show(_call: Call) -> HttpResponse:
    return answer(200, document())


def document() -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HIGO push platform",
            "version": "1",
            "description": "Submit pushes, keep devices and accounts up to date, and follow the results of a push.",
        },
        "servers": [{"url": "/api/v1"}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": SCHEMAS,
        },
    }


def _paths() -> dict[str, Schema]:
    return {**_pushes(), **_devices(), **_accounts(), **_probes()}


def _pushes() -> dict[str, Schema]:
    push_id = _parameter("record_id", "path", NUMBER)
    submit = _operation(
        "Submit one push, or a list of them",
        "push",
        {202: "SubmitAnswer"},
        refusals=(400, 409, 413, 415, 422, 429),
        body={"oneOf": [ref("Push"), {"type": "array", "items": ref("Push"), "maxItems": MAX_ITEMS}]},
        parameters=[_parameter("Idempotency-Key", "header", {"type": "string", "maxLength": 128})],
    )
    state = _operation("Get the state of a push", "read", {200: "PushState"}, refusals=(404,), parameters=[push_id])
    withdraw = _operation(
        "Withdraw the unsent part of a push",
        "push",
        {200: "Withdrawal"},
        refusals=(404, 409),
        parameters=[push_id],
    )
    deliveries = _operation(
        "List the deliveries of a push, page by page",
        "read",
        {200: "DeliveryPage"},
        refusals=(400, 404),
        parameters=[
            push_id,
            _parameter("after", "query", {**NUMBER, "default": 0}),
            _parameter("limit", "query", {**NUMBER, "default": DEFAULT_PAGE, "maximum": MAX_PAGE}),
            _parameter("status", "query", one_of(Status.values)),
        ],
    )
    return {
        "/pushes": {"post": submit},
        "/pushes/{record_id}": {"get": state, "delete": withdraw},
        "/pushes/{record_id}/deliveries": {"get": deliveries},
    }


def _devices() -> dict[str, Schema]:
    token = _parameter("token", "path", {"type": "string", "minLength": MIN_TOKEN, "maxLength": MAX_TOKEN})
    register = _operation(
        "Register a device, or move it to another account",
        "devices",
        {200: "Device", 201: "Device"},
        refusals=UNUSABLE_BODY,
        body=ref("Registration"),
        parameters=[token],
    )
    forget = _operation(
        "Stop pushing to this device",
        "devices",
        {204: None},
        refusals=(400, 404),
        parameters=[token, _parameter("app", "query", one_of(App.values))],
    )
    return {"/devices/{token}": {"put": register, "delete": forget}}


def _accounts() -> dict[str, Schema]:
    account = _parameter("account_id", "path", {"type": "string", "maxLength": 64})
    change = _operation(
        "Log an account in or out, turn its pushes on or off, mute conversations, block senders",
        "accounts",
        {200: "Account"},
        refusals=UNUSABLE_BODY,
        body=ref("AccountChange"),
        parameters=[account],
    )
    online = _operation(
        "Mark the account as online",
        "presence",
        {200: "Presence"},
        refusals=UNUSABLE_BODY,
        body=ref("PresenceChange"),
        parameters=[account],
    )
    offline = _operation("Mark the account as offline", "presence", {204: None}, refusals=(422,), parameters=[account])
    return {"/accounts/{account_id}": {"patch": change}, "/presence/{account_id}": {"put": online, "delete": offline}}


def _probes() -> dict[str, Schema]:
    metrics = {
        "summary": "Prometheus metrics: scope `metrics`, or a request from this machine",
        "security": [{"token": ["metrics"]}, {}],
        "responses": {
            "200": {"description": "metrics", "content": {"text/plain": {"schema": TEXT}}},
            **_responses(dict.fromkeys((401, 403), "Error")),
        },
    }
    return {
        "/healthz": {"get": _operation("Liveness: this process answers", "", {200: "Health"})},
        "/readyz": {
            "get": _operation(
                "Readiness: the services that it depends on answer", "", {200: "Readiness", 503: "Readiness"}
            )
        },
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("This document", "", {200: "Document"})},
    }


def _operation(
    summary: str,
    scope: str,
    answers: dict[int, str | None],
    *,
    refusals: tuple[int, ...] = (),
    body: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    """Describe an operation. `answers` are schema names by status, None for an answer without a body; `refusals` are
    its own error statuses, besides those of every operation that needs a token."""
    of_any_token = (401, 403, 503) if scope else ()
    operation: Schema = {
        "summary": summary,
        "security": [{"token": [scope]}] if scope else [],
        "parameters": parameters or [],
        "responses": _responses({**answers, **dict.fromkeys((*of_any_token, *refusals), "Error")}),
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _responses(answers: Mapping[int, str | None]) -> Schema:
    return {
        str(status): {"description": name or "done"}
        | ({"content": {"application/json": {"schema": ref(name)}}} if name else {})
        for status, name in sorted(answers.items())
    }


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}
