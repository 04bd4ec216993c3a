"""A vendor that wants access tokens, as a real HTTP server: Huawei v1, whose tokens are exchanged for a secret."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from pushes.providers.huawei_v1 import HuaweiV1

ACCEPTED, STALE, REFUSED = "80000000", "80200003", "80200001"


class Vendor:
    """What the vendor knows and has seen, and how it behaves: a test sets that."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret = ""
        self.latency = 0.0
        self.life = 3600
        self.exchange_status = 200
        self.grants_stale = False
        self.tokens: list[str] = []
        self.valid: set[str] = set()
        self.pushed: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.lock = threading.Lock()

    @property
    def exchanges(self) -> int:
        return len(self.tokens)

    def grant(self, form: dict[str, list[str]]) -> tuple[int, object]:
        time.sleep(self.latency)
        with self.lock:
            text = f"token-{len(self.tokens)}"
            self.tokens.append(text)
            if self.exchange_status != 200:
                return self.exchange_status, {}
            if self.secret and form["client_secret"] != [self.secret]:
                return 400, {"error": 1101, "error_description": "invalid client"}
            if not self.grants_stale:
                self.valid.add(text)
        return 200, {"access_token": text, "expires_in": self.life, "token_type": "Bearer"}

    def push(self, bearer: str, body: dict[str, object]) -> tuple[int, object]:
        tokens = body["message"]["token"]  # type: ignore[index]
        with self.lock:
            if bearer not in self.valid:
                self.refused += tokens
                return 401, {"code": STALE, "msg": "oauth token expired"}
            self.pushed += [(token, bearer) for token in tokens]
        return 200, {"code": ACCEPTED, "msg": "Success", "requestId": "1"}

    def expire(self) -> None:
        """Refuse every token that was granted so far."""
        with self.lock:
            self.valid.clear()


def stored(secret: str) -> str:
    """Return what an app key of this vendor stores of a client secret."""
    return HuaweiV1().sealed({"app_id": "100", "client_secret": secret}).secret


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/oauth2/v3/token":
                status, answer = vendor.grant(parse_qs(body.decode()))
            else:
                bearer = self.headers["Authorization"].removeprefix("Bearer ")
                status, answer = vendor.push(bearer, json.loads(body))
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            # A caller with a short patience has gone.
            with suppress(ConnectionError):
                self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    vendor = Vendor(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
