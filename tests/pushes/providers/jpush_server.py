"""A small JPush: what a test needs of it, over real HTTP, with what it pushed.

It holds to the promise that matters here: the same `cid` again brings the first successful answer again, and no push.
"""

import base64
import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

APP_KEY, MASTER_SECRET = "0123456789abcdef01234567", "89abcdef0123456789abcdef"
#: Registration ids that belong to another app begin so.
DEAD = "dead"
MAX_IDS = 1000


class JPushServer(ThreadingHTTPServer):
    """`faults` are what happens to the next calls, one each: `lost` (the answer, after the push), `dropped` (the call,
    before it), `held` (it waits for `release`, after the push), or a status. `pushed` are the ids that were pushed to,
    `calls` the bodies of all calls to `/v3/push`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults: deque[Any] = deque()
        self.pushed: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.release = threading.Event()
        self.lock = threading.Lock()
        self._answers: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def cids(self) -> list[str]:
        return [call["cid"] for call in self.calls]

    def push(self, body: dict[str, Any]) -> tuple[int, bytes]:
        ids = body["audience"]["registration_id"]
        if len(ids) > MAX_IDS:
            return 400, _error(1003, "too many registration ids")
        known = self._answers.get(body.get("cid", ""))
        if known:
            return 200, known
        alive = [one for one in ids if not one.startswith(DEAD)]
        if not alive:
            return 400, _error(1011, "cannot find user by this audience")
        self.pushed += alive
        answer = b'{"sendno":"0","msg_id":"%d"}' % (18_100_287_008_546_000 + len(self.calls))
        if "cid" in body:
            self._answers[body["cid"]] = answer
        return 200, answer


class _Handler(BaseHTTPRequestHandler):
    server: JPushServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Basic {base64.b64encode(f'{APP_KEY}:{MASTER_SECRET}'.encode()).decode()}":
            self._answer(401, _error(1004, "basic authentication failed"))
        elif self.path == "/v3/push/validate":
            self._answer(400, _error(1011, "cannot find user by this audience"))
        elif self.path == "/v3/status/message":
            self.server.asked.append(body)
            self._answer(200, _fates(body["registration_ids"]))
        else:
            self._push(body)

    def _push(self, body: dict[str, Any]) -> None:
        with self.server.lock:
            self.server.calls.append(body)
            fault = self.server.faults.popleft() if self.server.faults else ""
            if fault == "dropped" or isinstance(fault, int):
                status, answer = fault if isinstance(fault, int) else 500, _error(1000, "server error")
            else:
                status, answer = self.server.push(body)
        if fault == "held":
            self.server.release.wait(60)
        if fault in ("dropped", "lost", "held"):
            self.close_connection = True
            return
        self._answer(status, answer)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("X-Rate-Limit-Reset", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


def _error(code: int, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def _fates(ids: list[str]) -> bytes:
    return json.dumps({one: {"status": 2 if one.startswith(DEAD) else 0} for one in ids}).encode()


@contextlib.contextmanager
def running_jpush() -> Iterator[JPushServer]:
    with JPushServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
