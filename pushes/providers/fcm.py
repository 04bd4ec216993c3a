"""Firebase Cloud Messaging, HTTP v1: Google's service for Android outside China. One JSON call a device."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy

from pushes.names import Platform, ProviderKind
from pushes.providers import answers, fcm_account, fcm_codes, meanings, signed_tokens
from pushes.providers.base import (
    AccessToken,
    Answer,
    CredentialField,
    CredentialsError,
    HttpRequest,
    HttpResponse,
    MessageTooLargeError,
    PreparedMessage,
    Provider,
    Sealed,
)
from pushes.providers.reserved import moved_aside
from pushes.providers.text import clean, fit_all, to_json
from pushes.values import Credentials, Notification, Outcome, Scope, Verdict

DEFAULT_URL = "https://fcm.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 3600
#: A clock that is a little ahead signs nothing that lies in Google's future.
EARLIER_SECONDS = 30
MAX_TOKEN_SECONDS = 3600
MAX_ACCESS_TOKEN = 4096
MAX_MESSAGE_BYTES = 4096
MAX_EXPIRE_SECONDS = 2_419_200
#: Belongs to no device, nor can it.
CHECK_TOKEN = "higo-push-key-check"
#: What FCM keeps for itself in `data`; so are all that begin with one of the prefixes.
RESERVED_KEYS = frozenset({"from", "message_type", "collapse_key"})
RESERVED_PREFIXES = ("google", "gcm")
_NAME = re.compile(r"projects/[^/]+/messages/([^/]+)")
_VISIBLE = re.compile(r"[!-~]+")
_FCM_ERROR = "google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "google.rpc.BadRequest"
_QUOTA_FAILURE = "google.rpc.QuotaFailure"

SERVICE_ACCOUNT = CredentialField(
    "service_account",
    gettext_lazy("Service account key (.json)"),
    gettext_lazy("The file that Firebase generates under Project settings, Service accounts, or its text."),
    is_secret=True,
    is_file=True,
)


@dataclass(frozen=True, slots=True)
class FcmMessage(PreparedMessage):
    """`encoded` is the body behind the device token, as bytes."""

    encoded: bytes = field(default=b"", repr=False)
    url: str = ""


class Fcm(Provider):
    """Android alone: iPhones are reached through APNs, without Google between.

    An endpoint URL is that of a relay, which takes `/token` as well: servers in China reach neither of Google's hosts.
    """

    kind: ClassVar[ProviderKind] = ProviderKind.FCM
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    max_expire_seconds: ClassVar[int] = MAX_EXPIRE_SECONDS
    own_urls: ClassVar[tuple[str, ...]] = (DEFAULT_URL, fcm_account.TOKEN_URL)
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.ANDROID})
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (SERVICE_ACCOUNT,)
    access_id_label = gettext_lazy("Project ID")
    needs_access_token: ClassVar[bool] = True
    default_url = DEFAULT_URL

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        try:
            account = fcm_account.entered(entered.get(SERVICE_ACCOUNT.name, ""))
        except signed_tokens.KeyUnusableError as error:
            raise CredentialsError(SERVICE_ACCOUNT.name, str(error)) from None
        return Sealed(account.project_id, to_json(account._asdict()))

    def secret_fault(self, secret: str) -> str:
        try:
            fcm_account.stored(secret)
        except ValueError as error:
            return str(error)
        return ""

    def access_token(self, credentials: Credentials, *, now: int) -> HttpRequest:
        account = fcm_account.stored(credentials.secret)
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": fcm_account.TOKEN_URL,
            "iat": now - EARLIER_SECONDS,
            "exp": now - EARLIER_SECONDS + ASSERTION_SECONDS,
        }
        header = {"typ": "JWT", "kid": account.private_key_id}
        assertion = signed_tokens.rs256(account.private_key, header, claims)
        url = f"{credentials.endpoint_url.rstrip('/')}/token" if credentials.endpoint_url else fcm_account.TOKEN_URL
        form = urlencode({"grant_type": GRANT, "assertion": assertion})
        return HttpRequest(url, form.encode(), ("Content-Type: application/x-www-form-urlencoded",))

    def read_access_token(self, answer: Answer, *, now: int) -> AccessToken | Outcome:
        if not isinstance(answer, HttpResponse):
            return answers.of_exchange(answers.without_answer(answer))
        found = answers.object_of(answer.body) or {}
        if 200 <= answer.status < 300:
            return _token_in(found, now) or answers.of_exchange(
                answers.unreadable(answer.status, "the answer has no access token")
            )
        code, text = answers.word_of(found.get("error")), answers.shorten(found.get("error_description", ""))
        meaning = fcm_codes.meaning_of_exchange(code, text) if 400 <= answer.status < 500 else None
        return answers.of_exchange(answers.refused(answer, text, code, meaning))

    def prepare(self, credentials: Credentials, notification: Notification) -> FcmMessage:
        body = f",{_message(notification, self.expire_seconds(notification))[1:]}}}"
        return FcmMessage(credentials, body, encoded=body.encode(), url=_send_url(credentials))

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        if not isinstance(message, FcmMessage):
            raise TypeError(f"{type(message).__name__} was not prepared by this provider (at {now})")
        if not token:
            raise ValueError("the device token is empty")
        body = b'{"message":{"token":%b%b' % (to_json(token).encode(), message.encoded)
        return _request(message.url, body, message.credentials)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a push that is only looked at, to a device that does not exist."""
        body = to_json({"validate_only": True, "message": {"token": CHECK_TOKEN, "data": {"at": str(now)}}})
        return _request(_send_url(credentials), body.encode(), credentials)

    def read_check(self, answer: Answer) -> Outcome:
        """The token is looked at last: who hears from FCM itself that it is wrong is allowed to push."""
        outcome = self.read(answer)
        is_of_token = outcome.code == fcm_codes.INVALID_ARGUMENT and outcome.scope is Scope.TARGET
        is_good = outcome.verdict is Verdict.BAD_TARGET or (outcome.verdict is Verdict.FAILED and is_of_token)
        if not is_good or outcome.http_status is None:
            return outcome
        return meanings.ACCEPTED.outcome(outcome.http_status, outcome.code, "")

    def read(self, answer: Answer) -> Outcome:
        if not isinstance(answer, HttpResponse):
            return answers.without_answer(answer)
        found = answers.object_of(answer.body) or {}
        if not 200 <= answer.status < 300:
            return _refused(answer, found.get("error"))
        name = _NAME.fullmatch(found["name"]) if isinstance(found.get("name"), str) else None
        if name is None:
            return answers.unreadable(answer.status, f"HTTP {answer.status} without a readable answer")
        return meanings.ACCEPTED.outcome(answer.status, "", "", answers.push_id_of(name[1]))


