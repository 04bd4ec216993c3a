"""The API's description in OpenAPI 3.1. Tests hold it against the URL configuration and real answers."""

from typing import Any

from django.http import HttpResponse

from pushes import tags
from pushes.api.endpoint import Call, answer
from pushes.api.pushes import DEFAULT_PAGE, MAX_ITEMS, MAX_PAGE
from pushes.names import App, Environment, Kind, Platform, PushType, Reason, RecordStatus, Status
from pushes.preferences import MOST_ENTRIES

Schema = dict[str, Any]


def show(_call: Call) -> HttpResponse:
    return answer(200, document())


def document() -> Schema:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HIGO push platform",
            "version": "1",
            "description": "Submit pushes, keep devices and accounts up to date, ask what became of a push.",
        },
        "servers": [{"url": "/api/v1"}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> dict[str, Schema]:
    push_id = _parameter("record_id", "path", {"type": "integer"})
    token = _parameter("token", "path", {"type": "string"})
    account = _parameter("account_id", "path", {"type": "string", "maxLength": 64})
    key = _parameter("Idempotency-Key", "header", {"type": "string", "maxLength": 128})
    return {
        "/pushes": {
            "post": _operation(
                "Submit one push, or a list of them",
                "push",
                {
                    202: "SubmitAnswer",
                    400: "Error",
                    409: "Error",
                    413: "Error",
                    415: "Error",
                    422: "Error",
                    429: "Error",
                },
                body={"oneOf": [_ref("Push"), {"type": "array", "items": _ref("Push"), "maxItems": MAX_ITEMS}]},
                parameters=[key],
            )
        },
        "/pushes/{record_id}": {
            "get": _operation("State of a push", "read", {200: "PushState", 404: "Error"}, parameters=[push_id])
        },
        "/pushes/{record_id}/deliveries": {
            "get": _operation(
                "Deliveries of a push, page by page",
                "read",
                {200: "DeliveryPage", 400: "Error", 404: "Error"},
                parameters=[
                    push_id,
                    _parameter("after", "query", {"type": "integer", "default": 0}),
                    _parameter("limit", "query", {"type": "integer", "default": DEFAULT_PAGE, "maximum": MAX_PAGE}),
                    _parameter("status", "query", {"type": "string", "enum": list(Status.values)}),
                ],
            )
        },
        "/devices/{token}": {
            "put": _operation(
                "Register a device, or move it to another account",
                "devices",
                {200: "Device", 201: "Device", 400: "Error", 413: "Error", 415: "Error", 422: "Error"},
                body=_ref("Registration"),
                parameters=[token],
            ),
            "delete": _operation(
                "Push nothing to this device any more",
                "devices",
                {204: None, 400: "Error", 404: "Error"},
                parameters=[token, _parameter("app", "query", {"type": "string", "enum": list(App.values)})],
            ),
        },
        "/accounts/{account_id}": {
            "patch": _operation(
                "Log an account in or out, turn its pushes on or off, mute conversations, block senders",
                "accounts",
                {200: "Account", 400: "Error", 413: "Error", 415: "Error", 422: "Error"},
                body=_ref("AccountChange"),
                parameters=[account],
            )
        },
        "/presence/{account_id}": {
            "put": _operation(
                "The account is online",
                "presence",
                {200: "Presence", 400: "Error", 413: "Error", 415: "Error", 422: "Error"},
                body=_ref("PresenceChange"),
                parameters=[account],
            ),
            "delete": _operation("The account is offline", "presence", {204: None, 422: "Error"}, parameters=[account]),
        },
        "/healthz": {"get": _operation("This process answers", "", {200: "Health"})},
        "/readyz": {"get": _operation("So does all that it depends on", "", {200: "Readiness", 503: "Readiness"})},
        "/metrics": {
            "get": {
                "summary": "Prometheus metrics: with scope `metrics`, or from this machine itself",
                "security": [{"token": ["metrics"]}, {}],
                "responses": {
                    "200": {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
                    **_responses({401: "Error", 403: "Error"}),
                },
            }
        },
        "/openapi.json": {"get": _operation("This document", "", {200: "Document"})},
    }


def _operation(
    summary: str,
    scope: str,
    answers: dict[int, str | None],
    *,
    body: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    refusals: dict[int, str | None] = {401: "Error", 403: "Error", 503: "Error"} if scope else {}
    operation: Schema = {
        "summary": summary,
        "security": [{"token": [scope]}] if scope else [],
        "parameters": parameters or [],
        "responses": _responses(refusals | answers),
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _responses(answers: dict[int, str | None]) -> Schema:
    return {
        str(status): {"description": name or "done"}
        | ({"content": {"application/json": {"schema": _ref(name)}}} if name else {})
        for status, name in sorted(answers.items())
    }


def _parameter(name: str, where: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, required: tuple[str, ...] | None = None) -> Schema:
    """Without `required`, all properties are always there; nothing else ever is."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_STATUS_FLAG: Schema = {"type": "integer", "enum": [0, 1]}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "maxItems": MOST_ENTRIES}


def _enum(values: Any) -> Schema:
    return {"type": "string", "enum": list(values)}


def _schemas() -> dict[str, Schema]:
    account_id = {"type": ["string", "integer"]}
    return {
        "Error": _object({"error": _ref("Problem")}),
        "Problem": _object({"code": _TEXT, "message": _TEXT, "field": _TEXT}, ("code", "message")),
        "Push": _object(
            {
                "type": {
                    "type": ["integer", "string", "null"],
                    "enum": [*PushType.values, *map(str, PushType.values), None],
                },
                "to_id": {"oneOf": [account_id, {"type": "array", "items": account_id, "minItems": 1}]},
                "app": _enum(App.values),
                "via": {"type": ["string", "null"], "enum": [*Platform.values, "iphone", None]},
                "title": {"type": ["string", "null"], "maxLength": 128},
                "message": _TEXT,
                "data": {"type": ["object", "array", "null"]},
                "msg_id": {"type": ["string", "integer", "null"], "maxLength": 128},
            },
            ("to_id", "app", "message"),
        ),
        "SubmitAnswer": {"oneOf": [_ref("Accepted"), _ref("SubmitList")]},
        "Accepted": _object({"status": _enum(("accepted", "duplicate")), "id": _NUMBER}),
        "Refused": _object({"status": _enum(("error",)), "error": _ref("Problem")}),
        "SubmitList": _object(
            {
                "results": {"type": "array", "items": {"oneOf": [_ref("Accepted"), _ref("Refused")]}},
                "counts": _object({"accepted": _NUMBER, "duplicate": _NUMBER, "error": _NUMBER}),
            }
        ),
        "PushState": _object(
            {
                "id": _NUMBER,
                "kind": _enum(Kind.values),
                "type": {"type": "integer", "enum": list(PushType.values)},
                "app": _enum(App.values),
                "via": {"type": ["string", "null"], "enum": [*Platform.values, None]},
                "source": _TEXT,
                "msg_id": _or_null(_TEXT),
                "status": _enum(RecordStatus.values),
                "detail": _or_null(_TEXT),
                "recipients": _NUMBER,
                "created_at": _TIME,
                "distributed_at": _or_null(_TIME),
                "expires_at": _TIME,
                "deliveries": {
                    "type": "object",
                    "propertyNames": _enum(Status.values),
                    "additionalProperties": _NUMBER,
                },
            }
        ),
        "DeliveryPage": _object({"items": {"type": "array", "items": _ref("Delivery")}, "next": _or_null(_NUMBER)}),
        "Delivery": _object(
            {
                "id": _NUMBER,
                "account_id": _TEXT,
                "platform": {"type": ["string", "null"], "enum": [*Platform.values, None]},
                "environment": {"type": ["string", "null"], "enum": [*Environment.values, None]},
                "token": {"type": ["string", "null"], "description": "Masked."},
                "status": _enum(Status.values),
                "reason": {"type": ["string", "null"], "enum": [*Reason.values, None]},
                "attempts": _NUMBER,
                "may_have_arrived": {
                    "type": "boolean",
                    "description": "The fate of an attempt was unknown, whatever a later one came to.",
                },
                "provider_code": _or_null(_NUMBER),
                "provider_text": _or_null(_TEXT),
                "provider_push_id": _or_null(_TEXT),
                "created_at": _TIME,
                "due_at": _or_null(_TIME),
                "sent_at": _or_null(_TIME),
                "finished_at": _or_null(_TIME),
            }
        ),
        "Registration": _object(
            {
                "account_id": account_id,
                "app": _enum(App.values),
                "platform": _enum([*Platform.values, "iphone"]),
                "environment": {**_enum(Environment.values), "default": "production"},
                "tags": {
                    "type": ["array", "null"],
                    "items": {"type": "string", "minLength": 1, "maxLength": tags.LONGEST_TAG},
                    "maxItems": tags.MOST_TAGS,
                    "description": "The device has exactly these from now on; null or left out: those that it has.",
                },
            },
            ("account_id", "app", "platform"),
        ),
        "Device": _object(
            {
                "token": {"type": "string", "description": "Masked."},
                "account_id": _TEXT,
                "app": _enum(App.values),
                "platform": _enum(Platform.values),
                "environment": _enum(Environment.values),
                "is_active": _BOOLEAN,
                "tags": {"type": "array", "items": _TEXT},
            }
        ),
        "AccountChange": _object(
            {"login_status": _STATUS_FLAG, "push_status": _STATUS_FLAG}
            | dict.fromkeys(("muted_conversations", "mute", "unmute"), _list(_TEXT))
            | dict.fromkeys(("blocked_accounts", "block", "unblock"), _list(account_id)),
            (),
        ),
        "Account": _object(
            {
                "account_id": _TEXT,
                "login_status": _STATUS_FLAG,
                "push_status": _STATUS_FLAG,
                "muted_conversations": {"type": "array", "items": _TEXT},
                "blocked_accounts": {"type": "array", "items": _TEXT},
            }
        ),
        "PresenceChange": _object(
            {"ttl_seconds": {"type": "integer", "minimum": 1, "maximum": 86_400, "default": 60}}, ()
        ),
        "Presence": _object({"account_id": _TEXT, "is_online": _BOOLEAN, "ttl_seconds": _NUMBER}),
        "Health": _object({"status": _TEXT}),
        "Readiness": _object(
            {
                "status": _enum(("ready", "not ready")),
                "checks": {
                    "type": "object",
                    "additionalProperties": _object(
                        {"ok": _BOOLEAN, "ms": {"type": "number"}, "error": _TEXT}, ("ok",)
                    ),
                },
            }
        ),
        "Document": {"type": "object"},
    }
