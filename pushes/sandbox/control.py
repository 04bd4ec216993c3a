"""The control API under /_sandbox/: faults, keys, and everything that the sandbox received."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from operator import itemgetter
from typing import Any

import orjson

from pushes.sandbox import forms
from pushes.sandbox.faults import ProfileError, profile_from
from pushes.sandbox.keys import AccessId
from pushes.sandbox.store import Entry
from pushes.sandbox.wire import MAX_STREAMS, Reply, Request
from pushes.sandbox.world import CODE_SETS, World

MAX_ENTRIES = 100_000
COUNTED = ("access_id", "token", "platform", "title", "content", "n_id", "push_id", "path")
DEFAULT_GROUPING = "access_id,token,n_id"
MAX_GROUPS = 10_000

Json = Mapping[str, Any]
Answer = Reply | Coroutine[Any, Any, Reply]


class Control:
    def __init__(self, world: World) -> None:
        self._world = world
        self._reads: dict[str, Callable[[dict[str, str]], Answer]] = {
            "stats": lambda _: _json(world.stats()),
            "received": self._received,
            "counts": self._counts,
        }
        self._writes: dict[str, Callable[[Json], None]] = {
            "profile": self._set_profile,
            "latency": self._set_latency,
            "codes": self._set_codes,
            "keys": self._add_key,
            "expire": self._expire,
            "limits": self._set_limits,
            "streams": self._set_streams,
            "accounts": self._bind,
            "reset": lambda _: world.reset(),
        }

    def answer(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        try:
            if request.method == "GET" and name in self._reads:
                return self._reads[name](forms.parse(request.query))
            if request.method == "POST" and name in self._writes:
                self._writes[name](_body(request))
                return _json({"ok": True})
        except (ProfileError, UnicodeDecodeError) as error:
            return _json({"error": str(error)}, 400)
        return _json({"error": f"{request.method} {request.path} does not exist"}, 404)

    # --- reading -------------------------------------------------------------------------------
    async def _received(self, asked: dict[str, str]) -> Reply:
        entries: list[Entry] = []
        try:
            limit = min(_whole(asked, "limit", 1000), MAX_ENTRIES)
            after, access_id = _whole(asked, "after", 0), asked.get("access_id", "")
        except ProfileError as error:
            return _json({"error": str(error)}, 400)
        for segment in self._world.received.segments(after, asked.get("token", ""), access_id):
            entries += segment
            if len(entries) >= limit:
                break
            await asyncio.sleep(0)  # other requests go on meanwhile
        return _json({"entries": [entry.as_dict() for entry in entries[:limit]]})

    async def _counts(self, asked: dict[str, str]) -> Reply:
        """Count in two passes: the first counts hashes, which are small; the second names the wanted groups."""
        try:
            least, positions = _whole(asked, "least", 2), _grouping(asked.get("by") or DEFAULT_GROUPING)
        except ProfileError as error:
            return _json({"error": str(error)}, 400)
        pick = itemgetter(*positions)
        counted: Counter[int] = Counter()
        for rows in self._world.received.rows():
            counted.update(map(hash, map(pick, rows)))
            await asyncio.sleep(0)
        wanted = {key for key, count in counted.items() if count >= least}
        groups: Counter[tuple[Any, ...]] = Counter()
        for rows in self._world.received.rows() if wanted else ():
            for group in map(pick, rows):
                if hash(group) in wanted and (group in groups or len(groups) < MAX_GROUPS):
                    groups[group] += 1
            await asyncio.sleep(0)
        names = [Entry._fields[place + 1] for place in positions]
        listed = [{**dict(zip(names, group, strict=True)), "count": count} for group, count in groups.items()]
        summary = {"entries": counted.total(), "distinct": len(counted), "repeated": len(wanted)}
        return _json({**summary, "groups": sorted(listed, key=lambda group: -group["count"])})

    # --- writing -------------------------------------------------------------------------------
    def _set_profile(self, body: Json) -> None:
        access_id = _access_id(body) if "access_id" in body else None
        self._world.faults.set(profile_from(body), access_id)

    def _set_latency(self, body: Json) -> None:
        value = body.get("latency_ms")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 600_000:
            raise ProfileError(f"latency_ms={value!r}: a number from 0 to 600000 is needed")
        self._world.latency_ms = value

    def _set_codes(self, body: Json) -> None:
        if body.get("codes") not in CODE_SETS:
            raise ProfileError(f"codes={body.get('codes')!r}: it must be one of {', '.join(CODE_SETS)}")
        self._world.codes = body["codes"]

    def _add_key(self, body: Json) -> None:
        self._world.keys.add(_access_id(body), _text(body, "secret"))

    def _expire(self, body: Json) -> None:
        """Refuse the access tokens that are in use as too old."""
        self._world.bearers.expire(_access_id(body) if "access_id" in body else None)

    def _set_limits(self, body: Json) -> None:
        self._world.calls_a_minute = _positive(body, "calls_a_minute")

    def _set_streams(self, body: Json) -> None:
        first = _positive(body, "first")
        if first > MAX_STREAMS:
            raise ProfileError(f"first={first}: at most {MAX_STREAMS} streams")
        self._world.connections.first_streams = first

    def _bind(self, body: Json) -> None:
        tokens = body.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token.isalnum() for token in tokens):
            raise ProfileError("tokens: a list of device tokens is needed")
        self._world.phones.bind(_access_id(body), _text(body, "account"), tokens)


def _json(content: object, status: int = 200) -> Reply:
    return Reply(orjson.dumps(content), status)


def _body(request: Request) -> Json:
    """The JSON body of a request with the content type of JSON: a page of another origin cannot send one without asking
    first."""
    if not request.headers.get(b"content-type", b"").startswith(b"application/json"):
        raise ProfileError("Content-Type must be application/json")
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise ProfileError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise ProfileError("the body must be a JSON object")
    return body


def _grouping(text: str) -> list[int]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in COUNTED:
            raise ProfileError(f"by: {name!r} is none of {', '.join(COUNTED)}")
    # Without `seq`, and never a single position: itemgetter gives a tuple for several only.
    positions = [Entry._fields.index(name) - 1 for name in names]
    return positions if len(positions) > 1 else positions * 2


def _whole(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise ProfileError(f"{name}={text!r}: a whole number is needed")
    return int(text)


def _access_id(body: Json) -> AccessId:
    """A positive number for Xinge and TPNS, text for the others."""
    value = body.get("access_id")
    return value if isinstance(value, str) and value else _positive(body, "access_id")


def _positive(body: Json, name: str) -> int:
    value = body.get(name)
    if type(value) is not int or value < 1:
        raise ProfileError(f"{name}={value!r}: a positive number is needed")
    return value


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ProfileError(f"{name}: a text is needed")
    return value
