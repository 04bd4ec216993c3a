"""`python -m bench.http2_server`: answers POSTs over HTTP/1.1, HTTP/2, and HTTP/2 over TLS, as cheaply as can be.

It reads frames but no heads, so a client's speed shows beside it. It prints the three ports, and takes three arguments:
the file of its certificate, the milliseconds to an answer, and how many streams a connection lives (0: for ever).
"""

import asyncio
import ssl
import sys
from pathlib import Path
from typing import cast

import uvloop

from pushes.providers import http2_wire as wire
from pushes.providers.http2_wire import frame
from tests.pushes.providers.certificates import server_context

BODY = b'{"ret_code":0}'
OLD = b"HTTP/1.1 200 OK\r\napns-id: 123e4567-e89b-12d3-a456-4266554400a0\r\nContent-Length: 14\r\n\r\n" + BODY
#: `:status: 200`, and a header that no table keeps.
HEAD = b"\x88\x00\x07apns-id\x24123e4567-e89b-12d3-a456-4266554400a0"
STREAMS = wire.SETTING.pack(wire.MAX_STREAMS, 1000) + wire.SETTING.pack(wire.INITIAL_WINDOW, 2**20)
GREETING = frame(wire.SETTINGS, 0, 0, STREAMS) + frame(wire.WINDOW_UPDATE, 0, 0, wire.word(2**31 - 1 - 65_535))


class Answering(asyncio.Protocol):
    def __init__(self, latency_seconds: float, lives_for: int) -> None:
        self.latency_seconds = latency_seconds
        self.lives_for = lives_for
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def later(self, data: bytes) -> None:
        if not data:
            return
        if self.latency_seconds:
            asyncio.get_running_loop().call_later(self.latency_seconds, self.transport.write, data)
        else:
            self.transport.write(data)


class Old(Answering):
    """HTTP/1.1: one request at a time on a connection."""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head, separator, body = self.rest.partition(b"\r\n\r\n")
        if not separator:
            return
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) >= size:
            self.rest = b""
            self.later(OLD)


class New(Answering):
    """HTTP/2. After `lives_for` streams it says GOAWAY, answers those, and leaves the others."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(GREETING)
        self.greeted = False
        self.count = 0

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        if not self.greeted:
            if len(data) < len(wire.PREFACE):
                self.rest = data
                return
            self.greeted, at = True, len(wire.PREFACE)
        answers: list[bytes] = []
        while len(data) - at >= wire.HEAD_BYTES:
            size, kind, flags, number = wire.head_at(data, at)
            if len(data) - at - wire.HEAD_BYTES < size:
                break
            at += wire.HEAD_BYTES + size
            self.frame_received(kind, flags, number, data[at - size : at], answers)
        self.rest = data[at:]
        self.later(b"".join(answers))

    def frame_received(self, kind: int, flags: int, number: int, payload: bytes, answers: list[bytes]) -> None:
        if kind in (wire.SETTINGS, wire.PING) and not flags & wire.ACK:
            self.transport.write(frame(kind, wire.ACK, 0, payload if kind == wire.PING else b""))
        elif kind in (wire.HEADERS, wire.DATA) and flags & wire.END_STREAM:
            self.count += 1
            if not self.lives_for or self.count <= self.lives_for:
                answers.append(frame(wire.HEADERS, wire.END_HEADERS, number, HEAD))
                answers.append(frame(wire.DATA, wire.END_STREAM, number, BODY))
            if self.count == self.lives_for:
                self.transport.write(frame(wire.GOAWAY, 0, 0, wire.word(number) + wire.word(0)))


async def serve(certificate: Path, latency_seconds: float, lives_for: int) -> None:
    loop = asyncio.get_running_loop()
    secure: ssl.SSLContext = server_context(certificate, "h2")
    ports = []
    for kind, context in ((Old, None), (New, None), (New, secure)):
        server = await loop.create_server(
            lambda kind=kind: kind(latency_seconds, lives_for), "127.0.0.1", 0, ssl=context, backlog=1024
        )
        ports.append(server.sockets[0].getsockname()[1])
    print(*ports, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), float(sys.argv[2]) / 1000, int(sys.argv[3])))
