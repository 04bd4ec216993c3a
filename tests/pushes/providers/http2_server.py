"""An HTTP/2 server on the library `h2`, so not on our own reading of the protocol, that does what the test says.

It keeps what it *processed*, apart from what it only read: a test can hold that against what the window reported.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame


@dataclass
class Request:
    """One request that was read whole; the `number`-th of its connection."""

    stream: int
    number: int
    headers: dict[str, str]
    body: bytes


Handler = Callable[["ServerConnection", Request], None]


class GoneError(Exception):
    """The connection is over."""


@dataclass
class Behaviour:
    """What a server does besides `handle`, which is called in the connection's thread for each request."""

    handle: Handler
    settings: dict[SettingCodes | int, int] = field(default_factory=dict)
    #: Whether the client may go on sending what was read.
    grants_more: bool = True
    #: Called in place of reading, when a connection has come up; raising GoneError ends it.
    greet: Callable[["ServerConnection"], None] = lambda _connection: None
    #: Sends every byte by itself.
    drips: bool = False


class ServerConnection:
    def __init__(self, server: "Http2Server", stream: socket.socket) -> None:
        self.server = server
        self.stream = stream
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings.update(server.behaviour.settings)
        self.h2.local_settings.acknowledge()  # so that they stand in the first SETTINGS
        self.h2.decoder.max_header_list_size = 100_000
        self.waiting: list[Request] = []
        self.open = 0
        self.most_open = 0
        self.count = 0
        self.streams: list[int] = []
        self.cancelled: list[int] = []
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}

    def run(self) -> None:
        self.h2.initiate_connection()
        self.flush()
        self.server.behaviour.greet(self)
        while data := self.stream.recv(65536):
            for event in self.h2.receive_data(data):
                self._on(event)
            self.flush()

    def _on(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            self._heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, DataReceived):
            self._bodies[event.stream_id] += event.data
            if self.server.behaviour.grants_more:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamReset):
            self.cancelled.append(event.stream_id)
        elif isinstance(event, StreamEnded):
            self.count += 1
            self.streams.append(event.stream_id)
            body = bytes(self._bodies.pop(event.stream_id))
            request = Request(event.stream_id, self.count, self._heads.pop(event.stream_id), body)
            self.server.read.append(body)
            self.server.behaviour.handle(self, request)

    # --- what a handler may do ----------------------------------------------------------------

    def process(self, request: Request) -> None:
        self.server.processed[request.body] += 1

    def answer(
        self, request: Request, status: int = 200, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.open -= 1
        head = [(":status", str(status)), *headers]
        self.h2.send_headers(request.stream, head, end_stream=not body)
        if body:
            self.h2.send_data(request.stream, body, end_stream=True)
        self.flush()

    def process_and_answer(self, request: Request) -> None:
        self.process(request)
        self.answer(request)

    def reset(self, request: Request, code: ErrorCodes) -> None:
        self.open -= 1
        self.h2.reset_stream(request.stream, code)
        self.flush()

    def allow(self, streams: int) -> None:
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()

    def leave(self, last: int, code: ErrorCodes = ErrorCodes.NO_ERROR, words: bytes = b"") -> None:
        """Say GOAWAY. Past the library, which would not let us answer the streams below it any more."""
        self.raw(GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=words))

    def cut(self) -> None:
        """Close with RST instead of FIN. With TLS the socket below."""
        self.flush()
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        raise GoneError

    def end(self) -> None:
        """Close as a careful server does: a socket that is closed with unread data resets the connection, and what it
        has said before may be lost."""
        self.flush()
        socket.socket.shutdown(self.stream, socket.SHUT_WR)
        self.stream.settimeout(10)
        while socket.socket.recv(self.stream, 65536):
            pass
        raise GoneError

    def raw(self, *frames: Frame) -> None:
        self.flush()
        for one in frames:
            self._send(one.serialize())

    def flush(self) -> None:
        self._send(self.h2.data_to_send())

    def _send(self, data: bytes) -> None:
        if not self.server.behaviour.drips:
            self.stream.sendall(data)
            return
        for byte in data:
            self.stream.sendall(bytes([byte]))


class Http2Server:
    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None) -> None:
        self.behaviour = behaviour
        self.read: list[bytes] = []
        self.processed: Counter[bytes] = Counter()
        self.all: list[ServerConnection] = []
        self.faults: list[Exception] = []
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://localhost:{self._socket.getsockname()[1]}/3/device/"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        return len(self.all)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context:
                stream = self._context.wrap_socket(stream, server_side=True)
            connection = ServerConnection(self, stream)
            self.all.append(connection)
            connection.run()
        except ProtocolError as error:  # what the client did was not right
            self.faults.append(error)
        except (OSError, GoneError):
            pass
        finally:
            stream.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        assert self.faults == []


@contextlib.contextmanager
def serving(handle: Handler, context: ssl.SSLContext | None = None, **more: object) -> Iterator[Http2Server]:
    server = Http2Server(Behaviour(handle, **more), context)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
