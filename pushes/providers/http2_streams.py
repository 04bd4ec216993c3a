"""HTTP/2 on one connection, as far as POSTs need it: bytes come in, answers come out, and no socket is seen.

What the send window relies on is here: whether the server can have processed a request. It provably has not where the
server refused the stream, where the stream's number lies above the last one of a GOAWAY, and where not one byte of the
request was handed to the socket.
"""

from collections.abc import Callable
from typing import Any

from pushes.providers import http2_wire as wire
from pushes.providers.base import MAX_ANSWER_BYTES, Answer, HttpResponse, TransportFailure
from pushes.providers.http2_wire import Fields, ProtocolError, frame

#: So much may come before we allow more: any answer of a stream, and many streams' on a connection.
_OUR_STREAM_WINDOW = MAX_ANSWER_BYTES + wire.FRAME_BYTES
_OUR_WINDOW = 2**24
#: More requests wait in the window, where they can still go elsewhere, than in front of a socket that takes no more.
_MAX_UNSENT_BYTES = 262_144
#: Tells the server that no head refers to a table of ours, whatever it allows.
_NO_TABLE = b"\x20"
_OUR_SETTINGS = wire.SETTING.pack(wire.ENABLE_PUSH, 0) + wire.SETTING.pack(wire.INITIAL_WINDOW, _OUR_STREAM_WINDOW)
_GREETING = (
    wire.PREFACE
    + frame(wire.SETTINGS, 0, 0, _OUR_SETTINGS)
    + frame(wire.WINDOW_UPDATE, 0, 0, wire.word(_OUR_WINDOW - wire.WINDOW_BYTES))
)


class Stream:
    """One request and what has come of its answer."""

    __slots__ = ("begins_at", "call", "chunks", "headers", "number", "size", "status", "unsent", "window")

    def __init__(self, call: Any, number: int, begins_at: int, window: int, body: bytes) -> None:
        self.call = call
        self.number = number
        self.begins_at = begins_at
        self.window = window
        self.unsent = body
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.size = 0


