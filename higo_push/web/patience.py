"""An end to requests that never end, for the web server.

As it comes waitress waits two minutes for the next byte of a request, for ever for a whole one, and accepts nobody
beyond its hundredth connection: a hundred half requests make it deaf. Here a request has to keep coming, and when all
places are taken, the one that has been waited for longest makes room.
"""

import json
import resource
import socket
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask

#: A request may pause, and a connection may idle between two, for so long …
WAIT_SECONDS = 20
#: … and is expected to bring at least so many bytes a second on average, besides.
MIN_BYTES_PER_SECOND = 4_000
CLEANUP_SECONDS = 2
#: The largest request: a list of accounts for a broadcast, uploaded as a file of 15 MB.
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
#: What is received stays in memory up to here, then in a file: half a thousand half requests must not fill it.
BUFFER_BYTES = 64 * 1024
#: Places beyond the limit, so that waitress does not stop accepting while others make room.
CLEARANCE = 16
#: File descriptors besides the connections: the database, Redis, the log, requests in files.
OTHER_FILES = 256
SAFETY = [("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "default-src 'none'")]
CODES = {413: "too_large", 431: "too_large", 501: "not_implemented"}


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """waitress' own, which ends a connection without an answer over some lines that it cannot read."""

    path = ""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:
            raise ParsingError("The request's head cannot be read.") from None


class RefusalTask(ErrorTask):  # type: ignore[misc]
    """What the server itself refuses is told to the API's clients as everything is: in JSON."""

    def execute(self) -> None:
        self.response_headers += [
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", "default-src 'none'"),
        ]
        error = self.request.error
        if error.code == 413:
            error.body = f"A request may have at most {self.channel.adj.max_request_body_size:,} bytes."
        if not self.request.path.startswith("/api/"):
            super().execute()
            return
        code = CODES.get(error.code, "bad_request" if error.code < 500 else "internal")
        body = json.dumps({"error": {"code": code, "message": f"{error.reason}: {error.body}"}}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        self.content_length = len(body)
        self.set_close_on_finish()
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection. The server's own maintenance closes it WAIT_SECONDS after `last_activity`, which here is a moment
    that only moves as fast as a request comes in."""

    parser_class, error_task_class = Parser, RefusalTask
    began = 0.0
    came = 0
    close_when_flushed = False
    is_refused = is_draining = False

    def add_channel(self, map: Any = None) -> None:
        """A new connection: when all places are taken, the one that has waited longest makes room for it."""
        places = self.adj.connection_limit - CLEARANCE
        waiting = [one for one in self.server.active_channels.values() if not one.requests]
        if waiting and len(self.server.active_channels) >= places:
            min(waiting, key=lambda one: one.last_activity).handle_close()
        super().add_channel(map)

    def received(self, data: bytes) -> bool:
        if self.request is None:
            self.began, self.came = time.time(), 0
        self.came += len(data)
        is_taken = bool(super().received(data))
        self.is_refused = self.is_refused or any(request.error for request in self.requests)
        if self.request is not None:
            self.last_activity = min(time.time(), self.began + self.came / MIN_BYTES_PER_SECOND)
        return is_taken

    def handle_read(self) -> None:
        if not self.is_draining:
            super().handle_read()
        elif not self.recv(self.adj.recv_bytes):
            self.handle_close()

    def readable(self) -> bool:
        return self.is_draining or bool(super().readable())

    def handle_write(self) -> None:
        """After a refusal the rest is read and thrown away for a while: a client that is still sending would find its
        connection broken, and not the answer."""
        if self.is_refused and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len:
                self.close_when_flushed, self.is_draining = False, True
                self.socket.shutdown(socket.SHUT_WR)
            return
        super().handle_write()


def limits(connections: int) -> list[str]:
    """waitress' options for so many connections at once."""
    return [
        f"--connection-limit={connections + CLEARANCE}",
        "--asyncore-use-poll",
        f"--channel-timeout={WAIT_SECONDS}",
        f"--cleanup-interval={CLEANUP_SECONDS}",
        f"--max-request-body-size={MAX_BODY_BYTES}",
        f"--max-request-header-size={MAX_HEAD_BYTES}",
        f"--inbuf-overflow={BUFFER_BYTES}",
    ]


def allow_files(connections: int) -> None:
    """As many open files as so many connections may need, as far as the system lets us."""
    wanted = 2 * connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
