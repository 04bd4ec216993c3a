"""Where a request goes, and its head as HTTP/2 has it.

The head is written in HPACK's literals, which leave both sides' tables as they are: every head stands for itself, may
be written in any order and again on another connection, and most of it is written only once for many requests.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from pushes.providers.base import HttpRequest

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::([0-9]{1,5}))?(/[!\"$-~]*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\uffff]*")
_PORTS = {"http": 80, "https": 443}
#: What HTTP/2 says in its own way, or not at all.
_NOT_OURS = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
#: Entries of HPACK's static table: `:method: POST`, `:scheme: http` and `https`; and the names of three others.
_POST = b"\x83"
_SCHEMES = {"http": b"\x86", "https": b"\x87"}
_AUTHORITY = b"\x01"
_PATH = b"\x04"
_CONTENT_LENGTH = b"\x0f\x0d"
#: A literal with a name of its own; the second kind asks those on the way not to keep it in a table either.
_LITERAL = b"\x00"
_NEVER_KEPT = b"\x10"
_SECRET = frozenset(("authorization", "cookie"))


class Origin(NamedTuple):
    """What a connection leads to. Requests of different words never share one (`HttpRequest.connection`)."""

    scheme: str
    host: str
    port: int
    word: str = ""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/"


class Head(NamedTuple):
    origin: Origin
    block: bytes


def head_of(request: HttpRequest) -> Head:
    """Return where `request` goes, and its header block. Raises ValueError for one that HTTP/2 cannot carry."""
    found = _URL.fullmatch(request.url)
    if found is None:
        raise ValueError(f"{request.url!r} is not a URL that can be called over HTTP/2")
    scheme, host, port, path = found.groups()
    origin, opening = _opening(scheme, host, port or "", request.connection)
    path_and_length = _string((path or "/").encode("ascii")) + _CONTENT_LENGTH + _string(b"%d" % len(request.body))
    return Head(origin, opening + _PATH + path_and_length + b"".join(map(_line, request.headers)))


@lru_cache(maxsize=256)
def _opening(scheme: str, host: str, port: str, word: str) -> tuple[Origin, bytes]:
    origin = Origin(scheme, host.lower(), int(port or _PORTS[scheme]), word)
    if not 0 < origin.port < 2**16:
        raise ValueError(f"{port} is not a port")
    authority = f"{host}:{port}" if port else host
    return origin, _POST + _SCHEMES[scheme] + _AUTHORITY + _string(authority.encode("ascii"))


# One by one: most are the same in every request, and one or two in none.
@lru_cache(maxsize=1024)
def _line(header: str) -> bytes:
    name, colon, value = (part.strip(" \t") for part in header.partition(":"))
    name = name.lower()
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"the header {name!r} is not a name and a value")
    if name in _NOT_OURS:
        raise ValueError(f"HTTP/2 has no header {name!r} of the request's own")
    return (_NEVER_KEPT if name in _SECRET else _LITERAL) + _string(name.encode()) + _string(value.encode())


def _string(value: bytes) -> bytes:
    """A string without Huffman's code, after its length in HPACK's integers."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    digits, rest = bytearray(b"\x7f"), length - 0x7F
    while rest > 0x7F:
        digits.append(rest & 0x7F | 0x80)
        rest >>= 7
    digits.append(rest)
    return bytes(digits) + value
