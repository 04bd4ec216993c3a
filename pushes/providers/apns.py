"""APNs, Apple's own service, with token authentication: one HTTP/2 call a device, a reason in each refusal."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.names import Environment, Platform, ProviderKind
from pushes.providers import answers, apns_codes, meanings, signed_tokens
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
from pushes.values import Credentials, Notification, Outcome, Verdict

PRODUCTION_URL = "https://api.push.apple.com"
SANDBOX_URL = "https://api.sandbox.push.apple.com"
MAX_MESSAGE_BYTES = 4096
#: 30 days: no document of Apple's names a limit.
MAX_EXPIRE_SECONDS = 2_592_000
#: A new access token begins every 40 minutes by the clock: APNs takes none after 60, and wants no two within 20.
SLOT_SECONDS = 2400
#: Each is first used this long after the moment that it names: a clock that is a little ahead signs nothing that lies
#: in Apple's future.
DELAY_SECONDS = 60
#: Whoever keeps a token renews it at 80 % of its life: exactly when the next slot begins, on every machine.
LIFE_SECONDS = (SLOT_SECONDS + DELAY_SECONDS) * 5 // 4
#: Belongs to no device: 32 bytes that nobody chose.
CHECK_TOKEN = hashlib.sha256(b"higo-push key check").hexdigest()
#: Shows nothing, even if it reached a phone.
CHECK_BODY = b'{"aps":{"content-available":1}}'
#: Keys of the payload that are Apple's and ours.
RESERVED_KEYS = frozenset({"aps", "n_id"})
_ID = re.compile(r"[A-Za-z0-9]{10}")
_TOPIC = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
MAX_TOPIC, MAX_SHOWN = 155, 40

KEY_FILE = CredentialField(
    "key_file",
    gettext_lazy("Key file (.p8)"),
    gettext_lazy("The file AuthKey_….p8 that Apple's developer site lets you download once, or its text."),
    is_secret=True,
    is_file=True,
)
KEY_ID = CredentialField("key_id", gettext_lazy("Key ID"), gettext_lazy("The 10 characters in the name of the file."))
TEAM_ID = CredentialField("team_id", gettext_lazy("Team ID"), gettext_lazy("10 characters, under Membership details."))
TOPIC = CredentialField("topic", gettext_lazy("Bundle ID"), gettext_lazy("That of the app, such as com.example.shop."))


class ApnsKey(NamedTuple):
    """What an app key's secret holds."""

    key_id: str
    team_id: str
    topic: str
    pem: str

    def __repr__(self) -> str:
        return f"ApnsKey({self.key_id!r}, {self.team_id!r}, {self.topic!r})"


@dataclass(frozen=True, slots=True)
class ApnsMessage(PreparedMessage):
    """`encoded` is the body as bytes, `options` are the headers that all devices share, `url` is what comes before the
    device token."""

    encoded: bytes = field(default=b"", repr=False)
    options: tuple[str, ...] = ()
    url: str = ""
    expire_seconds: int = 0


