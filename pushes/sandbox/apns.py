"""APNs, Apple's side: `/3/device/{token}` over HTTP/2, under tokens that the caller signs."""

import re
import time
import uuid
from typing import Any, ClassVar

import orjson

from pushes.names import Platform
from pushes.providers.apns import CHECK_TOKEN, ApnsKey
from pushes.sandbox import jwt
from pushes.sandbox.face import Call, token_fault
from pushes.sandbox.faults import PREFIX_LENGTH, Fault, TokenFault
from pushes.sandbox.keys import Key, credentials
from pushes.sandbox.vendor_face import (
    Shown,
    VendorFace,
    VendorRefusedError,
    bearer_of,
    ending_of,
    json_object,
    number_of,
    object_of,
    text_of,
)
from pushes.sandbox.wire import Reply, Request

DEVICE = "/3/device/"
TOKEN_SECONDS, UPDATE_SECONDS = 3_600, 1_200
#: How far ahead of us a caller's clock may be. Apple's own tolerance is not documented.
AHEAD_SECONDS = 300
MAX_BYTES, MAX_VOIP_BYTES, MAX_COLLAPSE_BYTES = 4_096, 5_120, 64
PUSH_TYPES = frozenset(
    (
        *("alert", "background", "location", "voip", "complication", "fileprovider"),
        *("mdm", "liveactivity", "pushtotalk", "widgets", "controls"),
    )
)
#: What follows the bundle id in the topic of another push type.
SUFFIXES = (
    ".voip",
    ".complication",
    ".pushkit.fileprovider",
    ".location-query",
    ".push-type.liveactivity",
    ".voip-ptt",
)
PRIORITIES = frozenset({"1", "5", "10"})
#: A dead token that goes on so also names the moment of its death: eight hexadecimal digits, in Unix seconds.
DATED = "0a9e"
STATUSES = {
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "TooManyProviderTokenUpdates": 429,
    "ServiceUnavailable": 503,
    "ExpiredProviderToken": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
}
_TOKEN = re.compile(r"(?:[0-9a-f]{2}){32,256}")
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OF_TOKENS = {
    TokenFault.ILLEGAL: "BadDeviceToken",
    TokenFault.BUSY: "ServiceUnavailable",
    TokenFault.THROTTLED: "TooManyRequests",
}


class ApnsFace(VendorFace):
    paths: ClassVar[re.Pattern[str]] = re.compile("/3/")

    def counted(self, path: str) -> str:
        return DEVICE if path.startswith(DEVICE) else "/3/"

    def open_call(self, request: Request) -> Call:
        token = jwt.read(bearer_of(request))
        key_id = token.header.get("kid") if token else None
        return Call(request, key_id if isinstance(key_id, str) and key_id else None)

    def reply(self, call: Call, fault: Fault) -> Reply:
        request = call.request
        if b":path" not in request.headers:
            return Reply(b"", 505)  # Apple speaks HTTP/2 only
        push_id = _push_id(request)
        if request.method != "POST":
            raise _refusal("MethodNotAllowed", push_id)
        if not request.path.startswith(DEVICE):
            raise _refusal("BadPath", push_id)
        team = self._known_team(call, fault, push_id)
        token = request.path.removeprefix(DEVICE)
        if not token:
            raise _refusal("MissingDeviceToken", push_id)
        shown = _checked(request, push_id)
        return self._push(team[0], token.lower(), shown, push_id, fault)

    def _push(self, key: Key, token: str, shown: Shown, push_id: str, fault: Fault) -> Reply:
        if not _TOKEN.fullmatch(token) or token == CHECK_TOKEN or fault is Fault.BAD_TOKEN:
            raise _refusal("BadDeviceToken", push_id)
        if fault is Fault.THROTTLE:
            raise _refusal("TooManyRequests", push_id)
        found = token_fault(token)
        if found is TokenFault.UNREGISTERED:
            raise _refusal("Unregistered", push_id, timestamp=_died_at(token))
        if found in _OF_TOKENS:
            raise _refusal(_OF_TOKENS[found], push_id)
        if found is not TokenFault.HANGS:
            self._show(key.access_id, [token], shown, push_id, DEVICE)
        return ending_of(found) or Reply(b"", headers=(("apns-id", push_id),))

    def _known_team(self, call: Call, fault: Fault, push_id: str) -> list[Key]:
        """The keys that the caller's token speaks for: one for each app of the team."""
        text = bearer_of(call.request)
        token = jwt.read(text)
        if not text:
            raise _refusal("MissingProviderToken", push_id)
        if token is None or call.access_id is None or fault is Fault.BAD_AUTH:
            raise _refusal("InvalidProviderToken", push_id)
        keys = self._world.keys.all(call.access_id)
        invalid = _refusal("InvalidProviderToken", push_id)
        known = [(key, found) for key in keys if (found := credentials(key.secret, ApnsKey))]
        known = [(key, found) for key, found in known if found.team_id == token.claims.get("iss")]
        issued_at = token.number("iat")
        if issued_at is None or issued_at > time.time() + AHEAD_SECONDS:
            raise invalid
        is_new = self._world.bearers.find(text) is None
        others = [other.issued_at for other in self._world.bearers.of(call.access_id)] if is_new else []
        candidates = [(key, found.pem) for key, found in known]
        signed = self._signed(text, token, jwt.ES256, candidates, issued_at + TOKEN_SECONDS)
        if signed is None:
            raise self._stale_or(keys[0] if keys else None, invalid)
        if signed.is_expired:
            raise _refusal("ExpiredProviderToken", push_id)
        if any(0 < abs(issued_at - other) < UPDATE_SECONDS for other in others):
            self._world.bearers.forget(text)
            raise _refusal("TooManyProviderTokenUpdates", push_id)
        topics = [(key, found.topic) for key, found in known]
        return self._of_topic(call.request, topics, push_id)

    def _of_topic(self, request: Request, topics: list[tuple[Key, str]], push_id: str) -> list[Key]:
        topic = _header(request, b"apns-topic")
        if not topic:
            raise _refusal("MissingTopic", push_id)
        suffix = next((suffix for suffix in SUFFIXES if topic.endswith(suffix)), "")
        found = [key for key, known in topics if topic in (known, known + suffix)]
        if not found:
            raise self._stale_or(topics[0][0], _refusal("TopicDisallowed", push_id))
        return found


