"""Huawei Push Kit, the vendor's side: v1 for Android with an OAuth exchange, v3 for HarmonyOS with tokens that callers
sign themselves."""

import re
import time
import uuid
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import orjson

from pushes.names import Platform
from pushes.providers.huawei_v3 import AUDIENCE, Account
from pushes.sandbox import forms, jwt
from pushes.sandbox.bearers import Bearer
from pushes.sandbox.face import Call, token_fault
from pushes.sandbox.faults import Fault, TokenFault
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
    texts,
)
from pushes.sandbox.wire import Reply, Request

EXCHANGE = "/oauth2/v3/token"
TOKEN_SECONDS, MAX_SIGNED_SECONDS, AHEAD_SECONDS = 3_600, 86_400, 300
MAX_BYTES, MAX_TOKENS = 4_096, 1_000
OK, PARTLY, PARAMETER, STRUCTURE, WRONG_AUTH = "80000000", "80100000", "80100001", "80100003", "80200001"
STALE_OAUTH, STALE_JWT, NO_TOKEN, TOO_LARGE = "80200003", "80200005", "80300007", "80300008"
TOO_MANY, TOO_LONG_JWT, OAUTH_BUSY = "80300010", "80300036", "80600003"
#: Of the exchange: the client is not known, or its secret is wrong.
WRONG_CLIENT, WRONG_FORM = 1101, 1102
PUSH_TYPES = frozenset({"0", "1", "2", "6", "7", "10"})
#: Tokens have 100 characters and more. Here 32 will do, so that tests can name theirs.
_TOKEN = re.compile("[A-Za-z0-9_=-]{32,512}")
_TTL = re.compile(r"(\d{1,8})(\.\d{1,9})?s?")
MAX_TTL = 1_296_000
_BAD = (TokenFault.UNREGISTERED, TokenFault.ILLEGAL)


class Client(NamedTuple):
    """What the secret of a v1 key holds."""

    client_secret: str


class HuaweiFace(VendorFace):
    """What both versions have in common: what becomes of a list of tokens, and how the answer says it."""

    #: How an answer names the tokens that a list left out.
    left_out: ClassVar[str]
    send: ClassVar[re.Pattern[str]]

    @abstractmethod
    def _known_caller(self, call: Call, fault: Fault) -> Key:
        """The key under whose name the call may push."""

    @abstractmethod
    def _read(self, request: Request) -> tuple[dict[str, Any], object, Shown, bool]:
        """The body without its tokens, the tokens, what is shown, and whether the call is only to be examined."""

    def open_call(self, request: Request) -> Call:
        place = self.send.fullmatch(request.path)
        return Call(request, place[1] if place else None)

    def reply(self, call: Call, fault: Fault) -> Reply:
        request = call.request
        if request.method != "POST" or call.access_id is None:
            raise VendorRefusedError("404", Reply(b"", 404))
        key = self._known_caller(call, fault)
        if fault is Fault.THROTTLE:
            raise _too_fast()
        rest, found, shown, is_check = self._read(request)
        if isinstance(found, list) and len(found) > MAX_TOKENS:
            raise _refusal(TOO_MANY, f"more than {MAX_TOKENS} tokens")
        tokens = texts(found, MAX_TOKENS)
        if tokens is None:
            raise _refusal(STRUCTURE, "the tokens are missing")
        if len(orjson.dumps(rest)) > MAX_BYTES:
            raise _refusal(TOO_LARGE, f"the message has more than {MAX_BYTES} bytes")
        if fault is Fault.BAD_TOKEN:
            raise _refusal(NO_TOKEN, "all the tokens are invalid")
        return self._push(key, list(tokens), shown, is_check=is_check)

    def _push(self, key: Key, tokens: list[str], shown: Shown, *, is_check: bool) -> Reply:
        single = token_fault(tokens[0]) if len(tokens) == 1 else None
        if single is TokenFault.BUSY:
            raise _refusal(OAUTH_BUSY, "the OAuth service failed")
        if single is TokenFault.THROTTLED:
            raise _too_fast()
        bad = [token for token in tokens if not _TOKEN.fullmatch(token) or token_fault(token) in _BAD]
        taken = [token for token in tokens if token not in set(bad)] if bad else tokens
        if not taken:
            raise self._refuse_all(bad)
        push_id = f"{int(time.time() * 1000)}{uuid.uuid4().int % 10**14:014}"
        if not is_check and single is not TokenFault.HANGS:
            self._show(key.access_id, taken, shown, push_id, self._name)
        if not is_check and (ending := ending_of(single)):
            return ending
        if not bad:
            return _answer(OK, "Success", push_id)
        named = {"success": len(taken), "failure": len(bad), self.left_out: bad}
        return _answer(PARTLY, orjson.dumps(named).decode(), push_id)

    @property
    def _name(self) -> str:
        return self.send.pattern.replace("([^/]+)", "")

    def _refuse_all(self, _bad: list[str]) -> VendorRefusedError:
        return _refusal(NO_TOKEN, "all the tokens are invalid")


