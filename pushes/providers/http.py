"""The only sockets to providers: a window of concurrent calls, and a few calls at once.

`HttpWindow` is libcurl's multi interface, because a call through it costs a thirtieth of what one of a common client
costs, and because its time-out is for the whole of a call, however slowly the bytes come. What the rest of the
platform relies on is that nothing is sent twice behind its back, and that `TransportFailure.was_sent` is False only
for a request of which not one byte was written.
"""

import contextlib
import io
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import certifi
import pycurl

from pushes.providers.base import Answer, HttpRequest, HttpResponse, TransportFailure
from pushes.providers.headers import HeaderLines

MAX_ANSWER_BYTES = 64 * 1024
# Shorter than the idle time-out of common servers, so that a kept connection is rarely one that is just closing.
MAX_IDLE_SECONDS = 45
# libcurl looks whether its kept connections are still open only once a second; we look when we were away this long.
LOOK_AGAIN_SECONDS = 0.002
_CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READABLE = select.EPOLLIN | _CLOSED
_EVENTS = {
    pycurl.POLL_IN: select.EPOLLIN | select.EPOLLRDHUP,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP,
}
# What a send over a closed connection ends in.
_STALE = {pycurl.E_SEND_ERROR, pycurl.E_SEND_FAIL_REWIND}
_IDLE = 0
_IN_USE = 1
CONNECT_SECONDS = 3.0
#: libcurl ends a call at its time-out; this much later we do.
_LATE_SECONDS = 0.25


class ConnectionRule(Protocol):
    """What a call's connections may lead to."""

    def fault(self, address: str) -> str:
        """Why no connection to this IP address may be opened; "" when it may."""


#: The rule for the connections to an URL. Raises ValueError for one that may not be called at all.
Guard = Callable[[str], ConnectionRule]


class _Descriptor:
    """A socket for pycurl, which makes a copy of its own of the descriptor."""

    def __init__(self, address: Any) -> None:
        self._number = socket.socket(address.family, address.socktype, address.protocol).detach()

    def fileno(self) -> int:
        return self._number

    def __del__(self) -> None:
        os.close(self._number)


