"""JPush REST v3, the vendor's side: pushes with idempotency keys, their dry run, and what became of them."""

import base64
import binascii
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import orjson

from pushes.names import Platform
from pushes.providers.jpush import HMOS_HOME, NOBODYS_ID
from pushes.sandbox import forms
from pushes.sandbox.face import Call, token_fault
from pushes.sandbox.faults import Fault, TokenFault
from pushes.sandbox.keys import AccessId, Key
from pushes.sandbox.store import ALL_DEVICES
from pushes.sandbox.vendor_face import (
    Shown,
    VendorFace,
    VendorRefusedError,
    ending_of,
    json_object,
    number_of,
    object_of,
    text_of,
    texts,
)
from pushes.sandbox.wire import Ending, Reply, Request
from pushes.sandbox.world import Kept, World

PUSH, VALIDATE, CIDS, STATUS = "/v3/push", "/v3/push/validate", "/v3/push/cid", "/v3/status/message"
MAX_IDS, MAX_CIDS, CID_SECONDS, MAX_KEPT = 1_000, 1_000, 86_400, 100_000
#: The calls of an app key in a minute, unless it pays.
WINDOW_SECONDS = 60.0
MAX_EXPIRE_SECONDS = 864_000
#: What the object of one platform may have. Of iOS the sources disagree: older ones say 2,048.
MAX_BYTES, MAX_OTHER_BYTES = {"ios": 3_584}, 4_000
MISSING, INVALID, REFUSED, TOO_LARGE, NO_APP_KEY, NOBODY, BUSY, TOO_OFTEN = (
    1002,
    1003,
    1004,
    1005,
    1008,
    1011,
    1030,
    2002,
)
_PLATFORMS = {"android": Platform.ANDROID, "ios": Platform.IOS, "hmos": Platform.HARMONY}
#: Those that are spoken, but of which nothing is shown.
_OTHERS = frozenset({"quickapp", "winphone"})
_ID = re.compile("[A-Za-z0-9_-]{8,64}")
_CID = re.compile("[A-Za-z0-9-]{1,64}")
#: What `STATUS` says of an id.
DELIVERED, FOREIGN, NOT_MEANT = 0, 2, 3
_DEAD = (TokenFault.UNREGISTERED, TokenFault.ILLEGAL)