class HuaweiV1Face(HuaweiFace):
    paths: ClassVar[re.Pattern[str]] = re.compile("/oauth2/v3/token$|/v1/[^/]+/messages:send$")
    send: ClassVar[re.Pattern[str]] = re.compile("/v1/([^/]+)/messages:send")
    left_out: ClassVar[str] = "illegal_tokens"

    def open_call(self, request: Request) -> Call:
        if request.path == EXCHANGE:
            return Call(request, _form(request).get("client_id") or None)
        return super().open_call(request)

    def reply(self, call: Call, fault: Fault) -> Reply:
        return self._exchange(call, fault) if call.request.path == EXCHANGE else super().reply(call, fault)

    def _exchange(self, call: Call, fault: Fault) -> Reply:
        form = _form(call.request)
        if call.request.method != "POST" or form.get("grant_type") != "client_credentials" or call.access_id is None:
            raise _no_token(WRONG_FORM, "grant_type, client_id and client_secret are needed")
        keys = self._world.keys.all(call.access_id)
        wrong = _no_token(WRONG_CLIENT, "invalid client")
        if fault is Fault.BAD_AUTH:
            raise wrong
        given = Client(form.get("client_secret", ""))
        key = next((key for key in keys if credentials(key.secret, Client) == given), None)
        if key is None:
            raise self._stale_or(keys[0] if keys else None, wrong)
        granted = self._world.bearers.grant(key, TOKEN_SECONDS)
        answer = {"access_token": granted, "expires_in": TOKEN_SECONDS, "token_type": "Bearer"}
        return Reply(orjson.dumps(answer))

    def _known_caller(self, call: Call, fault: Fault) -> Key:
        text, app_id = bearer_of(call.request), call.access_id or ""
        if not text or fault is Fault.BAD_AUTH:
            raise _refusal(WRONG_AUTH, "authentication failed", 401)
        bearer = self._world.bearers.find(text)
        if bearer is None or bearer.is_expired:
            raise _refusal(STALE_OAUTH, "the access token has expired", 401)
        if bearer.access_id != app_id:
            raise _refusal(WRONG_AUTH, "the access token is of another app", 401)
        return Key(app_id, bearer.secret)

    def _read(self, request: Request) -> tuple[dict[str, Any], object, Shown, bool]:
        body = _body(request)
        message = object_of(body, "message")
        android = object_of(message, "android")
        words = object_of(message, "notification") | object_of(android, "notification")
        if not words and not message.get("data"):
            raise _refusal(STRUCTURE, "message.notification and message.data are missing")
        data = message.get("data", "")
        if not isinstance(data, str):
            raise _refusal(PARAMETER, "message.data must be a text")
        if words and not object_of(words, "click_action"):
            raise _refusal(PARAMETER, "message.android.notification.click_action is missing")
        ttl = _TTL.fullmatch(str(android.get("ttl", "0s")))
        if ttl is None or int(ttl[1]) > MAX_TTL:
            raise _refusal(PARAMETER, "message.android.ttl is invalid")
        custom = json_object(data.encode()) or ({"data": data} if data else {})
        n_id = number_of(words.get("notify_id"))
        click = object_of(words, "click_action")
        more = (text_of(click, "url") or text_of(click, "intent"), text_of(words, "image"))
        shown = Shown(Platform.ANDROID, text_of(words, "title"), text_of(words, "body"), custom, n_id, *more)
        rest = {name: part for name, part in message.items() if name != "token"}
        return rest, message.get("token"), shown, body.get("validate_only") is True


