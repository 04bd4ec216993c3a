"""TPNS, the provider's side: pushes through `/v3/push/app`, and the account query that checks keys."""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pushes.names import Platform
from pushes.providers.tpns import Tpns
from pushes.sandbox.face import Call, Face, RefusedError, token_fault
from pushes.sandbox.faults import Fault, TokenFault
from pushes.sandbox.keys import AccessId, Key
from pushes.sandbox.store import ALL_DEVICES, describe
from pushes.sandbox.wire import Ending, Reply, Request
from pushes.sandbox.world import World

#: What describes a push to the store, given the push id.
Described = Callable[[str], bytes]

PUSH = "/v3/push/app"
ACCOUNT_QUERY = "/v3/device/account/query"
MAX_CLOCK_SECONDS = 600  # the real service's tolerance is not documented
MAX_MESSAGE_BYTES = 4096
MAX_TOKENS = 1000
MAX_TOKEN_LENGTH = 36
MAX_EXPIRE_SECONDS = 259_200

PARSE, MISSING, AUTH, INTERNAL, INVALID = 1008001, 1008002, 1008003, 1008004, 1008007
ALL_FAILED, TOO_FAST, BAD_TOKEN, WRONG_ID, NOT_FOUND = 1008027, 1008028, 1008029, 1008035, 10110008


class TpnsRefusedError(RefusedError):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class TpnsCall(Call):
    #: The secret of a call with Basic authorisation, which carries it instead of a signature.
    password: str | None = None


class TpnsFace(Face[TpnsCall, TpnsRefusedError]):
    paths = re.compile("/v3/(push/app|device/account/)")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._last_to_all: dict[AccessId, float] = {}

    def open_call(self, request: Request) -> TpnsCall:
        headers = request.headers
        scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"basic":
            return TpnsCall(request, _number(headers.get(b"accessid", b"").decode("latin-1")))
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return TpnsCall(request, None)
        return TpnsCall(request, _number(name), password)

    def answer(self, call: TpnsCall, fault: Fault) -> Reply:
        path = call.request.path
        if path not in (PUSH, ACCOUNT_QUERY):
            return Reply(b"", 404)
        try:
            key = self._known_caller(call, fault)
            body = _json(call.request.body)
            if fault is Fault.BAD_TOKEN and path == PUSH:
                _refuse_all(body)
            reply = self._push(key, body) if path == PUSH else self._query(key, body)
        except TpnsRefusedError as refused:
            return self.refuse(call, refused)
        self._world.answers["0"] += 1
        return reply

    def refuse(self, call: TpnsCall, refused: TpnsRefusedError) -> Reply:
        self._world.answers[str(refused.code)] += 1
        return _answer(call.request.path, refused.code, refused.text)

    def _known_caller(self, call: TpnsCall, fault: Fault) -> Key:
        request = call.request
        if request.method != "POST":
            raise TpnsRefusedError(INVALID, "POST is needed")
        if call.access_id is None:
            raise TpnsRefusedError(AUTH, "AccessId is missing")
        key = self._world.keys.get(call.access_id)
        if key is None:
            raise self._stale_or(None, TpnsRefusedError(WRONG_ID, "wrong AccessId or host"))
        if fault is Fault.BAD_AUTH:
            raise TpnsRefusedError(AUTH, "authentication failed")
        is_known = call.password == key.secret if call.password is not None else _is_signed(request, key)
        if not is_known:
            raise self._stale_or(key, TpnsRefusedError(AUTH, "authentication failed"))
        if fault is Fault.THROTTLE:
            raise TpnsRefusedError(TOO_FAST, "request too fast")
        return key

    def _push(self, key: Key, body: dict[str, Any]) -> Reply:
        describe_with = _checked(body, key)
        audience = body.get("audience_type")
        if audience == "all":
            return self._to_all(key, describe_with)
        tokens = body.get("token_list")
        if audience not in ("token", "token_list"):
            raise TpnsRefusedError(INVALID, f"audience_type={audience!r} is not spoken here")
        if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
            raise TpnsRefusedError(MISSING, "token_list")
        if len(tokens) > MAX_TOKENS:
            raise TpnsRefusedError(INVALID, f"token_list has {len(tokens)} items, more than {MAX_TOKENS}")
        tokens = tokens[:1] if audience == "token" else tokens
        return self._to_tokens(key, body, describe_with, tokens, is_single=audience == "token")

    def _to_tokens(
        self, key: Key, body: dict[str, Any], describe_with: Described, tokens: list[str], *, is_single: bool
    ) -> Reply:
        faults = {token: token_fault(token) for token in tokens}
        if is_single:
            _refuse_token(faults[tokens[0]])
        if is_single and faults[tokens[0]] is TokenFault.HANGS:
            return Reply(b"", ending=Ending.NEVER)
        bad = (TokenFault.UNREGISTERED, TokenFault.ILLEGAL)
        invalid = [token for token in tokens if faults[token] in bad or not _is_token(token)]
        if invalid and (is_single or not body.get("ignore_invalid_token")):
            raise TpnsRefusedError(BAD_TOKEN, "token is not valid")
        valid = [token for token in tokens if token not in set(invalid)] if invalid else tokens
        if not valid:
            raise TpnsRefusedError(ALL_FAILED, "all tokens failed")
        push_id = self._world.phones.new_push_id()
        self._world.deliver(key.access_id, valid, describe_with(push_id))
        if is_single and faults[tokens[0]] is TokenFault.CUT_AFTER:
            return Reply(b"", ending=Ending.CUT)
        more: dict[str, Any] = {"result": orjson.dumps([0] * len(valid)).decode()}
        if invalid:
            more["invalid_targe_list"] = invalid
        return _answer(PUSH, 0, "", push_id=push_id, **more)

    def _to_all(self, key: Key, describe_with: Described) -> Reply:
        """Push to all devices, at most once a second."""
        now = time.monotonic()
        if now - self._last_to_all.get(key.access_id, float("-inf")) < 1:
            raise TpnsRefusedError(TOO_FAST, "request too fast")
        self._last_to_all[key.access_id] = now
        push_id = self._world.phones.new_push_id()
        self._world.received.record(key.access_id, [ALL_DEVICES], describe_with(push_id))
        return _answer(PUSH, 0, "", push_id=push_id)

    def _query(self, key: Key, body: dict[str, Any]) -> Reply:
        operation = body.get("operator_type")
        if operation not in (1, 2):
            raise TpnsRefusedError(INVALID, f"operator_type={operation!r}")
        accounts = body.get("account_list") if operation == 1 else []
        if not isinstance(accounts, list) or not all(isinstance(item, dict) for item in accounts):
            raise TpnsRefusedError(MISSING, "account_list")
        found = [
            {"account": name, "token_list": self._world.phones.tokens_of(key.access_id, name)}
            for name in (str(item.get("account", "")) for item in accounts)
        ]
        return _answer(ACCOUNT_QUERY, 0, "ok", account_tokens=found)


