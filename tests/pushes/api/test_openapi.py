import re
from collections.abc import Callable
from typing import Any

import pytest

from pushes.api.openapi import document
from pushes.api.urls import urlpatterns
from tests.make import make_device
from tests.pushes.api.conftest import Api
from tests.pushes.api.test_pushes import PUSH, make_delivery

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}
DOCUMENT = document()


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def mismatch(value: Any, schema: dict[str, Any], where: str = "answer") -> str:
    """Why `value` does not follow `schema`; empty when it does."""
    schema = resolved(schema)
    if "oneOf" in schema:
        found = [mismatch(value, option, where) for option in schema["oneOf"]]
        return "" if "" in found else " / ".join(found)
    accepted = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    types = tuple(kind for name in accepted for kind in TYPES[name])
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return f"{where}: {value!r} is not {accepted}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, list) and "items" in schema:
        return next(filter(None, (mismatch(item, schema["items"], f"{where}[]") for item in value)), "")
    return _object_mismatch(value, schema, where) if isinstance(value, dict) else ""


def _object_mismatch(value: dict[str, Any], schema: dict[str, Any], where: str) -> str:
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    if missing := set(schema.get("required", ())) - set(value):
        return f"{where}: {missing} missing"
    for name, item in value.items():
        inner = properties.get(name, rest)
        if inner is False:
            return f"{where}: {name} is not described"
        if inner is not True and (found := mismatch(item, inner, f"{where}.{name}")):
            return found
    return ""


def plain(route: str) -> str:
    return "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)


def test_every_address_and_method_is_described_and_nothing_else():
    served = {
        (plain(str(pattern.pattern)), method.lower())
        for pattern in urlpatterns
        if hasattr(pattern.callback, "operations")
        for method in pattern.callback.operations
    }
    described = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert described == served


def test_the_described_scope_is_the_one_that_is_asked_for():
    for pattern in urlpatterns:
        for method, operation in getattr(pattern.callback, "operations", {}).items():
            described = DOCUMENT["paths"][plain(str(pattern.pattern))][method.lower()]
            if operation.scope:
                assert described["security"] == [{"token": [operation.scope]}]


def test_path_parameters_are_described():
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            named = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_every_reference_leads_somewhere():
    references = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert references == set(DOCUMENT["components"]["schemas"])


CALLS: list[tuple[str, str, str, Any, int]] = [
    ("post", "/pushes", "/pushes", PUSH, 202),
    ("post", "/pushes", "/pushes", [PUSH | {"msg_id": 1}, PUSH | {"msg_id": 1}, {"app": "x"}], 202),
    ("post", "/pushes", "/pushes", {"app": "x"}, 422),
    ("post", "/pushes", "/pushes", "text", 422),
    ("get", "/pushes/{record_id}", "/pushes/ID", None, 200),
    ("get", "/pushes/{record_id}", "/pushes/0", None, 404),
    ("get", "/pushes/{record_id}/deliveries", "/pushes/ID/deliveries?limit=1", None, 200),
    ("get", "/pushes/{record_id}/deliveries", "/pushes/ID/deliveries", None, 200),
    ("get", "/pushes/{record_id}/deliveries", "/pushes/ID/deliveries?limit=x", None, 400),
    ("put", "/devices/{token}", "/devices/token-0001", {"account_id": 1, "app": "higo", "platform": "android"}, 201),
    ("put", "/devices/{token}", "/devices/known-token", {"account_id": 1, "app": "higo", "platform": "android"}, 200),
    ("put", "/devices/{token}", "/devices/token-0001", {}, 422),
    ("delete", "/devices/{token}", "/devices/known-token", None, 204),
    ("delete", "/devices/{token}", "/devices/token-9999", None, 404),
    ("patch", "/accounts/{account_id}", "/accounts/7", {"push_status": 0}, 200),
    ("patch", "/accounts/{account_id}", "/accounts/7", {}, 422),
    ("put", "/presence/{account_id}", "/presence/7", {"ttl_seconds": 5}, 200),
    ("delete", "/presence/{account_id}", "/presence/7", None, 204),
    ("get", "/healthz", "/healthz", None, 200),
    ("get", "/openapi.json", "/openapi.json", None, 200),
]


@pytest.mark.parametrize(("method", "path", "url", "body", "status"), CALLS)
def test_real_answers_are_as_described(api: Api, method: str, path: str, url: str, body: Any, status: int):
    record_id = api.call("POST", "/pushes", PUSH)[1]["id"]
    for token in ("a", "b"):
        make_delivery(record_id, token=token, status="skipped", reason="no_device")
    make_device(token="known-token")
    given, answer = api.call(method.upper(), url.replace("ID", str(record_id)), body)
    assert given == status
    described = DOCUMENT["paths"][path][method]["responses"][str(status)]
    if status == 204:
        assert (answer, "content" in described) == (None, False)
        return
    assert mismatch(answer, described["content"]["application/json"]["schema"]) == ""


@pytest.mark.parametrize(("method", "path", "url", "body", "status"), CALLS)
def test_real_requests_are_as_described(method: str, path: str, url: str, body: Any, status: int):
    if body is None or status >= 400 or isinstance(body, list):
        return
    schema = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    assert mismatch(body, schema) == ""


@pytest.mark.django_db(transaction=True)
def test_readiness_is_as_described(api: Api):
    status, answer = api.call("GET", "/readyz")
    described = DOCUMENT["paths"]["/readyz"]["get"]["responses"][str(status)]
    assert mismatch(answer, described["content"]["application/json"]["schema"]) == ""


def test_refusals_are_as_described(api: Api, make_api: Callable[..., Api]):
    for client, status in ((Api(api.client, "wrong"), 401), (make_api("push"), 403)):
        given, answer = client.call("GET", "/pushes/1")
        assert (given, mismatch(answer, {"$ref": "#/components/schemas/Error"})) == (status, "")


def test_the_checker_itself_finds_what_is_wrong():
    schema = DOCUMENT["components"]["schemas"]["Account"]
    good = {"account_id": "7", "login_status": 1, "push_status": 0, "muted_conversations": [], "blocked_accounts": []}
    assert mismatch(good, schema) == ""
    for bad in (good | {"x": 1}, good | {"login_status": 2}, good | {"account_id": 7}, {"account_id": "7"}):
        assert mismatch(bad, schema)