class HuaweiV3Face(HuaweiFace):
    paths: ClassVar[re.Pattern[str]] = re.compile("/v3/[^/]+/messages:send$")
    send: ClassVar[re.Pattern[str]] = re.compile("/v3/([^/]+)/messages:send")
    left_out: ClassVar[str] = "tokenFormatError"

    def _known_caller(self, call: Call, fault: Fault) -> Key:
        bearer, token = self._bearer(call, fault)
        issued_at, expires_at = token.number("iat") or 0, token.number("exp") or 0
        if expires_at - issued_at > MAX_SIGNED_SECONDS:
            raise _refusal(TOO_LONG_JWT, "the JWT is valid for too long", 401)
        if bearer.is_expired or issued_at > time.time() + AHEAD_SECONDS:
            raise _refusal(STALE_JWT, "the JWT has expired", 401)
        return Key(bearer.access_id, bearer.secret)

    def _bearer(self, call: Call, fault: Fault) -> tuple[Bearer, jwt.Jwt]:
        text, project = bearer_of(call.request), call.access_id or ""
        token, wrong = jwt.read(text), _refusal(WRONG_AUTH, "authentication failed", 401)
        if token is None or token.claims.get("aud") != AUDIENCE or fault is Fault.BAD_AUTH:
            raise wrong
        keys = self._world.keys.all(project)
        accounts = [(key, found) for key in keys if (found := credentials(key.secret, Account))]
        named = (token.header.get("kid"), token.claims.get("iss"))
        signers = [(key, one.private_key) for key, one in accounts if (one.key_id, one.sub_account) == named]
        bearer = self._signed(text, token, jwt.PS256, signers, token.number("exp") or 0)
        if bearer is None:
            raise self._stale_or(keys[0] if keys else None, wrong)
        return bearer, token

    def _read(self, request: Request) -> tuple[dict[str, Any], object, Shown, bool]:
        if request.headers.get(b"push-type", b"").decode("latin-1") not in PUSH_TYPES:
            raise _refusal(STRUCTURE, "push-type is missing or unknown")
        body = _body(request)
        words = object_of(object_of(body, "payload"), "notification")
        for name in ("category", "title", "body"):
            if not isinstance(words.get(name), str) or not words[name]:
                raise _refusal(PARAMETER, f"payload.notification.{name} is missing")
        action = object_of(words, "clickAction")
        if action.get("actionType") not in (0, 1):
            raise _refusal(PARAMETER, "payload.notification.clickAction.actionType must be 0 or 1")
        options = object_of(body, "pushOptions")
        ttl = options.get("ttl", MAX_TTL)
        if type(ttl) is not int or not 0 < ttl <= MAX_TTL:
            raise _refusal(PARAMETER, "pushOptions.ttl is invalid")
        n_id = number_of(words.get("notifyId"))
        more = (text_of(action, "uri"), text_of(words, "image"))
        shown = Shown(Platform.HARMONY, words["title"], words["body"], object_of(action, "data"), n_id, *more)
        rest = {name: part for name, part in body.items() if name != "target"}
        return rest, object_of(body, "target").get("token"), shown, False

    def _refuse_all(self, bad: list[str]) -> VendorRefusedError:
        return _refusal(NO_TOKEN, orjson.dumps({"success": 0, "failure": len(bad), self.left_out: bad}).decode())


def _form(request: Request) -> Mapping[str, str]:
    try:
        return forms.parse(request.body)
    except UnicodeDecodeError:
        return {}


def _body(request: Request) -> dict[str, Any]:
    body = json_object(request.body)
    if body is None:
        raise _refusal(STRUCTURE, "the body is no JSON object", 400)
    return body


def _answer(code: str, text: str, push_id: str, status: int = 200) -> Reply:
    return Reply(orjson.dumps({"code": code, "msg": text, "requestId": push_id}), status)


def _refusal(code: str, text: str, status: int = 200) -> VendorRefusedError:
    return VendorRefusedError(code, _answer(code, text, str(int(time.time() * 1000)), status))


def _too_fast() -> VendorRefusedError:
    return VendorRefusedError("503", Reply(orjson.dumps({"msg": "flow control"}), 503))


def _no_token(error: int, description: str) -> VendorRefusedError:
    return VendorRefusedError(str(error), Reply(orjson.dumps({"error": error, "error_description": description}), 400))