def _refuse_all(body: dict[str, Any]) -> None:
    """Answer that every token is unknown."""
    if body.get("audience_type") == "token":
        raise TpnsRefusedError(BAD_TOKEN, "token is not valid")
    if body.get("audience_type") == "token_list":
        raise TpnsRefusedError(ALL_FAILED, "all tokens failed")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _is_signed(request: Request, key: Key) -> bool:
    timestamp = _number(request.headers.get(b"timestamp", b"").decode("latin-1"))
    if timestamp is None or abs(time.time() - timestamp) > MAX_CLOCK_SECONDS:
        return False
    source = f"{timestamp}{key.access_id}".encode() + request.body
    digest = hmac.new(key.secret.encode(), source, hashlib.sha256).hexdigest()
    return hmac.compare_digest(base64.b64encode(digest.encode()), request.headers.get(b"sign", b""))


def _json(data: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise TpnsRefusedError(PARSE, "the body is no JSON object")
    return body


def _checked(body: dict[str, Any], key: Key) -> Described:
    """Check the message. Returns what describes it for an entry's line, given the push id."""
    platform = Tpns.platform_of(str(key.access_id)) or Platform.ANDROID
    message, is_ios = body.get("message"), platform is Platform.IOS
    if not isinstance(message, dict) or not isinstance(message.get("title"), str):
        raise TpnsRefusedError(MISSING, "message.title")
    if not isinstance(message.get("content"), str):
        raise TpnsRefusedError(MISSING, "message.content")
    if len(orjson.dumps(message)) > MAX_MESSAGE_BYTES:
        raise TpnsRefusedError(INVALID, f"the message has more than {MAX_MESSAGE_BYTES} bytes")
    if body.get("message_type") not in ("notify", "message"):
        raise TpnsRefusedError(INVALID, f"message_type={body.get('message_type')!r}")
    if is_ios and body.get("environment") not in ("product", "dev"):
        raise TpnsRefusedError(INVALID, f"environment={body.get('environment')!r}")
    expire = body.get("expire_time", 0)
    if type(expire) is not int or not 0 <= expire <= MAX_EXPIRE_SECONDS:
        raise TpnsRefusedError(INVALID, f"expire_time={expire!r}")
    custom = _custom((message.get("ios") if is_ios else message.get("android")) or {})
    n_id = message.get("android", {}).get("n_id", 0) if not is_ios else custom.get("n_id", 0)
    n_id = n_id if type(n_id) is int else 0
    return lambda push_id: describe(platform.value, message["title"], message["content"], custom, n_id, push_id, PUSH)


def _custom(options: Any) -> dict[str, Any]:
    """Read `custom_content`, a string that holds JSON."""
    text = options.get("custom_content", "{}") if isinstance(options, dict) else None
    try:
        custom = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        custom = None
    if not isinstance(custom, dict):
        raise TpnsRefusedError(INVALID, "custom_content must be a string that holds a JSON object")
    return custom


def _is_token(token: str) -> bool:
    return 0 < len(token) <= MAX_TOKEN_LENGTH and token.isascii() and token.isalnum()


def _refuse_token(fault: TokenFault | None) -> None:
    if fault is TokenFault.BUSY:
        raise TpnsRefusedError(INTERNAL, "internal service error")
    if fault is TokenFault.THROTTLED:
        raise TpnsRefusedError(TOO_FAST, "request too fast")


def _answer(path: str, code: int, text: str, **more: Any) -> Reply:
    """Write an answer: answers to pushes have one spelling, answers to queries another."""
    if path == PUSH:
        return Reply(orjson.dumps({"seq": 0, "environment": "product", "ret_code": code, "err_msg": text, **more}))
    return Reply(orjson.dumps({"retCode": code, "errMsg": text, **more}))
