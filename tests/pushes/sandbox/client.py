"""A Xinge v2 client as the official Python SDK of 2016 did it, written anew from the protocol alone.

It shares nothing with pushes.providers, so that the two sides of the protocol cannot be wrong together.
"""

import hashlib
import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class LegacyClient:
    def __init__(self, url: str, access_id: int, secret: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), parts.port
        self.access_id = access_id
        self.secret = secret
        self.method = "POST"
        #: The name that is signed, and sent as Host; None sends what http.client sends, with the port.
        self.host_header: str | None = None
        self.headers = dict(FORM)

    def call(self, path: str, **params: Any) -> Any:
        """The `ret_code`s of the SDK; other HTTP statuses are returned as -100, as it did."""
        status, body = self.raw_call(path, params)
        return json.loads(body) if status == 200 else {"ret_code": -100}

    def raw_call(self, path: str, params: dict[str, Any]) -> tuple[int, bytes]:
        params = {"access_id": self.access_id, "timestamp": int(time.time())} | params
        params = {name: value for name, value in params.items() if value is not None}
        params.setdefault("sign", self.sign(path, params))
        headers = dict(self.headers)
        if self.host_header:
            headers["Host"] = self.host_header
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            encoded = urlencode(params)
            if self.method == "GET":
                connection.request("GET", f"{path}?{encoded}", headers=headers)
            else:
                connection.request(self.method, path, encoded, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def sign(self, path: str, params: dict[str, Any]) -> str:
        source = self.method + (self.host_header or self.host) + path
        for name in sorted(params):
            source += f"{name}={params[name]}"
        return hashlib.md5((source + self.secret).encode()).hexdigest()


def android_message(**changes: Any) -> str:
    message = {
        "title": "标题",
        "content": "内容 & =1",
        "builder_id": 0,
        "n_id": 7,
        "action": {"action_type": 1, "activity": ""},
        "custom_content": {"k": "值"},
    }
    return json.dumps(message | changes, separators=(",", ":"), ensure_ascii=False)


def ios_message(**changes: Any) -> str:
    message: dict[str, Any] = {"aps": {"alert": "买家已付款", "badge": 1, "sound": "beep.wav"}, "push_type": 8}
    return json.dumps(message | changes, separators=(",", ":"), ensure_ascii=False)


def push_params(message: str, **changes: Any) -> dict[str, Any]:
    """The push-common parameters as the SDKs send them for Android."""
    params: dict[str, Any] = {"message": message, "message_type": 1, "environment": 0}
    return params | {"expire_time": 0, "send_time": "", "multi_pkg": 0} | changes


def ios_params(message: str, **changes: Any) -> dict[str, Any]:
    return push_params(message, message_type=11, environment=1) | changes
