"""HTTP/1.1 for the sandbox: bytes to requests, replies to bytes, in order, over connections that stay open.

Also deliberate faults of the wire: late answers, missing answers, half answers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, cast

import httptools

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
#: Of HTTP/2, under way at once on a connection.
MAX_STREAMS = 1_000
JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(slots=True)
class Request:
    """One whole request. Header names are in lower case."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Ending(Enum):
    """What happens to a reply on the wire."""

    SENT = "sent"
    CUT = "cut"
    HALF = "half"
    NEVER = "never"
    #: Over HTTP/2: nothing of the request was looked at. Over HTTP/1.1 there is no such word: the reply is sent.
    REFUSED = "refused"
    GOAWAY = "goaway"


@dataclass(slots=True)
class Reply:
    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    delay_seconds: float = 0.0
    ending: Ending = Ending.SENT

    def encoded(self) -> bytes:
        if self.status == 200 and not self.headers:
            return _OK_HEAD[self.content_type] % len(self.body) + self.body
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}", f"Content-Type: {self.content_type}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


_OK_HEAD = {
    kind: f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: %d\r\n\r\n".encode() for kind in (JSON, HTML)
}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _origin_form(url: bytes) -> bytes:
    """Shorten the whole address that a client sends when the sandbox is its proxy."""
    if url.startswith(b"http://"):
        _, slash, rest = url[len(b"http://") :].partition(b"/")
        return slash + rest
    return url


#: A reply at once, or a coroutine for one that has to wait for something.
Answerer = Callable[[Request], Reply | Coroutine[Any, Any, Reply]]


@dataclass
class Connections:
    """The open connections of a server. A client of HTTP/2 may have `first_streams` under way on a new connection, and
    MAX_STREAMS once a call was answered there. Apple takes one stream until it has seen a valid token."""

    first_streams: int = MAX_STREAMS
    transports: set[asyncio.Transport] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def close(self) -> None:
        for transport in list(self.transports):
            transport.abort()
        for task in list(self.tasks):
            task.cancel()


class Wire(asyncio.Protocol):
    """One connection. A request that arrives during another request's answer waits its turn."""

    def __init__(self, answer: Answerer, connections: Connections) -> None:
        self._answer = answer
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._is_busy = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._connections.transports.add(self._transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._give_up(400)

    # --- httptools calls these -----------------------------------------------------------------
    def on_message_begin(self) -> None:
        self._url, self._headers, self._body, self._body_bytes = b"", {}, [], 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._give_up(413)
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = _origin_form(self._url).partition(b"?")
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, path.decode("latin-1"), query, self._headers, b"".join(self._body))
        keeps_alive = self._parser.should_keep_alive()
        if self._is_busy:
            self._waiting.append((request, keeps_alive))
        else:
            self._begin(request, keeps_alive)

    # -------------------------------------------------------------------------------------------
    def _begin(self, request: Request, keeps_alive: bool) -> None:
        try:
            reply = self._answer(request)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            reply = Reply(b"", 500)
        if isinstance(reply, Reply):
            self._schedule(reply, keeps_alive)
            return
        self._is_busy = True
        task = self._loop.create_task(self._await(reply, keeps_alive))
        self._connections.tasks.add(task)
        task.add_done_callback(self._connections.tasks.discard)

    async def _await(self, reply: Coroutine[Any, Any, Reply], keeps_alive: bool) -> None:
        try:
            ready = await reply
        except Exception:
            log.exception("a late reply")
            ready = Reply(b"", 500)
        self._schedule(ready, keeps_alive)

    def _schedule(self, reply: Reply, keeps_alive: bool) -> None:
        if reply.delay_seconds:
            self._is_busy = True
            self._loop.call_later(reply.delay_seconds, self._finish, reply, keeps_alive)
        else:
            self._finish(reply, keeps_alive)

    def _finish(self, reply: Reply, keeps_alive: bool) -> None:
        if self._transport.is_closing():
            return
        if reply.ending is Ending.NEVER:
            self._is_busy = True
            return
        if reply.ending is Ending.CUT:
            self._transport.abort()
            return
        encoded = reply.encoded()
        if reply.ending is Ending.HALF:
            self._transport.write(encoded[: len(encoded) - len(reply.body) // 2 - 1])
            self._transport.close()
            return
        self._transport.write(encoded)
        if not keeps_alive:
            self._transport.close()
            return
        self._is_busy = False
        if self._waiting:
            self._begin(*self._waiting.popleft())

    def _give_up(self, status: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(Reply(b"", status, headers=(("Connection", "close"),)).encoded())
            self._transport.close()
