"""The published signature vectors and the official SDKs' odd ways of writing requests, from the server's side."""

import hashlib
import http.client
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import pytest

from pushes.sandbox import forms
from pushes.sandbox.wire import Request
from pushes.sandbox.xinge_checks import is_signed
from tests.pushes.sandbox.client import FORM, LegacyClient, android_message, push_params
from tests.pushes.sandbox.conftest import ANDROID_ID, SECRET
from tests.sandbox_process import Sandbox

VECTORS = json.loads((Path(__file__).parent.parent / "providers" / "vectors.json").read_text())
TOKEN, OTHER = "a1" * 20, "a2" * 20
LIST = "/v2/push/device_list_multiple"


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("vector", VECTORS["v2"], ids=lambda vector: vector["id"])
def test_every_published_signature_is_accepted_and_no_other(vector: dict[str, Any], method: str):
    signature = vector["sign" if method == "POST" else "sign_if_method_were_GET"]
    sent = urlencode(vector["params"] | {"sign": signature}).encode()
    request = Request(method, vector["path"], b"", {b"host": vector["host"].encode()}, sent)
    params = forms.parse(sent)
    assert is_signed(request, params, VECTORS["v2_secret"])
    assert not is_signed(request, params | {"timestamp": "1400000001"}, VECTORS["v2_secret"])
    assert not is_signed(request, params, VECTORS["v2_secret"][::-1])


def post(sandbox: Sandbox, path: str, params: dict[str, Any], tail: str = "") -> Any:
    """The parameters exactly as given, signed and encoded one after the other, followed by `tail`."""
    where = urlsplit(sandbox.url)
    params = {"access_id": ANDROID_ID, "timestamp": int(time.time())} | params
    source = f"POST{where.hostname}{path}" + "".join(f"{name}={params[name]}" for name in sorted(params)) + SECRET
    params["sign"] = hashlib.md5(source.encode()).hexdigest()
    body = "&".join(f"{name}={quote_plus(str(value))}" for name, value in params.items()) + tail
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)
    try:
        connection.request("POST", path, body, headers=FORM)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_the_trailing_ampersand_of_the_java_sdk_changes_nothing(android: LegacyClient, sandbox: Sandbox):
    params = push_params(android_message()) | {"device_token": TOKEN}
    assert post(sandbox, "/v2/push/single_device", params, tail="&")["ret_code"] == 0
    assert [entry["content"] for entry in sandbox.received()] == ["内容 & =1"]


def test_escapes_are_signed_as_they_are_sent_by_the_php_sdk(android: LegacyClient, sandbox: Sandbox):
    escaped = json.dumps(json.loads(android_message()), ensure_ascii=True).replace("/", "\\/")
    assert "\\u" in escaped
    params = push_params(escaped) | {"device_token": TOKEN}
    assert post(sandbox, "/v2/push/single_device", params)["ret_code"] == 0
    assert [entry["title"] for entry in sandbox.received()] == ["标题"]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["python", "compact"])
def test_a_list_is_signed_with_the_spaces_it_is_sent_with(
    android: LegacyClient, sandbox: Sandbox, separators: tuple[str, str]
):
    created = post(sandbox, "/v2/push/create_multipush", push_params(android_message()))
    tokens = json.dumps([TOKEN, OTHER], separators=separators)
    params = {"device_list": tokens, "push_id": created["result"]["push_id"], "send_time": ""}
    assert post(sandbox, LIST, params)["ret_code"] == 0
    assert [entry["token"] for entry in sandbox.received()] == [TOKEN, OTHER]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["python", "compact"])
def test_a_list_over_get_as_over_post(android: LegacyClient, sandbox: Sandbox, separators: tuple[str, str]):
    android.method = "GET"
    created = android.call("/v2/push/create_multipush", **push_params(android_message()))
    tokens = json.dumps([TOKEN, OTHER], separators=separators)
    assert android.call(LIST, device_list=tokens, push_id=created["result"]["push_id"])["ret_code"] == 0
    assert len(sandbox.received()) == 2