def _send_url(credentials: Credentials) -> str:
    base = (credentials.endpoint_url or DEFAULT_URL).rstrip("/")
    return f"{base}/v1/projects/{fcm_account.stored(credentials.secret).project_id}/messages:send"


def _request(url: str, body: bytes, credentials: Credentials) -> HttpRequest:
    # A relay may speak HTTP/1.1 alone.
    return HttpRequest(url, body, _headers(credentials.access_token), http2=not credentials.endpoint_url)


@lru_cache(maxsize=64)
def _headers(access_token: str) -> tuple[str, ...]:
    return (f"authorization: Bearer {access_token}", "content-type: application/json")


def _token_in(found: Mapping[str, Any], now: int) -> AccessToken | None:
    """Return the access token of an answer; None when there is none that can stand in a header."""
    text, seconds = found.get("access_token"), found.get("expires_in")
    if not isinstance(text, str) or not _VISIBLE.fullmatch(text) or len(text) > MAX_ACCESS_TOKEN:
        return None
    if type(seconds) is not int or seconds < 1:
        return None
    return AccessToken(text, now, now + min(seconds, MAX_TOKEN_SECONDS))


def _refused(answer: HttpResponse, error: object) -> Outcome:
    found = error if isinstance(error, dict) else {}
    details = _details(found)
    own = details.get(_FCM_ERROR, {})
    code = answers.word_of(own.get("errorCode")) or answers.word_of(found.get("status"))
    text = answers.shorten(found.get("message", ""))
    outcome = answers.refused(answer, text, code, _meaning(answer.status, code, details, text))
    if answer.status == 401 and not own:
        return replace(outcome, is_token_stale=True)
    if answer.status == 429 and outcome.retry_after_seconds is None:
        return replace(outcome, retry_after_seconds=fcm_codes.QUOTA_SECONDS)
    return outcome


