"""A TCP proxy before a server that can go dumb: its connections stay open and carry nothing any more, as after a power
cut, a forgotten NAT entry, or in a proxy that hangs."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class DumbProxy:
    """Listens on 127.0.0.1:`port` and passes everything on to 127.0.0.1:`target`, until `go_dumb`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_dumb = False
        self._lock = threading.Lock()
        self._open: list[_Pair] = []
        self._silent: list[socket.socket] = []
        threading.Thread(target=self._accept, name="dumb-proxy", daemon=True).start()

    def go_dumb(self, *, new_too: bool = True) -> int:
        """From now on the connections that exist carry nothing, and with `new_too` neither do those that come (they are
        accepted, no more) until `hear_again`. Returns how many have gone dumb."""
        with self._lock:
            self._is_dumb = new_too
            gone, self._open = self._open, []
            for pair in gone:
                pair.is_dumb.set()
                self._silent += pair.ends
        return len(gone)

    def hear_again(self) -> None:
        """Serve new connections; those that have gone dumb stay so."""
        with self._lock:
            self._is_dumb = False

    def close(self) -> None:
        self.go_dumb()
        self._listener.close()
        for end in self._silent:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_dumb:
                    self._silent.append(client)
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:  # as the server would
                    client.close()
                    continue
                server.settimeout(None)
                self._open.append(_Pair(client, server))


class _Pair:
    """A connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.is_dumb = threading.Event()
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.is_dumb.is_set():
                    return
                sink.sendall(data)
        if not self.is_dumb.is_set():
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def dumb_proxy(target: int) -> Iterator[DumbProxy]:
    proxy = DumbProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