def ca_file() -> str:
    """The certificate authorities we trust: SSL_CERT_FILE for a private one, or Mozilla's list."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


class _Slot:
    """One reusable easy handle with what it sends and receives."""

    __slots__ = (
        "body",
        "chunks",
        "curl",
        "guard",
        "header_list",
        "is_repeated",
        "lines",
        "objection",
        "rule",
        "tag",
        "url",
    )

    def __init__(self, connect_timeout_seconds: float, timeout_seconds: float, guard: Guard | None) -> None:
        self.guard = guard
        self.rule: ConnectionRule | None = None
        self.objection = ""
        self.tag: Hashable = None
        self.url = ""
        self.header_list: tuple[str, ...] | None = None
        self.is_repeated = False
        self.body = io.BytesIO()
        self.chunks: list[bytes] = []
        self.lines: list[bytes] = []
        self.curl = curl = pycurl.Curl()
        curl.slot = self
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # an empty name also turns the environment's proxies off
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.CAINFO, ca_file())
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(connect_timeout_seconds * 1000)))
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout_seconds * 1000)))
        curl.setopt(pycurl.MAXAGE_CONN, MAX_IDLE_SECONDS)
        curl.setopt(pycurl.MAXFILESIZE, MAX_ANSWER_BYTES)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        if guard is not None:
            curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)

    def _open(self, _purpose: int, address: Any) -> Any:
        """Asked for every connection: a name may lead elsewhere by now than when it was typed in."""
        self.objection = self.rule.fault(str(address.addr[0])) if self.rule else ""
        return pycurl.SOCKET_BAD if self.objection else _Descriptor(address)

    def arm(self, tag: Hashable, request: HttpRequest) -> None:
        curl = self.curl
        self.tag, self.objection = tag, ""
        if request.url != self.url:
            if self.guard is not None:
                self.rule = self.guard(request.url)
            curl.setopt(pycurl.URL, request.url)
            # Ask before opening a second TLS connection whether the first can carry everything (HTTP/2).
            curl.setopt(pycurl.PIPEWAIT, 1 if request.url.startswith("https:") else 0)
            self.url = request.url
        if request.headers != self.header_list:
            # Without an Expect header libcurl never waits for "100 Continue".
            curl.setopt(pycurl.HTTPHEADER, ["Expect:", *request.headers])
            self.header_list = request.headers
        self.chunks, self.lines = [], []
        curl.setopt(pycurl.WRITEFUNCTION, self.chunks.append)
        curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        # Through a reader and not as POSTFIELDS: when a kept connection closes before the first byte of an answer,
        # libcurl sends the request again on a new one, although the server may have acted on it. A reader that
        # cannot be rewound makes it give up instead (E_SEND_FAIL_REWIND).
        self.body = io.BytesIO(request.body)
        curl.setopt(pycurl.READFUNCTION, self.body.read)
        curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        if self.is_repeated:
            self.is_repeated = False
            curl.setopt(pycurl.FRESH_CONNECT, 0)

    def repeat(self) -> None:
        """Once more, on a new connection."""
        self.is_repeated = True
        self.body.seek(0)
        self.chunks.clear()
        self.lines.clear()
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)

    def answer(self) -> HttpResponse:
        return HttpResponse(self.curl.getinfo(pycurl.RESPONSE_CODE), b"".join(self.chunks), HeaderLines(self.lines))

    def failure(self, text: str) -> TransportFailure:
        """libcurl counts the bytes of a request as it hands them to the socket, handshakes not among them."""
        was_sent = self.curl.getinfo(pycurl.REQUEST_SIZE) > 0 or self.curl.getinfo(pycurl.SIZE_UPLOAD_T) > 0
        return TransportFailure(was_sent, self.objection or text)


class HttpWindow:
    """At most `concurrency` POSTs under way at once, over connections that stay open between windows.

    Keep one for as long as the process lives and use it from one thread; after a fork, make a new one.
    `timeout_seconds` bounds a whole call, `connect_timeout_seconds` its name look-up, connection and TLS
    handshake. Redirects are answers, proxies are ignored, and an answer of more than 64 KiB is a failure.
    `guard` is asked about each URL, and its rule about each connection; without one, all may be called.
    """

    def __init__(
        self,
        concurrency: int,
        timeout_seconds: float,
        connect_timeout_seconds: float = CONNECT_SECONDS,
        guard: Guard | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency!r}: it must be at least 1")
        self._slots = [_Slot(connect_timeout_seconds, timeout_seconds, guard) for _ in range(concurrency)]
        self._free = list(self._slots)
        self._epoll = select.epoll()
        self._watched: dict[int, int] = {}
        self._timer_at: float | None = None
        self._looked_at = time.monotonic()
        self._multi = multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_MAXCONNECTS, concurrency)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, concurrency)
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    @property
    def in_flight(self) -> int:
        """Requests that were added and not yet collected."""
        return len(self._slots) - len(self._free)

    @property
    def free(self) -> int:
        """How many more requests may be added now."""
        return len(self._free)

    def add(self, tag: Hashable, request: HttpRequest) -> None:
        """Start `request`; `collect` returns its answer with `tag`.

        Raises RuntimeError when the window is full, ValueError for a request without a body (which could
        not be kept from being sent twice), with an address that is none, or that the guard refuses.
        """
        if not self._free:
            raise RuntimeError(f"the window is full: {self.in_flight} requests are in flight")
        if not request.body:
            raise ValueError(f"the request to {request.url!r} has no body")
        if time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS:
            self._drive(0)
        slot = self._free[-1]
        slot.arm(tag, request)
        self._multi.add_handle(slot.curl)
        self._free.pop()

    def collect(self, timeout_seconds: float) -> list[tuple[Any, Answer]]:
        """What has finished, in the order in which it did; waits at most `timeout_seconds` for the first."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._drive(deadline - time.monotonic() if self.in_flight else 0)
            done = self._reap()
            if done or not self.in_flight or time.monotonic() >= deadline:
                return done

    def abandon(self) -> list[Any]:
        """Cut what is under way and return its tags; the fate of those requests is not known.

        For a caller that cannot go on collecting: what it left behind would be taken for answers to whoever
        uses the window next.
        """
        idle = set(map(id, self._free))
        busy = [slot for slot in self._slots if id(slot) not in idle]
        for slot in busy:
            self._release(slot)
        return [slot.tag for slot in busy]

    def close(self) -> None:
        """Cut what is under way and close every connection."""
        self.abandon()
        for slot in self._slots:
            slot.curl.close()
        self._multi.close()
        self._epoll.close()
        self._slots, self._free = [], []

    def _drive(self, wait_seconds: float) -> None:
        """Wait for sockets or libcurl's own timer, and let libcurl act on them."""
        if self._timer_at is not None:
            wait_seconds = min(wait_seconds, self._timer_at - time.monotonic())
        events = self._epoll.poll(max(0.0, wait_seconds))
        act = self._multi.socket_action
        self._looked_at = time.monotonic()
        for descriptor, event in events:
            if self._watched.get(descriptor) != _IN_USE:
                self._stirred(descriptor, event)
                continue
            ready = pycurl.CSELECT_IN if event & _READABLE else 0
            if event & select.EPOLLOUT:
                ready |= pycurl.CSELECT_OUT
            act(descriptor, ready)
        if self._timer_at is not None and self._timer_at <= self._looked_at:
            self._timer_at = None
            act(pycurl.SOCKET_TIMEOUT, 0)

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        """libcurl's wish for a socket. One that it is done with mostly returns with the next request, so it
        stays registered, as idle, until it is closed."""
        if what == pycurl.POLL_REMOVE:
            self._watched[descriptor] = _IDLE
            return
        try:
            if descriptor in self._watched:
                self._epoll.modify(descriptor, _EVENTS[what])
            else:
                self._epoll.register(descriptor, _EVENTS[what])
        except FileNotFoundError:  # closed while idle, and its number given to a new socket
            self._epoll.register(descriptor, _EVENTS[what])
        self._watched[descriptor] = _IN_USE

    def _stirred(self, descriptor: int, event: int) -> None:
        """An idle connection: closed by the far end, or handed a note of its protocol (HTTP/2, TLS).

        A closed one is shut down from our side too, so that a request which libcurl still tries to send
        over it provably goes nowhere, and can be repeated.
        """
        with contextlib.suppress(OSError):
            if not event & _CLOSED:
                self._epoll.modify(descriptor, select.EPOLLRDHUP)
                return
            self._epoll.unregister(descriptor)
            with socket.socket(fileno=os.dup(descriptor)) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        self._watched.pop(descriptor, None)

    def _set_timer(self, milliseconds: int) -> None:
        self._timer_at = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _reap(self) -> list[tuple[Any, Answer]]:
        done: list[tuple[Any, Answer]] = []
        waiting = 1
        while waiting:
            waiting, finished, failed = self._multi.info_read(len(self._slots))
            for curl in finished:
                done.append((curl.slot.tag, curl.slot.answer()))
                self._release(curl.slot)
            for curl, code, text in failed:
                failure = curl.slot.failure(_words(curl, code, text))
                if code in _STALE and not failure.was_sent and not curl.slot.is_repeated:
                    self._repeat(curl.slot)
                    continue
                done.append((curl.slot.tag, failure))
                self._release(curl.slot)
        return done

    def _repeat(self, slot: _Slot) -> None:
        """The kept connection was closed, and nothing of the request left: a new connection will do."""
        self._multi.remove_handle(slot.curl)
        slot.repeat()
        self._multi.add_handle(slot.curl)

    def _release(self, slot: _Slot) -> None:
        self._multi.remove_handle(slot.curl)
        self._free.append(slot)


