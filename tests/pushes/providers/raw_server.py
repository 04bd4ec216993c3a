"""A server that does with a connection what the test says, and keeps every request that it read whole."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n" + b'{"ret_code":0}'

Handler = Callable[["Connection"], None]


class Connection:
    def __init__(self, server: "RawServer", stream: socket.socket) -> None:
        self._server = server
        self.stream = stream

    def read_request(self) -> bytes:
        """One whole request; raises ConnectionError when the client is gone."""
        data = self._more(b"")
        while b"\r\n\r\n" not in data:
            data = self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < int(lengths[0].split(b":")[1]):
            body = self._more(body)
        self._server.requests.append(body)
        return head + b"\r\n\r\n" + body

    def _more(self, data: bytes) -> bytes:
        chunk = self.stream.recv(65536)
        if not chunk:
            raise ConnectionError
        return data + chunk

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.stream.close()

    def wait_until_client_leaves(self) -> None:
        with contextlib.suppress(OSError):
            while self.stream.recv(65536):
                pass


class RawServer:
    def __init__(self, handle: Handler, context: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._handle = handle
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://localhost:{self._socket.getsockname()[1]}/v2/push/single_device"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context:
                stream = self._context.wrap_socket(stream, server_side=True)
            self._handle(Connection(self, stream))
        stream.close()

    def close(self) -> None:
        # Without the shutdown the accepting thread would keep the closed socket listening.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def serving(handle: Handler, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    server = RawServer(handle, context)
    try:
        yield server
    finally:
        server.close()


def answering(data: bytes = OK) -> Handler:
    """Answer every request on the connection with `data`."""

    def handle(connection: Connection) -> None:
        while True:
            connection.read_request()
            connection.send(data)

    return handle