class JPushFace(VendorFace):
    paths: ClassVar[re.Pattern[str]] = re.compile("/v3/(push(/validate|/cid)?|status/message)$")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._paths: dict[tuple[str, str], Callable[[Key, Request], Reply]] = {
            ("POST", PUSH): self._push,
            ("POST", VALIDATE): self._validate,
            ("GET", CIDS): self._cids,
            ("POST", STATUS): self._status,
        }

    def open_call(self, request: Request) -> Call:
        return Call(request, _basic(request)[0] or None)

    def reply(self, call: Call, fault: Fault) -> Reply:
        request = call.request
        act = self._paths.get((request.method, request.path))
        if act is None:
            raise _refusal(405, 0, f"{request.method} is not allowed here")
        key = self._known_caller(call, fault)
        self._begin_with(key, fault)
        reply = self._unknown_tokens(request) if fault is Fault.BAD_TOKEN else None
        reply = reply or act(key, request)
        reply.headers = self._limits(key)
        return reply

    def _known_caller(self, call: Call, fault: Fault) -> Key:
        app_key, secret = _basic(call.request)
        if not app_key:
            raise _refusal(401, REFUSED, "Basic authentication failed")
        keys = self._world.keys.all(app_key)
        if not keys:
            raise self._stale_or(None, _refusal(400, NO_APP_KEY, "app_key is invalid"))
        found = next((key for key in keys if key.secret == secret), None)
        if fault is Fault.BAD_AUTH:
            raise _refusal(401, REFUSED, "Basic authentication failed")
        if found is None:
            raise self._stale_or(keys[0], _refusal(401, REFUSED, "Basic authentication failed"))
        return found

    def _begin_with(self, key: Key, fault: Fault) -> None:
        """Count the call, and refuse it above the limit."""
        began_at, count = self._windows.get(key.access_id, (float("-inf"), 0))
        now = time.monotonic()
        self._windows[key.access_id] = (began_at, count + 1) if now - began_at < WINDOW_SECONDS else (now, 1)
        if self._windows[key.access_id][1] > self._world.calls_a_minute or fault is Fault.THROTTLE:
            raise _refusal(429, TOO_OFTEN, "Rate exceeded", headers=self._limits(key, is_used_up=True))

    def _limits(self, key: Key, *, is_used_up: bool = False) -> tuple[tuple[str, str], ...]:
        limit = self._world.calls_a_minute
        began_at, count = self._windows[key.access_id]
        left = 0 if is_used_up else max(0, limit - count)
        reset = max(1, round(began_at + WINDOW_SECONDS - time.monotonic()))
        return (
            ("X-Rate-Limit-Limit", str(limit)),
            ("X-Rate-Limit-Remaining", str(left)),
            ("X-Rate-Limit-Reset", str(reset)),
        )

    def _unknown_tokens(self, request: Request) -> Reply | None:
        """The audience is empty, whoever is in it; None for other calls."""
        if request.path in (PUSH, VALIDATE):
            raise _nobody()
        return None

    @property
    def _windows(self) -> Kept:
        """When each app key's minute began, and its calls since."""
        return self._world.kept["jpush windows"]

    @property
    def _answered(self) -> Kept:
        """The first answer that succeeded under each `cid`, and when."""
        return self._world.kept["jpush answers"]

    @property
    def _meant(self) -> Kept:
        """Whom each push reached."""
        return self._world.kept["jpush audiences"]

    # --- pushes --------------------------------------------------------------------------------
    def _push(self, key: Key, request: Request) -> Reply:
        body = _body(request)
        cid = body.get("cid", "")
        if not isinstance(cid, str) or (cid and not _CID.fullmatch(cid)):
            raise _refusal(400, INVALID, "cid is invalid")
        if known := self._answer_under(key, cid):
            return Reply(known)
        ids, shown = _checked(body)
        single = token_fault(ids[0]) if len(ids) == 1 else None
        reached = _reached(ids, single)
        push_id = f"1810028{self._world.phones.new_push_id()}"
        if single is TokenFault.HANGS:
            return Reply(b"", ending=Ending.NEVER)
        self._show(key.access_id, reached, shown, push_id, PUSH)
        answer = orjson.dumps({"sendno": str(object_of(body, "options").get("sendno", 0)), "msg_id": push_id})
        _keep(self._meant, (key.access_id, push_id), frozenset(reached))
        if cid:
            _keep(self._answered, (key.access_id, cid), (time.time(), answer))
        return ending_of(single) or Reply(answer)

    def _validate(self, _key: Key, request: Request) -> Reply:
        ids, _shown = _checked(_body(request))
        _reached(ids, token_fault(ids[0]) if len(ids) == 1 else None)
        return Reply(orjson.dumps({"sendno": "0", "msg_id": str(int(time.time() * 1000))}))

    def _answer_under(self, key: Key, cid: str) -> bytes | None:
        found = self._answered.get((key.access_id, cid)) if cid else None
        return found[1] if found and time.time() - found[0] < CID_SECONDS else None

    def _cids(self, key: Key, request: Request) -> Reply:
        asked = forms.parse(request.query)
        count = asked.get("count", "1")
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MAX_CIDS):
            raise _refusal(400, INVALID, f"count: 1 to {MAX_CIDS} are given")
        return Reply(orjson.dumps({"cidlist": [f"{key.access_id}-{uuid.uuid4()}" for _ in range(int(count))]}))

    def _status(self, key: Key, request: Request) -> Reply:
        body = _body(request)
        ids = texts(body.get("registration_ids"), MAX_IDS)
        if ids is None or type(body.get("msg_id")) is not int:
            raise _refusal(400, INVALID, "msg_id and registration_ids are needed")
        meant = self._meant.get((key.access_id, str(body["msg_id"])), frozenset())
        return Reply(orjson.dumps({name: {"status": _fate(name, meant)} for name in ids}))


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get(b"authorization", b"").partition(b" ")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, secret) if scheme.lower() == b"basic" else ("", "")


def _body(request: Request) -> dict[str, Any]:
    body = json_object(request.body)
    if body is None:
        raise _refusal(400, INVALID, "the body is no JSON object")
    return body