def _words(curl: pycurl.Curl, code: int, text: str) -> str:
    if code == pycurl.E_FILESIZE_EXCEEDED:
        return f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
    if code == pycurl.E_COULDNT_CONNECT and (number := curl.getinfo(pycurl.OS_ERRNO)):
        return os.strerror(number)
    return f"{text or 'the call failed'} (libcurl error {code})"


def call(request: HttpRequest, timeout_seconds: float, guard: Guard | None = None) -> Answer:
    """One request on a connection of its own, for calls that are made once in a while; see `calls`."""
    return calls([request], timeout_seconds, guard)[0]


def calls(requests: Sequence[HttpRequest], timeout_seconds: float, guard: Guard | None = None) -> list[Answer]:
    """The answers to a few requests that are made at once, in their order.

    `timeout_seconds` bounds all of it: name look-up, handshakes, waiting for every byte of head and body.
    """
    window = HttpWindow(max(1, len(requests)), timeout_seconds, min(CONNECT_SECONDS, timeout_seconds), guard)
    deadline = time.monotonic() + timeout_seconds + _LATE_SECONDS
    try:
        found = _added(window, requests)
        while window.in_flight and time.monotonic() < deadline:
            found.update(window.collect(deadline - time.monotonic()))
    finally:
        # Closing waits for a name look-up that hangs, for as long as the system's resolver likes.
        threading.Thread(target=window.close, name="close-window", daemon=True).start()
    silent = TransportFailure(True, "the call did not end in time")
    return [found.get(number, silent) for number in range(len(requests))]


def _added(window: HttpWindow, requests: Sequence[HttpRequest]) -> dict[Any, Answer]:
    """The answers to those requests that cannot be made at all."""
    refused: dict[Any, Answer] = {}
    for number, request in enumerate(requests):
        try:
            window.add(number, request)
        except ValueError as error:
            refused[number] = TransportFailure(False, str(error))
    return refused
