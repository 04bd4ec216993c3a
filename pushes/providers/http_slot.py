"""One call of the window: libcurl's reusable handle, what it sends and receives, and where it may connect to."""

import io
import os
import socket
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import certifi
import pycurl
from django.conf import settings

from pushes.providers.base import MAX_ANSWER_BYTES, HttpRequest, HttpResponse, TransportFailure
from pushes.providers.headers import HeaderLines

# Shorter than the idle time-out of common servers, so that a kept connection is rarely one that is just closing.
MAX_IDLE_SECONDS = 45


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
    """The certificate authorities we trust: those of PROVIDER_CA_FILE, or Mozilla's list."""
    return str(settings.PROVIDER_CA_FILE or certifi.where())


class Slot:
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