class Streams:
    """The client's side of one connection.

    `out` is what the socket is to take; `taken(n)` and `tried(n)` tell what became of it. `ended` collects the calls
    that are over, each with its answer; a failure with `was_sent` False means that the server has not processed it.
    """

    def __init__(self) -> None:
        self.out = bytearray(_GREETING)
        self.streams: dict[int, Stream] = {}
        self.ended: list[tuple[Any, Answer]] = []
        #: The server's SETTINGS have come, so we know how many streams it allows.
        self.is_ready = False
        #: The server takes no new streams.
        self.is_leaving = False
        self.awaits_pong = False
        self.answers = 0
        self._is_silent = False
        #: What the server said when it left.
        self.last_words = ""
        self._taken = self._tried = 0
        self._rest = b""
        self._next = 1
        self._window = self._initial_window = wire.WINDOW_BYTES
        self._frame_bytes = wire.FRAME_BYTES
        self._max_streams = wire.MAX_NUMBER
        self._heads = wire.HeadReader()
        self._read = 0

    # --- requests -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the server takes new streams at all."""
        return not self.is_leaving and self._next < wire.MAX_NUMBER

    @property
    def was_used(self) -> bool:
        return self._next > 1

    def has_room(self, body_bytes: int) -> bool:
        """Whether a request can be written now. One whose body does not fit the server's windows waits, unless nothing
        else is under way: then it is written as the windows allow."""
        if not self.is_ready or self.awaits_pong or not self.is_open or len(self.out) > _MAX_UNSENT_BYTES:
            return False
        if not self.streams:
            return self._max_streams > 0
        return len(self.streams) < self._max_streams and body_bytes <= min(self._window, self._initial_window)

    def open(self, call: Any, block: bytes, body: bytes) -> Stream:
        """Write a request, as far as the windows allow."""
        number = self._next
        self._next += 2
        stream = Stream(call, number, self._taken + len(self.out), self._initial_window, body)
        self.streams[number] = stream
        kind, first = wire.HEADERS, _NO_TABLE + block if number == 1 else block
        while len(first) > self._frame_bytes:
            self._write(frame(kind, 0, number, first[: self._frame_bytes]))
            kind, first = wire.CONTINUATION, first[self._frame_bytes :]
        self._write(frame(kind, wire.END_HEADERS, number, first))
        self._send_body(stream)
        return stream

    def cancel(self, stream: Stream) -> None:
        """End a stream that nobody waits for any more."""
        del self.streams[stream.number]
        if self.was_sent(stream):
            self._write(frame(wire.RST_STREAM, 0, stream.number, wire.word(wire.CANCEL)))
        else:
            self._fall_silent(stream.begins_at)

    def _fall_silent(self, begins_at: int) -> None:
        """The socket has taken nothing since the stream there was opened: never write what comes from there on. The
        answers to what was written before may still come."""
        del self.out[begins_at - self._taken :]
        self.is_leaving = self._is_silent = True
        for number in [one for one, stream in self.streams.items() if stream.begins_at >= begins_at]:
            failure = TransportFailure(False, "the server takes no more data")
            self.ended.append((self.streams.pop(number).call, failure))

    def _write(self, data: bytes) -> None:
        if not self._is_silent:
            self.out += data

    def ping(self) -> None:
        """Ask whether the server is still there; until it answers, no request is written."""
        self.awaits_pong = True
        self._write(frame(wire.PING, 0, 0, b"is there"))

    def tried(self, size: int) -> None:
        """The socket was offered this much of `out`: TLS may have sent some of it even when it says no."""
        self._tried = max(self._tried, self._taken + size)

    def taken(self, size: int) -> None:
        """The socket has taken this much of `out`."""
        del self.out[:size]
        self._taken += size

    def was_sent(self, stream: Stream) -> bool:
        return self._tried > stream.begins_at

    def broke(self, text: str) -> None:
        """The connection is gone: whatever was written may have been processed."""
        self.is_leaving = True
        for stream in self.streams.values():
            self.ended.append((stream.call, TransportFailure(self.was_sent(stream), text)))
        self.streams.clear()

    def _send_body(self, stream: Stream) -> None:
        while stream.unsent:
            size = min(len(stream.unsent), self._window, stream.window, self._frame_bytes)
            if size <= 0:
                return
            piece, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._window -= size
            stream.window -= size
            self._write(frame(wire.DATA, 0 if stream.unsent else wire.END_STREAM, stream.number, piece))

    def _send_bodies(self) -> None:
        for stream in self.streams.values():
            if stream.unsent:
                self._send_body(stream)

    # --- what the server says -----------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take in what the socket had. Raises ProtocolError when the connection cannot go on."""
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at >= wire.HEAD_BYTES:
            size, kind, flags, number = wire.head_at(buffer, at)
            if size > wire.FRAME_BYTES or (not self.is_ready and kind != wire.SETTINGS):
                raise ProtocolError("a frame that is too large" if self.is_ready else "no SETTINGS at first")
            if end - at - wire.HEAD_BYTES < size:
                break
            if self._heads.is_within is not (kind == wire.CONTINUATION):
                raise ProtocolError("a head in pieces that are not in order")
            at += wire.HEAD_BYTES + size
            handle = _HANDLERS.get(kind)
            if handle is not None:
                handle(self, flags, number, buffer[at - size : at])
        self._rest = buffer[at:]

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        fields = self._heads.begin(flags, number, payload)
        if fields is not None:
            self._head(number, fields, is_last=bool(flags & wire.END_STREAM))

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        is_last, fields = self._heads.go_on(flags, number, payload)
        if fields is not None:
            self._head(number, fields, is_last=is_last)

    def _head(self, number: int, fields: Fields, *, is_last: bool) -> None:
        stream = self._stream(number)
        if stream is None:
            return
        if stream.status:  # a trailer
            if not is_last:
                self._give_up(stream, "the answer has two heads")
        elif not self._read_head(stream, fields, is_last):
            return
        if is_last:
            self._finish(stream)

    def _read_head(self, stream: Stream, fields: Fields, is_last: bool) -> bool:
        """Whether it was the answer's own head, and not an interim one."""
        found = dict(fields)
        status = found.pop(":status", "")
        if not (len(status) == 3 and status.isascii() and status.isdigit()) or (status[0] == "1" and is_last):
            self._give_up(stream, "the answer has no status")
            return False
        if status[0] == "1":
            return False
        stream.status, stream.headers = int(status), found
        return True

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._read += len(payload)
        if self._read >= _OUR_WINDOW // 2:
            self._write(frame(wire.WINDOW_UPDATE, 0, 0, wire.word(self._read)))
            self._read = 0
        stream = self._stream(number)
        if stream is None:
            return
        payload = wire.unpadded(flags, payload)
        stream.size += len(payload)
        stream.chunks.append(payload)
        if not stream.status:
            self._give_up(stream, "the answer has no head")
        elif stream.size > MAX_ANSWER_BYTES:
            self._give_up(stream, f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        elif flags & wire.END_STREAM:
            self._finish(stream)

    def _finish(self, stream: Stream) -> None:
        announced = stream.headers.get("content-length")
        if announced is not None and announced != str(stream.size):
            self._give_up(stream, f"the answer has {stream.size} bytes instead of {announced}")
            return
        self.answers += 1
        self.ended.append((stream.call, HttpResponse(stream.status, b"".join(stream.chunks), stream.headers)))
        if stream.unsent:
            self.cancel(stream)
        else:
            del self.streams[stream.number]

    def _give_up(self, stream: Stream, text: str) -> None:
        self.cancel(stream)
        self.ended.append((stream.call, TransportFailure(True, text)))

    def _stream(self, number: int) -> Stream | None:
        """The stream, or None when it is over for us. The server may still have been writing to it."""
        if number >= self._next or not number & 1:
            raise ProtocolError("a stream that nobody opened")
        return self.streams.get(number)

    def _reset(self, _flags: int, number: int, payload: bytes) -> None:
        code = wire.word_of(payload)
        stream = self._stream(number)
        if stream is None:
            return
        del self.streams[number]
        was_processed = code != wire.REFUSED_STREAM or stream.status > 0
        text = f"the server ended the stream ({wire.error_name(code)})"
        self.ended.append((stream.call, TransportFailure(was_processed, text)))

    def _goaway(self, _flags: int, _number: int, payload: bytes) -> None:
        if len(payload) < 8:
            raise ProtocolError("a GOAWAY that is too short")
        last, code = wire.word_of(payload[:4]) & wire.MAX_NUMBER, wire.word_of(payload[4:8])
        words = payload[8:208].decode("utf-8", "replace")
        text = f"the server closed the connection (GOAWAY {wire.error_name(code)}{f': {words}' if words else ''})"
        self.is_leaving, self.last_words = True, text
        for above in [one for one in self.streams if one > last]:
            self.ended.append((self.streams.pop(above).call, TransportFailure(False, text)))

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number or len(payload) % 6 or (flags & wire.ACK and payload):
            raise ProtocolError("SETTINGS that cannot be read")
        if flags & wire.ACK:
            return
        for name, value in wire.SETTING.iter_unpack(payload):
            if name == wire.MAX_STREAMS:
                self._max_streams = value
            elif name == wire.MAX_FRAME:
                if not wire.FRAME_BYTES <= value < 2**24:
                    raise ProtocolError("frames of a size that cannot be")
                self._frame_bytes = value
            elif name == wire.INITIAL_WINDOW:
                self._resize_windows(value)
        self.is_ready = True
        self._write(frame(wire.SETTINGS, wire.ACK, 0, b""))
        self._send_bodies()

    def _resize_windows(self, size: int) -> None:
        if size > wire.MAX_NUMBER:
            raise ProtocolError("a window that is too large")
        change, self._initial_window = size - self._initial_window, size
        for stream in self.streams.values():
            stream.window += change

    def _window_update(self, _flags: int, number: int, payload: bytes) -> None:
        more = wire.word_of(payload) & wire.MAX_NUMBER
        if number:
            stream = self._stream(number)
            if stream is not None:
                stream.window += more
                self._send_body(stream)
            return
        self._window += more
        if not more or self._window > wire.MAX_NUMBER:
            raise ProtocolError("a window that is too large, or grows by nothing")
        self._send_bodies()

    def _ping(self, flags: int, _number: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise ProtocolError("a PING of another size")
        if flags & wire.ACK:
            self.awaits_pong = False
        else:
            self._write(frame(wire.PING, wire.ACK, 0, payload))

    def _push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise ProtocolError("a push that was not asked for")


_HANDLERS: dict[int, Callable[[Streams, int, int, bytes], None]] = {
    wire.DATA: Streams._data,
    wire.HEADERS: Streams._headers,
    wire.RST_STREAM: Streams._reset,
    wire.SETTINGS: Streams._settings,
    wire.PUSH_PROMISE: Streams._push,
    wire.PING: Streams._ping,
    wire.GOAWAY: Streams._goaway,
    wire.WINDOW_UPDATE: Streams._window_update,
    wire.CONTINUATION: Streams._continuation,
}