class Apns(Provider):
    """Production keys call the one host, local ones the other; both belong to Apple, so `default_url` may stand for
    either where it is asked whose a key's endpoint is."""

    kind: ClassVar[ProviderKind] = ProviderKind.APNS
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    max_expire_seconds: ClassVar[int] = MAX_EXPIRE_SECONDS
    own_urls: ClassVar[tuple[str, ...]] = (
        PRODUCTION_URL,
        SANDBOX_URL,
        # The same service, for networks whose firewall lets 443 out to few hosts.
        f"{PRODUCTION_URL}:2197",
        f"{SANDBOX_URL}:2197",
    )
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.IOS})
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (KEY_FILE, KEY_ID, TEAM_ID, TOPIC)
    access_id_label = KEY_ID.label
    rotates_access_id: ClassVar[bool] = True
    needs_access_token: ClassVar[bool] = True
    default_url = PRODUCTION_URL

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        key_id, team_id, topic = (entered.get(one.name, "").strip() for one in (KEY_ID, TEAM_ID, TOPIC))
        if not _ID.fullmatch(key_id):
            fault = _("“%(found)s” is not a valid key ID: that has 10 letters and digits, such as ABC123DEFG.")
            raise CredentialsError(KEY_ID.name, fault % {"found": _shown(key_id)})
        if not _ID.fullmatch(team_id):
            fault = _("“%(found)s” is not a valid team ID: that has 10 letters and digits, such as DEF123GHIJ.")
            raise CredentialsError(TEAM_ID.name, fault % {"found": _shown(team_id)})
        if not _TOPIC.fullmatch(topic) or len(topic) > MAX_TOPIC:
            fault = _("“%(found)s” is not a valid bundle ID. Enter it as Xcode shows it, such as com.example.shop.")
            raise CredentialsError(TOPIC.name, fault % {"found": _shown(topic)})
        try:
            pem = signed_tokens.p256_pem(entered.get(KEY_FILE.name, ""))
        except signed_tokens.KeyUnusableError as error:
            raise CredentialsError(KEY_FILE.name, str(error)) from None
        return Sealed(key_id, to_json(ApnsKey(key_id, team_id, topic, pem)._asdict()))

    def secret_fault(self, secret: str) -> str:
        try:
            _key_in(secret)
        except ValueError as error:
            return str(error)
        return ""

    def access_token(self, credentials: Credentials, *, now: int) -> AccessToken:
        """Return the token of the current slot. All machines make the same one, to the byte, whatever they have lost:
        APNs punishes a key whose tokens change often."""
        key = _key_in(credentials.secret)
        made_at = (now - DELAY_SECONDS) // SLOT_SECONDS * SLOT_SECONDS
        text = signed_tokens.es256(key.pem, {"kid": key.key_id}, {"iss": key.team_id, "iat": made_at})
        return AccessToken(text, made_at, made_at + LIFE_SECONDS)

    def prepare(self, credentials: Credentials, notification: Notification) -> ApnsMessage:
        body, expire_seconds = _payload(notification), self.expire_seconds(notification)
        options = [f"apns-topic: {_key_in(credentials.secret).topic}", "apns-push-type: alert"]
        options.append(f"apns-priority: {10 if notification.is_urgent else 5}")
        if notification.replace_id:
            options.append(f"apns-collapse-id: {notification.replace_id}")
        return ApnsMessage(
            credentials,
            body,
            encoded=body.encode(),
            options=tuple(options),
            url=f"{_base_url(credentials)}/3/device/",
            expire_seconds=expire_seconds,
        )

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        if not isinstance(message, ApnsMessage):
            raise TypeError(f"{type(message).__name__} was not prepared by this provider")
        headers = _headers(message.options, message.credentials.access_token, now + message.expire_seconds)
        url, key_id = message.url + _in_path(token), message.credentials.access_id
        return HttpRequest(url, message.encoded, headers, http2=True, connection=key_id)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a push to a device that does not exist: APNs looks at the key and the topic first."""
        topic = _key_in(credentials.secret).topic
        options = (f"apns-topic: {topic}", "apns-push-type: background", "apns-priority: 5")
        url = f"{_base_url(credentials)}/3/device/{CHECK_TOKEN}"
        headers = _headers(options, credentials.access_token, now)
        return HttpRequest(url, CHECK_BODY, headers, http2=True, connection=credentials.access_id)

    def read_check(self, answer: Answer) -> Outcome:
        outcome = self.read(answer)
        is_good = outcome.verdict is Verdict.BAD_TARGET and outcome.code in apns_codes.UNASSIGNED
        if not is_good or outcome.http_status is None:
            return outcome
        return meanings.ACCEPTED.outcome(outcome.http_status, outcome.code, "")

    def read(self, answer: Answer) -> Outcome:
        if not isinstance(answer, HttpResponse):
            return answers.without_answer(answer)
        if answer.status == 200 and not answer.body:
            return meanings.ACCEPTED.outcome(200, "", "", answers.push_id_of(answer.headers.get("apns-id", "")))
        if 200 <= answer.status < 300:
            return answers.unreadable(answer.status, f"HTTP {answer.status} without a readable answer")
        return _refused(answer, answers.object_of(answer.body) or {})


def _refused(answer: HttpResponse, found: Mapping[str, Any]) -> Outcome:
    reason = answers.word_of(found.get("reason"))
    meaning = apns_codes.meaning(answer.status, reason)
    outcome = answers.refused(answer, "" if meaning else reason, reason, meaning)
    pause = apns_codes.PAUSES.get(reason) if meaning else None
    return replace(
        outcome,
        retry_after_seconds=outcome.retry_after_seconds if pause is None else pause,
        is_token_stale=meaning is not None and reason == apns_codes.STALE,
        dead_since=_dead_since(found.get("timestamp")) if answer.status == 410 and meaning else None,
    )


def _dead_since(milliseconds: object) -> float | None:
    """Return the moment that a 410 names; None when it names none."""
    if type(milliseconds) is not int or not 0 < milliseconds < 2**53:
        return None
    return milliseconds / 1000


def _shown(entered: str) -> str:
    """Return what was entered, shortened: it may be the key, in the wrong field."""
    return entered if len(entered) <= MAX_SHOWN else f"{entered[: MAX_SHOWN // 2]}…"


@lru_cache(maxsize=256)
def _key_in(secret: str) -> ApnsKey:
    """Read what `Apns.sealed` has written. Raises ValueError."""
    try:
        found = json.loads(secret)
        key = ApnsKey(**{name: found[name] for name in ApnsKey._fields})
    except (ValueError, TypeError, KeyError):
        key = None
    if key is None or not all(isinstance(part, str) and part for part in key):
        raise ValueError(_("The stored key of APNs cannot be read. Enter it again."))
    return key


def _base_url(credentials: Credentials) -> str:
    own = PRODUCTION_URL if credentials.environment == Environment.PRODUCTION else SANDBOX_URL
    return (credentials.endpoint_url or own).rstrip("/")


@lru_cache(maxsize=256)
def _headers(options: tuple[str, ...], access_token: str, expires_at: int) -> tuple[str, ...]:
    """Return all headers. Cached, because they are the same for every device of a batch."""
    return (
        f"authorization: bearer {access_token}",
        *options,
        f"apns-expiration: {expires_at}",
        "content-type: application/json",
    )


def _in_path(token: str) -> str:
    if not token:
        raise ValueError("the device token is empty")
    return token if token.isalnum() and token.isascii() else quote(token, safe="")


def _payload(notification: Notification) -> str:
    """Return the payload's JSON, its text cut to fit. Raises MessageTooLargeError."""
    texts = [clean(notification.title), clean(notification.subtitle), clean(notification.content)]
    body = _json_of(notification, texts)
    if len(body) * 4 <= MAX_MESSAGE_BYTES or len(body.encode()) <= MAX_MESSAGE_BYTES:
        return body
    names = [text and " " for text in texts]
    room = MAX_MESSAGE_BYTES - len(_json_of(notification, names).encode()) + sum(map(len, names))
    if room < 0:
        raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
    return _json_of(notification, fit_all(texts, room))


def _json_of(notification: Notification, texts: Sequence[str]) -> str:
    alert = {name: text for name, text in zip(("title", "subtitle", "body"), texts, strict=True) if text}
    aps: dict[str, Any] = {"alert": alert, "sound": notification.sound or "default"}
    if notification.badge is not None:
        aps["badge"] = notification.badge
    if notification.thread:
        aps["thread-id"] = notification.thread
    if notification.category:
        aps["category"] = notification.category
    if notification.image:
        aps["mutable-content"] = 1
    return to_json({"aps": aps, **_own_keys(notification)})


def _own_keys(notification: Notification) -> dict[str, Any]:
    """Return the keys beside `aps`. A key that would override Apple's or ours is renamed to `custom_<key>`. The app
    opens `link` on a tap; its service extension downloads `image`."""
    own = {"n_id": notification.replace_id, "link": notification.link, "image": notification.image}
    ours = {name: value for name, value in own.items() if value}
    return ours | moved_aside(notification.custom, RESERVED_KEYS | ours.keys())
