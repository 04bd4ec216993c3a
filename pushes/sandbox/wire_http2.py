"""HTTP/2 for the sandbox: many requests at once on a connection, over TLS or, with prior knowledge, in the clear.

Besides the faults of HTTP/1.1, a stream can be refused before it is looked at, and a connection can say that it goes
away and which streams it has looked at.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from pushes.sandbox.wire import MAX_BODY_BYTES, MAX_STREAMS, Answerer, Connections, Ending, Reply, Request

log = logging.getLogger(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_BYTES = 2**24


@dataclass(slots=True)
class Stream:
    """One request as it comes in, and what is left to say of its answer."""

    headers: dict[bytes, bytes]
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0
    rest: bytes = b""


_NOTHING = Stream({})


class Http2Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, answer: Answerer, connections: Connections) -> None:
        self._answer = answer
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, Stream] = {}
        self._is_leaving = False
        self._last_taken = 0
        self._has_few_streams = connections.first_streams < MAX_STREAMS
        self._connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._connections.transports.add(self._transport)
        self._connection.local_settings.update(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: self._connections.first_streams,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            }
        )
        self._connection.local_settings.acknowledge()  # so that they stand in the first SETTINGS
        self._connection.initiate_connection()
        self._connection.increment_flow_control_window(WINDOW_BYTES)
        self._write()

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.transports.discard(self._transport)
        self._streams.clear()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
        except ProtocolError as error:
            log.info("a connection broke the rules of HTTP/2: %s", error)
            self._write()
            self._transport.close()
            return
        for event in events:
            self._handle(event)
        self._write()

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._streams[event.stream_id] = Stream(dict(event.headers or ()))
        elif isinstance(event, DataReceived):
            self._take(event)
        elif isinstance(event, StreamEnded):
            self._begin(event.stream_id)
        elif isinstance(event, StreamReset):
            self._streams.pop(event.stream_id, None)
        elif isinstance(event, WindowUpdated):
            for number in [event.stream_id] if event.stream_id else list(self._streams):
                if self._streams.get(number, _NOTHING).rest:
                    self._send_rest(number)

    def _take(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        self._connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        if stream is None:
            return
        stream.body.append(event.data or b"")
        stream.body_bytes += len(event.data or b"")
        if stream.body_bytes > MAX_BODY_BYTES:
            self._refuse(event.stream_id, ErrorCodes.ENHANCE_YOUR_CALM)

    def _begin(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if self._is_leaving:
            self._streams.pop(number)  # above the last stream that was looked at
            return
        self._last_taken = max(self._last_taken, number)
        try:
            reply = self._answer(_request(stream))
        except Exception:
            log.exception("stream %s", number)
            reply = Reply(b"", 500)
        if isinstance(reply, Reply):
            self._schedule(number, reply)
            return
        task = self._loop.create_task(self._await(number, reply))
        self._connections.tasks.add(task)
        task.add_done_callback(self._connections.tasks.discard)

    async def _await(self, number: int, reply: Coroutine[Any, Any, Reply]) -> None:
        try:
            ready = await reply
        except Exception:
            log.exception("a late reply")
            ready = Reply(b"", 500)
        self._schedule(number, ready)
        self._write()

    def _schedule(self, number: int, reply: Reply) -> None:
        if reply.delay_seconds:
            self._loop.call_later(reply.delay_seconds, self._finish_late, number, reply)
        else:
            self._finish(number, reply)

    def _finish_late(self, number: int, reply: Reply) -> None:
        self._finish(number, reply)
        self._write()

    def _finish(self, number: int, reply: Reply) -> None:
        stream = self._streams.get(number)
        if stream is None or self._transport.is_closing() or reply.ending is Ending.NEVER:
            return
        if reply.ending is Ending.CUT:
            self._transport.abort()
        elif reply.ending is Ending.REFUSED:
            self._refuse(number, ErrorCodes.REFUSED_STREAM)
        elif reply.ending is Ending.GOAWAY:
            self._leave(number)
        else:
            self._send(number, stream, reply)

    def _send(self, number: int, stream: Stream, reply: Reply) -> None:
        head = [(":status", str(reply.status)), ("content-type", reply.content_type)]
        head += [(name.lower(), value) for name, value in reply.headers]
        if self._has_few_streams and reply.status not in (401, 403):
            self._has_few_streams = False
            self._connection.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS})
        is_half = reply.ending is Ending.HALF
        self._connection.send_headers(number, head, end_stream=not reply.body and not is_half)
        stream.rest = reply.body[: len(reply.body) // 2] if is_half else reply.body
        self._send_rest(number, is_half=is_half)

    def _send_rest(self, number: int, *, is_half: bool = False) -> None:
        """Send as much of an answer as the client's windows allow; the rest follows when they open."""
        stream = self._streams.get(number)
        while stream is not None and stream.rest:
            room = min(self._connection.local_flow_control_window(number), self._connection.max_outbound_frame_size)
            if room <= 0:
                return
            piece, stream.rest = stream.rest[:room], stream.rest[room:]
            self._connection.send_data(number, piece, end_stream=not stream.rest and not is_half)
        if stream is not None and is_half:
            self._write()
            self._transport.close()
        else:
            self._streams.pop(number, None)

    def _refuse(self, number: int, code: ErrorCodes) -> None:
        self._streams.pop(number, None)
        self._connection.reset_stream(number, code)

    def _leave(self, number: int) -> None:
        """Say that this stream and all above were not looked at; answer those below, and take no more."""
        self._is_leaving = True
        self._connection.close_connection(ErrorCodes.NO_ERROR, last_stream_id=max(0, number - 2))
        self._write()
        self._transport.close()

    def _write(self) -> None:
        if data := self._connection.data_to_send():
            self._transport.write(data)


def _request(stream: Stream) -> Request:
    headers = stream.headers
    path, _, query = headers.get(b":path", b"/").partition(b"?")
    method = headers.get(b":method", b"GET").decode("latin-1")
    return Request(method, path.decode("latin-1"), query, headers, b"".join(stream.body))