def _meaning(
    http_status: int, code: str, details: Mapping[str, Mapping[str, Any]], text: str
) -> meanings.Meaning | None:
    if code == fcm_codes.INVALID_ARGUMENT and http_status == 400:
        fields = [str(one.get("field")) for one in _violations(details.get(_BAD_REQUEST, {}), "fieldViolations")]
        return fcm_codes.meaning_of_argument(fields, is_of_fcm=_FCM_ERROR in details, text=text)
    meaning = fcm_codes.meaning(http_status, code) if _FCM_ERROR in details else None
    is_of_device = meaning is not None and code == fcm_codes.QUOTA_EXCEEDED and _is_of_device(details)
    return fcm_codes.DEVICE_THROTTLED if is_of_device else meaning


def _details(error: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the details of an error by their type."""
    found = error.get("details")
    listed = found if isinstance(found, list) else []
    return {str(one.get("@type", "")).rpartition("/")[2]: one for one in listed if isinstance(one, dict)}


def _violations(detail: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = detail.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _is_of_device(details: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the quota that is used up is a device's, and not the project's."""
    violations = _violations(details.get(_QUOTA_FAILURE, {}), "violations")
    words = " ".join(f"{one.get('subject')} {one.get('description')}" for one in violations).lower()
    return "device" in words and "project" not in words


def _message(notification: Notification, expire_seconds: int) -> str:
    """Return the message's JSON without its target, the text cut to fit. Raises MessageTooLargeError."""
    texts = [clean(notification.title), clean(notification.content)]
    body = _json_of(notification, texts, expire_seconds)
    if len(body) * 4 <= MAX_MESSAGE_BYTES or len(body.encode()) <= MAX_MESSAGE_BYTES:
        return body
    room = MAX_MESSAGE_BYTES - len(_json_of(notification, ["", ""], expire_seconds).encode())
    if room < 0:
        raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
    return _json_of(notification, fit_all(texts, room), expire_seconds)


def _json_of(notification: Notification, texts: Sequence[str], expire_seconds: int) -> str:
    shown: dict[str, Any] = {"sound": notification.sound or "default"}
    if notification.replace_id:
        shown["tag"] = str(notification.replace_id)
    if notification.channel_id:
        shown["channel_id"] = notification.channel_id
    if notification.image:
        shown["image"] = notification.image
    if notification.badge is not None:
        shown["notification_count"] = notification.badge
    priority = "HIGH" if notification.is_urgent else "NORMAL"
    return to_json(
        {
            "notification": {"title": texts[0], "body": texts[1]},
            "data": _data(notification),
            "android": {"priority": priority, "ttl": f"{expire_seconds}s", "notification": shown},
        }
    )


def _data(notification: Notification) -> dict[str, str]:
    """Return what the app gets: strings alone, under names that FCM leaves to us. A name that it does not is renamed to
    `custom_<name>`. The app opens `link` on a tap."""
    ours = {"link": notification.link} if notification.link else {}
    taken = {str(name) for name in notification.custom if str(name).startswith(RESERVED_PREFIXES)}
    moved = moved_aside(notification.custom, RESERVED_KEYS | taken | ours.keys())
    return {name: _as_text(value) for name, value in moved.items()} | ours


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value)
