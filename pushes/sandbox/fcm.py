"""FCM HTTP v1, Google's side: the exchange of an assertion for an access token, and `messages:send`."""

import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from pushes.names import Platform
from pushes.providers.fcm import GRANT, MAX_EXPIRE_SECONDS, RESERVED_KEYS, RESERVED_PREFIXES
from pushes.providers.fcm_account import TOKEN_URIS, ServiceAccount
from pushes.sandbox import forms, jwt
from pushes.sandbox.face import Call, token_fault
from pushes.sandbox.faults import Fault, TokenFault
from pushes.sandbox.jwt import Jwt
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

EXCHANGE = "/token"
TOKEN_SECONDS, MAX_ASSERTION_SECONDS, AHEAD_SECONDS = 3_599, 3_600, 300
MAX_BYTES = 4_096
#: What an assertion may ask for, each enough to push.
SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("firebase.messaging", "cloud-platform", "firebase")
)
#: What may stand in a message, beside its target.
FIELDS = frozenset({"name", "data", "notification", "android", "webpush", "apns", "fcm_options"})
TARGETS = ("token", "topic", "condition", "fid")
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
_SEND = re.compile("/v1/projects/([^/]+)/messages:send")
#: Registration tokens have 140 characters and more. Here 32 will do, so that tests can name theirs.
_TOKEN = re.compile("[A-Za-z0-9_:-]{32,512}")
_TTL = re.compile(r"(\d{1,9})(\.\d{1,9})?s")


