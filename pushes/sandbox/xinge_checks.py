"""The checks of Xinge v2 before a push: first the signature, then the message."""

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from pushes.names import Platform
from pushes.sandbox.keys import AccessId
from pushes.sandbox.store import describe
from pushes.sandbox.wire import Request
from pushes.sandbox.xinge_refusals import Refusal, XingeRefusedError

REAL_HOST = "openapi.xg.qq.com"
MAX_VALID_SECONDS = 600
MAX_MESSAGE_BYTES = 4096
MAX_EXPIRE_SECONDS = 259_200
_HEX = re.compile(r"[0-9a-fA-F]+")
_SEND_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_ANDROID_TYPES = ("1", "2")
_IOS_TYPES = ("0", "11", "12")

#: Times in parameters and answers are the provider's own.
BEIJING = ZoneInfo("Asia/Shanghai")

Params = dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a known caller, with readers for its parameters. The readers raise XingeRefusedError."""

    access_id: AccessId
    platform: Platform
    params: Params
    path: str

    def needed(self, name: str) -> str:
        value = self.params.get(name, "")
        if not value:
            raise XingeRefusedError(Refusal.PARAM, f"{name} is missing")
        return value

    def array(self, name: str, most: int) -> list[Any]:
        """Read a JSON list of 1 to `most` items."""
        try:
            items = orjson.loads(self.params.get(name, ""))
        except orjson.JSONDecodeError:
            items = None
        if not isinstance(items, list) or not items:
            raise XingeRefusedError(Refusal.PARAM, f"{name} must be a JSON list")
        if len(items) > most:
            raise XingeRefusedError(Refusal.PARAM, f"{name} has {len(items)} items, more than {most}")
        return items

    def strings(self, name: str, most: int) -> list[str]:
        items = self.array(name, most)
        if not all(isinstance(item, str) for item in items):
            raise XingeRefusedError(Refusal.PARAM, f"{name} must hold strings")
        return items

    def whole(
        self,
        name: str,
        *,
        least: int,
        most: int = 2**63,
        default: int | None = None,
        refusal: Refusal = Refusal.VALUE,
    ) -> int:
        return whole(self.params, name, least=least, most=most, default=default, refusal=refusal)


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    content: str
    custom: dict[str, Any]
    n_id: int

    def described(self, platform: Platform, push_id: str, path: str) -> bytes:
        return describe(platform.value, self.title, self.content, self.custom, self.n_id, push_id, path)


def check_clock(params: Params) -> None:
    """Check the caller's clock: `valid_time` is the allowed difference, at most 600 s and by default 600 s."""
    timestamp = whole(params, "timestamp", least=0, refusal=Refusal.MISSING)
    valid = params.get("valid_time", "")
    seconds = int(valid) if valid.isascii() and valid.isdigit() else MAX_VALID_SECONDS
    if abs(time.time() - timestamp) > min(seconds, MAX_VALID_SECONDS):
        raise XingeRefusedError(Refusal.CLOCK)


def is_signed(request: Request, params: Params, secret: str) -> bool:
    """Whether the call is signed for the host that was asked, or for the real service by a re-routed client."""
    pairs = "".join([f"{name}={value}" for name, value in sorted(params.items()) if name != "sign"])
    rest = f"{request.path}{pairs}{secret}"
    host = request.headers.get(b"host", b"").decode("latin-1")
    return any(
        params["sign"] == hashlib.md5(f"{request.method}{name}{rest}".encode(), usedforsecurity=False).hexdigest()
        for name in (without_port(host), REAL_HOST)
    )


def without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def message_of(asked: Asked) -> Message:
    """Read and check the push-common parameters. Raises XingeRefusedError."""
    params = asked.params
    text = params.get("message")
    if text is None:
        raise XingeRefusedError(Refusal.PARAM, "message is missing")
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise XingeRefusedError(Refusal.NOT_JSON)
    is_ios = asked.platform is Platform.IOS
    _check_size(text, parsed, is_ios=is_ios)
    _check_common(params, is_ios=is_ios)
    return _ios(parsed) if is_ios else _android(parsed, params["message_type"])


