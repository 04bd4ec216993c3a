"""The only sockets to providers: a window of concurrent calls.

`HttpWindow` is libcurl's multi interface, because a call through it costs a thirtieth of a common client's, and because
its time-out covers the whole call, however slowly the bytes come. The platform relies on two properties: nothing is
silently sent twice, and `TransportFailure.was_sent` is False only if the server provably did not process the request.
Requests over HTTP/2 go through `Http2Calls` instead: libcurl cannot tell that of a stream.
"""

import contextlib
import functools
import os
import select
import socket
import time
from collections.abc import Hashable
from typing import Any

import pycurl

from pushes.providers.base import MAX_ANSWER_BYTES, Answer, HttpRequest
from pushes.providers.http2 import Http2Calls
from pushes.providers.http_slot import Guard, Slot

# libcurl checks its kept connections only once a second; we check them after being away this long.
LOOK_AGAIN_SECONDS = 0.002
_CLOSED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READABLE = select.EPOLLIN | _CLOSED
_EVENTS = {
    pycurl.POLL_IN: select.EPOLLIN | select.EPOLLRDHUP,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP,
}
# The errors of a send over a closed connection.
_STALE = {pycurl.E_SEND_ERROR, pycurl.E_SEND_FAIL_REWIND}
_IDLE = 0
_IN_USE = 1
CONNECT_SECONDS = 3.0


class HttpWindow:
    """At most `concurrency` POSTs in flight at once, over connections that stay open between batches.

    Keep one for as long as the process lives and use it from one thread; after a fork, make a new one.
    `timeout_seconds` bounds a whole call, `connect_timeout_seconds` its name look-up, connection and TLS
    handshake. Redirects are answers, proxies are ignored, and an answer of more than 64 KiB is a failure.
    `guard` checks each URL, and its result each connection; without a guard, all hosts are allowed.
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
        self._slots = [Slot(connect_timeout_seconds, timeout_seconds, guard) for _ in range(concurrency)]
        self._free = list(self._slots)
        self._http2: Http2Calls | None = None
        self._make_http2 = functools.partial(Http2Calls, timeout_seconds, connect_timeout_seconds, guard)
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
        """How many requests were added and not yet collected."""
        return len(self._slots) - self.free

    @property
    def free(self) -> int:
        """How many more requests may be added now."""
        return len(self._free) - (self._http2.in_flight if self._http2 else 0)

    def add(self, tag: Hashable, request: HttpRequest) -> None:
        """Start `request`; `collect` returns its answer with `tag`.

        Raises RuntimeError when the window is full, ValueError for a request without a body (which could
        not be kept from being sent twice), with an address that is none, or that the guard refuses.
        """
        if not self.free:
            raise RuntimeError(f"the window is full: {self.in_flight} requests are in flight")
        if not request.body:
            raise ValueError(f"the request to {request.url!r} has no body")
        if request.http2:
            self._over_http2().add(tag, request)
            return
        if time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS:
            self._drive(0)
        slot = self._free[-1]
        slot.arm(tag, request)
        self._multi.add_handle(slot.curl)
        self._free.pop()

    def collect(self, timeout_seconds: float) -> list[tuple[Any, Answer]]:
        """Return finished calls in order of completion; wait at most `timeout_seconds` for the first."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._drive(deadline - time.monotonic() if self.in_flight else 0)
            done = self._reap()
            if done or not self.in_flight or time.monotonic() >= deadline:
                return done

    def abandon(self) -> list[Any]:
        """Cut the calls in flight and return their tags; the results of those requests are not known.

        For a caller that cannot continue to collect: otherwise the next user of the window would get its answers.
        """
        idle = set(map(id, self._free))
        busy = [slot for slot in self._slots if id(slot) not in idle]
        for slot in busy:
            self._release(slot)
        tags = [slot.tag for slot in busy]
        return tags + self._http2.abandon() if self._http2 else tags

    def close(self) -> None:
        """Cut the calls in flight and close every connection."""
        self.abandon()
        for slot in self._slots:
            slot.curl.close()
        self._multi.close()
        self._epoll.close()
        if self._http2 is not None:
            self._http2.close()
            self._http2 = None
        self._slots, self._free = [], []

    def _over_http2(self) -> Http2Calls:
        if self._http2 is None:
            self._http2 = self._make_http2()
            # An epoll in an epoll: it is readable when one of its own is.
            self._epoll.register(self._http2, select.EPOLLIN)
        return self._http2

    def _drive(self, wait_seconds: float) -> None:
        """Wait for sockets or libcurl's own timer, and let libcurl act on them."""
        if self._timer_at is not None:
            wait_seconds = min(wait_seconds, self._timer_at - time.monotonic())
        if self._http2 is not None:
            self._http2.act()
            wait_seconds = 0 if self._http2.is_done else min(wait_seconds, self._http2.seconds_left())
        events = self._epoll.poll(max(0.0, wait_seconds))
        act = self._multi.socket_action
        self._looked_at = time.monotonic()
        for descriptor, event in events:
            if self._http2 is not None and descriptor == self._http2.fileno():
                self._http2.act()
                continue
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
        """Handle libcurl's wish for a socket. A socket that it has finished with mostly returns with the next request,
        so it stays registered, as idle, until it is closed."""
        if what == pycurl.POLL_REMOVE:
            self._watched[descriptor] = _IDLE
            return
        try:
            if descriptor in self._watched:
                self._epoll.modify(descriptor, _EVENTS[what])
            else:
                self._epoll.register(descriptor, _EVENTS[what])
        except FileNotFoundError:  # closed while idle, and its number reused for a new socket
            self._epoll.register(descriptor, _EVENTS[what])
        self._watched[descriptor] = _IN_USE

    def _stirred(self, descriptor: int, event: int) -> None:
        """Handle an event on an idle connection: it was closed by the server, or got a protocol message (HTTP/2, TLS).

        A closed connection is shut down from our side too, so that a request which libcurl still tries to send over it
        provably goes nowhere, and can be repeated.
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
        done = self._http2.take_done() if self._http2 else []
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

    def _repeat(self, slot: Slot) -> None:
        """Repeat a request over a new connection: the kept one was closed, and nothing of the request left."""
        self._multi.remove_handle(slot.curl)
        slot.repeat()
        self._multi.add_handle(slot.curl)

    def _release(self, slot: Slot) -> None:
        self._multi.remove_handle(slot.curl)
        self._free.append(slot)


def _words(curl: pycurl.Curl, code: int, text: str) -> str:
    if code == pycurl.E_FILESIZE_EXCEEDED:
        return f"the answer is larger than {MAX_ANSWER_BYTES} bytes"
    if code == pycurl.E_COULDNT_CONNECT and (number := curl.getinfo(pycurl.OS_ERRNO)):
        return os.strerror(number)
    return f"{text or 'the call failed'} (libcurl error {code})"