def _checked(request: Request, push_id: str) -> Shown:
    """Headers, size and payload, once the caller is known."""
    if _header(request, b"apns-id") not in ("", push_id):
        raise _refusal("BadMessageId", push_id)
    push_type, priority = _header(request, b"apns-push-type") or "alert", _header(request, b"apns-priority") or "10"
    if push_type not in PUSH_TYPES:
        raise _refusal("InvalidPushType", push_id)
    if priority not in PRIORITIES or (push_type == "background" and priority == "10"):
        raise _refusal("BadPriority", push_id)
    expiration, collapse = _header(request, b"apns-expiration") or "0", _header(request, b"apns-collapse-id")
    if not (expiration.isascii() and expiration.isdigit() and len(expiration) <= 12):
        raise _refusal("BadExpirationDate", push_id)
    if len(collapse.encode("latin-1")) > MAX_COLLAPSE_BYTES:
        raise _refusal("BadCollapseId", push_id)
    if len(request.body) > (MAX_VOIP_BYTES if push_type == "voip" else MAX_BYTES):
        raise _refusal("PayloadTooLarge", push_id)
    body = json_object(request.body)
    if not body:
        raise _refusal("PayloadEmpty", push_id)
    return _shown(body, collapse)


def _shown(body: dict[str, Any], collapse: str) -> Shown:
    aps = object_of(body, "aps")
    alert = aps.get("alert")
    words = alert if isinstance(alert, dict) else {"body": alert}
    lines = [text_of(words, name) for name in ("subtitle", "body")]
    custom = {name: value for name, value in body.items() if name != "aps"}
    n_id = number_of(collapse) or number_of(body.get("n_id"))
    # The app opens the one, and its extension, which runs for mutable content alone, loads the other.
    link, image = text_of(body, "link"), text_of(body, "image") if aps.get("mutable-content") == 1 else ""
    return Shown(Platform.IOS, text_of(words, "title"), "\n".join(filter(None, lines)), custom, n_id, link, image)


def _died_at(token: str) -> int:
    """In milliseconds of Unix time: now, unless the token names another moment."""
    rest = token[PREFIX_LENGTH:]
    named = int(rest[len(DATED) : len(DATED) + 8], 16) if rest.startswith(DATED) else time.time()
    return int(named * 1000)


def _push_id(request: Request) -> str:
    """The caller's own, or a new one if that is none."""
    given = _header(request, b"apns-id")
    return given if _UUID.fullmatch(given) else str(uuid.uuid4()).upper()


def _header(request: Request, name: bytes) -> str:
    return request.headers.get(name, b"").decode("latin-1")


def _refusal(reason: str, push_id: str, **more: Any) -> VendorRefusedError:
    reply = Reply(orjson.dumps({"reason": reason, **more}), STATUSES.get(reason, 400), headers=(("apns-id", push_id),))
    return VendorRefusedError(reason, reply)
