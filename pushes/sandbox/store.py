"""Everything that phones received, in little memory: lines of JSON, compressed by the thousand."""

import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from pushes.sandbox.keys import AccessId
from pushes.text import device_tokens

SEGMENT = 1024
DEFAULT_KEEP = 2_000_000
ALL_DEVICES = "*"


class Entry(NamedTuple):
    """One push that reached one token ("*": every device of the app). `time` is in Unix seconds."""

    seq: int
    time: float
    access_id: AccessId
    token: str
    platform: str
    title: str
    content: str
    custom: dict[str, Any]
    n_id: int
    push_id: str
    path: str
    link: str
    image: str

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


class Received:
    """At most about `keep` entries. The oldest are dropped first, a segment at a time."""

    def __init__(self, keep: int = DEFAULT_KEEP) -> None:
        self._keep = keep
        self._sealed: deque[bytes] = deque()
        self._open: list[bytes] = []
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._sealed) * SEGMENT + len(self._open)

    @property
    def last_seq(self) -> int:
        return self._forgotten + len(self)

    @property
    def forgotten(self) -> int:
        return self._forgotten

    @property
    def compressed_bytes(self) -> int:
        return sum(map(len, self._sealed)) + sum(map(len, self._open))

    def record(self, access_id: AccessId, tokens: Iterable[str], rest: bytes) -> None:
        """Record a push. `rest` comes from `describe`; tokens need no escaping in JSON."""
        head = b'[%.3f,%b,"' % (time.time(), orjson.dumps(access_id))
        for token in tokens:
            self._open.append(head + token.encode() + rest)
            if len(self._open) == SEGMENT:
                self._seal()

    def _seal(self) -> None:
        self._sealed.append(zlib.compress(b"\n".join(self._open), 1))
        self._open = []
        if len(self._sealed) > 1 and len(self) > self._keep:
            self._sealed.popleft()
            self._forgotten += SEGMENT

    def clear(self) -> None:
        """Drop all entries. The sequence continues, so that a reader's position stays valid."""
        self._forgotten = self.last_seq
        self._sealed.clear()
        self._open = []

    def segments(self, after: int = 0, token: str = "", access_id: str = "") -> Iterator[list[Entry]]:
        """Yield the entries with a sequence number above `after`, oldest first, a segment at a time."""
        first = max(0, (after - self._forgotten) // SEGMENT)
        # An iPhone's token may be asked for in either letter case.
        names = {token, device_tokens.apple(token) or token}
        wanted = [f'"{name}"'.encode() for name in names if name] or [b""]
        base = self._forgotten
        blobs: list[bytes | None] = [*self._sealed, None]
        for index in range(first, len(blobs)):
            blob = blobs[index]
            data = b"\n".join(self._open) if blob is None else zlib.decompress(blob)
            if not data or not any(name in data for name in wanted):
                yield []
                continue
            start = base + index * SEGMENT + 1
            yield [
                entry
                for entry in _entries(data, start)
                if entry.seq > after
                and (not token or entry.token in names)
                and (not access_id or str(entry.access_id) == access_id)
            ]

    def rows(self) -> Iterator[list[list[Any]]]:
        """Yield all entries as lists of the fields behind `seq`, a segment at a time; cheaper than `segments`."""
        for blob in [*self._sealed, None]:
            data = b"\n".join(self._open) if blob is None else zlib.decompress(blob)
            yield orjson.loads(b"[" + data.replace(b"\n", b",") + b"]")

    def newest(self, count: int, token: str = "", access_id: str = "") -> list[Entry]:
        """Return the newest `count` entries, newest first; a search reads at most the last 64 segments."""
        found: list[Entry] = []
        for back in range(min(64, len(self._sealed) + 1)):
            after = self._forgotten + (len(self._sealed) - back) * SEGMENT
            found += reversed(next(self.segments(after, token, access_id), []))
            if len(found) >= count:
                break
        return found[:count]


def describe(
    platform: str,
    title: str,
    content: str,
    custom: dict[str, Any],
    n_id: int,
    push_id: str,
    path: str,
    link: str = "",
    image: str = "",
) -> bytes:
    """Write the part of an entry's line that all tokens of one push share."""
    return b'",' + orjson.dumps([platform, title, content, custom, n_id, push_id, path, link, image])[1:]


def _entries(data: bytes, start: int) -> Iterator[Entry]:
    for offset, line in enumerate(data.split(b"\n")):
        yield Entry(start + offset, *orjson.loads(line))
