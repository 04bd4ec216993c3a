"""A connection that speaks HTTP/2: how it is opened, read and written."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import lru_cache

from pushes.providers.http2_head import Origin
from pushes.providers.http2_streams import Streams
from pushes.providers.http2_wire import ProtocolError
from pushes.providers.http_slot import ConnectionRule, ca_file

_READ_BYTES = 65_536
#: So that one connection does not keep the window from all others.
_READS_AT_ONCE = 64


class Mailbox:
    """Where threads leave the sockets that they opened. Readable by `fileno` while something is in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._letters: list[tuple[Opening, socket.socket | str]] | None = []

    def fileno(self) -> int:
        return self._number

    def put(self, opening: "Opening", found: socket.socket | str) -> None:
        """Leave a socket, or why there is none. Nobody waits for it any more after `close`."""
        with self._lock:
            if self._letters is not None:
                self._letters.append((opening, found))
                os.eventfd_write(self._number, 1)
            elif isinstance(found, socket.socket):
                found.close()

    def take(self) -> list[tuple["Opening", socket.socket | str]]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._number)
        with self._lock:
            letters, self._letters = self._letters or [], []
        return letters

    def close(self) -> None:
        with self._lock:
            letters, self._letters = self._letters or [], None
            os.close(self._number)
        for _opening, found in letters:
            if isinstance(found, socket.socket):
                found.close()


class Opening:
    """A connection that is being opened, by a thread of its own: nothing else can bound a name look-up."""

    def __init__(self, origin: Origin, rule: ConnectionRule | None, seconds: float, mailbox: Mailbox) -> None:
        self.origin = origin
        self.ready_by = time.monotonic() + seconds
        self._rule = rule
        self._mailbox = mailbox
        threading.Thread(target=self._open, name="open-http2", daemon=True).start()

    def _open(self) -> None:
        found: socket.socket | str
        try:
            found = self._connected()
        except (OSError, ValueError) as error:  # a name that is none is a UnicodeError
            found = words(error)
        self._mailbox.put(self, found)

    def _connected(self) -> socket.socket:
        """Try one address after the other, each with an equal share of the time that is left."""
        host = self.origin.host.strip("[]")
        found = socket.getaddrinfo(host, self.origin.port, type=socket.SOCK_STREAM)
        failure: OSError = OSError("the name leads nowhere")
        for left, (family, kind, protocol, _name, address) in zip(range(len(found), 0, -1), found, strict=True):
            if fault := self._rule.fault(str(address[0])) if self._rule else "":
                failure = OSError(fault)
                continue
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self._seconds_left() / left)
                connection.connect(address)
                return self._greeted(connection, host)
            except OSError as error:
                connection.close()
                failure = error
        raise failure

    def _greeted(self, connection: socket.socket, host: str) -> socket.socket:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.origin.scheme == "https":
            connection.settimeout(self._seconds_left())
            secure = _context(ca_file()).wrap_socket(connection, server_hostname=host)
            if secure.selected_alpn_protocol() != "h2":
                secure.close()
                raise OSError("the server does not offer HTTP/2")
            connection = secure
        connection.setblocking(False)
        return connection

    def _seconds_left(self) -> float:
        left = self.ready_by - time.monotonic()
        if left <= 0:
            raise TimeoutError("the connection did not come up in time")
        return left


@lru_cache(maxsize=4)
def _context(authorities: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as libcurl does: a file may name the very certificate
    context.load_verify_locations(authorities)
    context.set_alpn_protocols(["h2"])
    return context


class Connection:
    """An open socket with its streams."""

    def __init__(self, stream: socket.socket, ready_by: float) -> None:
        self.streams = Streams()
        self.is_closed = False
        #: Why it is closed.
        self.end = ""
        self.heard_at = time.monotonic()
        #: When its first SETTINGS or the answer to a PING must have come.
        self.ready_by = ready_by
        #: Whether the window waits until the socket takes more.
        self.is_watched_for_room = False
        self._socket = stream
        self._descriptor = stream.fileno()

    def fileno(self) -> int:
        return self._descriptor

    @property
    def is_pending(self) -> bool:
        """Whether we wait for the server's sign of life."""
        return not self.is_closed and (not self.streams.is_ready or self.streams.awaits_pong)

    def ask(self, ready_by: float) -> None:
        self.ready_by = ready_by
        self.streams.ping()

    def read(self) -> None:
        """Take in what has come. Afterwards the connection may be closed."""
        try:
            for data in self._received():
                self.heard_at = time.monotonic()
                self.streams.receive(data)
        except ProtocolError as error:
            self.close(f"not valid HTTP/2: {error}")
        except OSError as error:
            self.close(words(error))

    def _received(self) -> Iterator[bytes]:
        for _ in range(_READS_AT_ONCE):
            if self.is_closed:
                return
            try:
                data = self._socket.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not data:
                raise ConnectionResetError("the server closed the connection")
            yield data

    def write(self) -> None:
        """Hand over what is to be written, as far as the socket takes it."""
        out = self.streams.out
        try:
            while out and not self.is_closed:
                with memoryview(out) as view, view[:_READ_BYTES] as piece:
                    self.streams.tried(len(piece))
                    size = self._socket.send(piece)
                self.streams.taken(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            # What came before tells which requests were processed.
            self.read()
            self.close(words(error))

    def close(self, text: str) -> None:
        if not self.is_closed:
            self.is_closed, self.end = True, self.streams.last_words or text
            self.streams.broke(self.end)
            self._socket.close()


def words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):  # Python's own; the system's has words
        return "the connection did not come up in time"
    return str(error)