def _check_size(text: str, parsed: dict[str, Any], *, is_ios: bool) -> None:
    """Check the size. Parameters that Apple does not receive (`accept_time`, the caller's `xg`) do not count."""
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_MESSAGE_BYTES and is_ios:
        size = len(orjson.dumps({name: parsed[name] for name in parsed if name not in ("xg", "accept_time")}))
    if size > MAX_MESSAGE_BYTES:
        raise XingeRefusedError(Refusal.TOO_LONG, f"{size} bytes")


def _check_common(params: Params, *, is_ios: bool) -> None:
    kind = params.get("message_type")
    if kind not in (_IOS_TYPES if is_ios else _ANDROID_TYPES):
        raise XingeRefusedError(Refusal.VALUE, f"message_type={kind!r}")
    environment = params.get("environment", "0" if not is_ios else None)
    if environment not in (("1", "2") if is_ios else ("0", "")):
        raise XingeRefusedError(Refusal.VALUE, f"environment={environment!r}")
    if "expire_time" in params:
        whole(params, "expire_time", least=0, most=MAX_EXPIRE_SECONDS)
    if params.get("multi_pkg", "0") not in ("0", "1"):
        raise XingeRefusedError(Refusal.VALUE, f"multi_pkg={params['multi_pkg']!r}")
    if params.get("send_time") and not _SEND_TIME.fullmatch(params["send_time"]):
        raise XingeRefusedError(Refusal.VALUE, f"send_time={params['send_time']!r}")


def loop_times(asked: Asked) -> int:
    """How often a push to all devices or to tags is repeated; 0 without a loop."""
    times = asked.whole("loop_times", least=0, most=15, default=0, refusal=Refusal.LOOP)
    interval = asked.whole("loop_interval", least=0, most=14, default=0, refusal=Refusal.LOOP)
    if times and (interval == 0 or (times - 1) * interval + 1 > 15):
        raise XingeRefusedError(Refusal.LOOP)
    return times


def _android(parsed: dict[str, Any], message_type: str) -> Message:
    title, content = parsed.get("title", ""), parsed.get("content", "")
    if message_type == "1" and not ("title" in parsed and "content" in parsed):
        raise XingeRefusedError(Refusal.PARAM, "title and content are needed")
    custom, n_id = parsed.get("custom_content") or {}, parsed.get("n_id", 0)
    if not (isinstance(title, str) and isinstance(content, str) and isinstance(custom, dict)):
        raise XingeRefusedError(Refusal.PARAM, "title, content or custom_content")
    if type(n_id) is not int:
        raise XingeRefusedError(Refusal.PARAM, f"n_id={n_id!r}")
    return Message(title, content, custom, n_id)


def _ios(parsed: dict[str, Any]) -> Message:
    """Read the APNs payload itself; the keys beside `aps` are the app's."""
    aps = parsed.get("aps")
    if not isinstance(aps, dict) or not ("alert" in aps or "content-available" in aps):
        raise XingeRefusedError(Refusal.PARAM, "aps has neither alert nor content-available")
    alert = aps.get("alert", "")
    custom = {name: value for name, value in parsed.items() if name not in ("aps", "xg", "accept_time")}
    n_id = custom.get("n_id", 0)
    n_id = n_id if type(n_id) is int else 0
    if isinstance(alert, dict):
        return Message(str(alert.get("title", "")), str(alert.get("body", "")), custom, n_id)
    return Message("", str(alert), custom, n_id)


def is_token(token: str, platform: Platform) -> bool:
    """Whether this is a token: 64 hexadecimal digits, on Android also 40."""
    lengths = (64,) if platform is Platform.IOS else (40, 64)
    return len(token) in lengths and _HEX.fullmatch(token) is not None


def beijing_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def is_later(send_time: str) -> bool:
    """Whether the time is in the future: a past time, or none, means now."""
    return send_time > beijing_time(time.time())


def whole(
    params: Params,
    name: str,
    *,
    least: int,
    most: int = 2**63,
    default: int | None = None,
    refusal: Refusal = Refusal.VALUE,
) -> int:
    text = params.get(name)
    if text in (None, "") and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise XingeRefusedError(refusal, f"{name}={text!r}")
    return int(text)