def _checked(body: Mapping[str, Any]) -> tuple[Sequence[str], Shown]:
    """To whom, and what."""
    platforms = _platforms(body.get("platform"))
    notification = body.get("notification")
    if not isinstance(notification, dict):
        raise _refusal(400, MISSING, "notification is missing")
    name = next((name for name in platforms if name in notification), platforms[0])
    for one in platforms:
        own = notification.get(one)
        if own and len(orjson.dumps(own)) > MAX_BYTES.get(one, MAX_OTHER_BYTES):
            raise _refusal(400, TOO_LARGE, f"the message for {one} is too large")
    options = body.get("options", {})
    expire = options.get("time_to_live", 0) if isinstance(options, dict) else None
    if type(expire) is not int or not 0 <= expire <= MAX_EXPIRE_SECONDS:
        raise _refusal(400, INVALID, "options.time_to_live is invalid")
    audience = body.get("audience")
    if audience == "all":
        return [ALL_DEVICES], _shown(name, notification, options)
    ids = texts(audience.get("registration_id"), MAX_IDS) if isinstance(audience, dict) else None
    if ids is None:
        raise _refusal(400, INVALID, f"audience: 1 to {MAX_IDS} registration ids, or all")
    return ids, _shown(name, notification, options)


def _platforms(found: object) -> list[str]:
    names = list(_PLATFORMS) if found == "all" else [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not names or not all(name in _OTHERS or name in _PLATFORMS for name in names):
        raise _refusal(400, INVALID, "platform is invalid")
    return names


def _shown(name: str, notification: dict[str, Any], options: dict[str, Any]) -> Shown:
    own = object_of(notification, name)
    alert = own.get("alert", notification.get("alert"))
    words = alert if isinstance(alert, dict) else {"body": alert, "title": own.get("title")}
    if not isinstance(words.get("body"), str):
        raise _refusal(400, MISSING, f"notification.{name}.alert is missing")
    extras = object_of(own, "extras")
    n_id = number_of(options.get("apns_collapse_id")) or number_of(extras.get("n_id"))
    lines = [text_of(words, "subtitle"), text_of(words, "body")]
    platform = _PLATFORMS.get(name, Platform.ANDROID)
    return Shown(
        platform, text_of(words, "title"), "\n".join(filter(None, lines)), extras, n_id, *_tapped(platform, own)
    )


def _tapped(platform: Platform, own: dict[str, Any]) -> tuple[str, str]:
    """What a tap opens, and the picture. An iPhone's app finds both in its extras."""
    if platform == Platform.IOS:
        extras = object_of(own, "extras")
        return text_of(extras, "link"), text_of(extras, "image")
    url = text_of(object_of(own, "intent"), "url")
    return "" if url == HMOS_HOME else url, text_of(own, "big_pic_path") or text_of(own, "large_icon")


def _reached(ids: Sequence[str], single: TokenFault | None) -> list[str]:
    """Whom the push reaches: of a list, the others are dropped without a word. Raises when nobody remains."""
    if single is TokenFault.BUSY:
        raise _refusal(503, BUSY, "the service is busy")
    if single is TokenFault.THROTTLED:
        raise _refusal(429, TOO_OFTEN, "Rate exceeded")
    if single is TokenFault.ILLEGAL:
        raise _refusal(400, INVALID, "registration_id is invalid")
    reached = [one for one in dict.fromkeys(ids) if one == ALL_DEVICES or not _is_foreign(one)]
    if not reached:
        raise _nobody()
    return reached


def _is_foreign(registration_id: str) -> bool:
    is_known = _ID.fullmatch(registration_id) and registration_id != NOBODYS_ID
    return not is_known or token_fault(registration_id) in _DEAD


def _fate(registration_id: str, meant: frozenset[str]) -> int:
    if _is_foreign(registration_id):
        return FOREIGN
    return DELIVERED if registration_id in meant or ALL_DEVICES in meant else NOT_MEANT


def _keep(kept: Kept, name: tuple[AccessId, str], value: object) -> None:
    kept[name] = value
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)


def _nobody() -> VendorRefusedError:
    return _refusal(400, NOBODY, "cannot find user by this audience")


def _refusal(http: int, code: int, text: str, *, headers: tuple[tuple[str, str], ...] = ()) -> VendorRefusedError:
    body = orjson.dumps({"error": {"code": code, "message": text}})
    return VendorRefusedError(str(code), Reply(body, http, headers=headers))