class FcmFace(VendorFace):
    paths: ClassVar[re.Pattern[str]] = re.compile("/token$|/v1/projects/")

    def open_call(self, request: Request) -> Call:
        if request.path == EXCHANGE:
            key = self._account_of(_assertion(request))
            return Call(request, key[0].access_id if key else None)
        place = _SEND.fullmatch(request.path)
        return Call(request, place[1] if place else None)

    def reply(self, call: Call, fault: Fault) -> Reply:
        if call.request.method != "POST" or (call.request.path != EXCHANGE and call.access_id is None):
            raise _refusal(404, "NOT_FOUND", "the requested URL was not found")
        if call.request.path == EXCHANGE:
            return self._exchange(call, fault)
        return self._send(call, fault)

    # --- the exchange --------------------------------------------------------------------------
    def _exchange(self, call: Call, fault: Fault) -> Reply:
        form = _form(call.request)
        if form.get("grant_type") != GRANT:
            raise _no_token("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')[:60]}")
        assertion = jwt.read(form.get("assertion", ""))
        if assertion is None:
            raise _no_token("invalid_grant", "Invalid JWT: it cannot be read.")
        found = self._account_of(assertion)
        if found is None:
            raise self._stale_or(None, _no_token("invalid_grant", "Invalid grant: account not found"))
        key, account = found
        if fault is Fault.BAD_AUTH:
            raise _no_token("invalid_grant", "Invalid JWT Signature.")
        if not jwt.is_signed(assertion, jwt.RS256, account.private_key):
            raise self._stale_or(key, _no_token("invalid_grant", "Invalid JWT Signature."))
        _check_claims(assertion, call.request)
        answer = {"access_token": self._world.bearers.grant(key, TOKEN_SECONDS), "expires_in": TOKEN_SECONDS}
        return Reply(orjson.dumps({**answer, "token_type": "Bearer"}))

    def _account_of(self, assertion: Jwt | None) -> tuple[Key, ServiceAccount] | None:
        """The key whose account says that it is the issuer; its private key's name tells several keys apart."""
        if assertion is None:
            return None
        accounts = ((key, credentials(key.secret, ServiceAccount)) for key in self._world.keys)
        found = [(key, one) for key, one in accounts if one and one.client_email == assertion.claims.get("iss")]
        same = [pair for pair in found if pair[1].private_key_id == assertion.header.get("kid")]
        return next(iter(same or found), None)

    # --- pushes --------------------------------------------------------------------------------
    def _send(self, call: Call, fault: Fault) -> Reply:
        key = self._known_caller(call, fault)
        body = json_object(call.request.body)
        if body is None:
            raise _refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        message = object_of(body, "message")
        token = _target(message)
        shown = _checked(message)
        if fault is Fault.BAD_TOKEN:
            raise _of_fcm(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch")
        if fault is Fault.THROTTLE:
            raise _of_fcm(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Quota exceeded for quota metric 'messages'.")
        found = token_fault(token)
        _refuse_token(token, found)
        project = str(key.access_id)
        if body.get("validate_only") is True:
            return Reply(orjson.dumps({"name": f"projects/{project}/messages/fake_message_id"}))
        push_id = f"0:{self._world.phones.new_push_id()}%sandbox"
        if found is not TokenFault.HANGS:
            self._show(project, [token], shown, push_id, "/v1/projects/messages:send")
        return ending_of(found) or Reply(orjson.dumps({"name": f"projects/{project}/messages/{push_id}"}))

    def _known_caller(self, call: Call, fault: Fault) -> Key:
        project = call.access_id or ""
        bearer = self._world.bearers.find(bearer_of(call.request))
        if bearer is None or bearer.is_expired:
            raise _refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        key = next((key for key in self._world.keys.all(project) if credentials(key.secret, ServiceAccount)), None)
        denied = _refusal(403, "PERMISSION_DENIED", "The caller may not create messages in this project.")
        if key is None:
            raise self._stale_or(None, denied)
        if bearer.access_id != project or fault is Fault.BAD_AUTH:
            raise denied
        return key


def _assertion(request: Request) -> Jwt | None:
    return jwt.read(_form(request).get("assertion", ""))


def _form(request: Request) -> dict[str, str]:
    try:
        return forms.parse(request.body)
    except UnicodeDecodeError:
        return {}


def _check_claims(assertion: Jwt, request: Request) -> None:
    """For whom, what, and how long."""
    host = (request.headers.get(b"host") or request.headers.get(b":authority", b"")).decode("latin-1")
    audiences = TOKEN_URIS | {f"{scheme}://{host}{EXCHANGE}" for scheme in ("http", "https")}
    if assertion.claims.get("aud") not in audiences:
        raise _no_token("invalid_grant", "Invalid JWT: its audience is not this token server.")
    if not SCOPES.intersection(text_of(assertion.claims, "scope").split()):
        raise _no_token("invalid_scope", "No scope of those asked for allows to push.")
    issued_at, expires_at = assertion.number("iat"), assertion.number("exp")
    now = time.time()
    is_timely = issued_at is not None and expires_at is not None and issued_at <= now + AHEAD_SECONDS
    if not is_timely or not now < (expires_at or 0) <= (issued_at or 0) + MAX_ASSERTION_SECONDS:
        words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise _no_token("invalid_grant", words)


def _target(message: Mapping[str, Any]) -> str:
    targets = [name for name in TARGETS if name in message]
    if len(targets) != 1:
        raise _bad_field("message", "Exactly one of token, topic or condition is required.")
    token = message.get("token")
    if targets != ["token"]:
        raise _bad_field(f"message.{targets[0]}", "The sandbox speaks of tokens only.")
    if not isinstance(token, str) or not token:
        raise _bad_field("message.token", "The registration token is not a valid FCM registration token")
    return token


def _checked(message: dict[str, Any]) -> Shown:
    """The message as a phone shows it. The size is that of the whole message but for the token."""
    unknown = message.keys() - FIELDS - set(TARGETS)
    if unknown:
        raise _bad_field("message", f"Unknown name {min(unknown)!r}: Cannot find field.")
    data = message.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise _bad_field("message.data", "Invalid value: only strings are allowed.")
    if taken := sorted(name for name in data if name in RESERVED_KEYS or name.startswith(RESERVED_PREFIXES)):
        raise _of_fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", f"Invalid data payload key: {taken[0]}")
    android = object_of(message, "android")
    _check_android(android)
    if len(orjson.dumps({name: part for name, part in message.items() if name != "token"})) > MAX_BYTES:
        raise _of_fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Android message is too big")
    words = object_of(message, "notification") | object_of(android, "notification")
    tag = number_of(words.get("tag"))
    link, image = text_of(data, "link"), text_of(words, "image")
    return Shown(Platform.ANDROID, text_of(words, "title"), text_of(words, "body"), data, tag, link, image)


def _check_android(android: Mapping[str, Any]) -> None:
    if str(android.get("priority", "NORMAL")).upper() not in ("NORMAL", "HIGH"):
        raise _bad_field("message.android.priority", f"Invalid value {android['priority']!r}")
    ttl = _TTL.fullmatch(str(android.get("ttl", "0s")))
    if ttl is None or int(ttl[1]) > MAX_EXPIRE_SECONDS:
        raise _bad_field("message.android.ttl", f"Invalid value {android['ttl']!r}")


def _refuse_token(token: str, fault: TokenFault | None) -> None:
    if not _TOKEN.fullmatch(token) or fault is TokenFault.ILLEGAL:
        words = "The registration token is not a valid FCM registration token"
        raise _of_fcm(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", words)
    if fault is TokenFault.UNREGISTERED:
        raise _of_fcm(404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.")
    if fault is TokenFault.BUSY:
        raise _of_fcm(503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable.")
    if fault is TokenFault.THROTTLED:
        words = "Quota exceeded for the messages of one device"
        quota = {"@type": QUOTA_FAILURE, "violations": [{"subject": "device", "description": words}]}
        raise _of_fcm(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", words, quota)


def _no_token(error: str, description: str) -> VendorRefusedError:
    return VendorRefusedError(error, Reply(orjson.dumps({"error": error, "error_description": description}), 400))


def _bad_field(field: str, description: str) -> VendorRefusedError:
    detail = {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]}
    return _refusal(400, "INVALID_ARGUMENT", description, detail)


def _of_fcm(http: int, status: str, code: str, text: str, *details: Mapping[str, Any]) -> VendorRefusedError:
    return _refusal(http, status, text, {"@type": FCM_ERROR, "errorCode": code}, *details, code=code)


def _refusal(http: int, status: str, text: str, *details: Mapping[str, Any], code: str = "") -> VendorRefusedError:
    error: dict[str, Any] = {"code": http, "message": text, "status": status}
    if details:
        error["details"] = list(details)
    return VendorRefusedError(code or status, Reply(orjson.dumps({"error": error}), http))
