"""Tell by the first bytes of a connection which HTTP it speaks, and hand it over."""

import asyncio
from typing import cast

from pushes.sandbox.wire import Answerer, Connections, Wire
from pushes.sandbox.wire_http2 import PREFACE, Http2Wire


class Doorman(asyncio.Protocol):
    """A connection of which nothing is known yet."""

    def __init__(self, answer: Answerer, connections: Connections) -> None:
        self._answer = answer
        self._connections = connections
        self._first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._connections.transports.add(self._transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._first += data
        if PREFACE.startswith(self._first[: len(PREFACE)]) and len(self._first) < len(PREFACE):
            return  # it may become either
        kind = Http2Wire if self._first.startswith(PREFACE) else Wire
        wire = kind(self._answer, self._connections)
        self._transport.set_protocol(wire)
        wire.connection_made(self._transport)
        wire.data_received(self._first)
