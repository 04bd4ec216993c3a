"""JPush (极光推送) REST v3: JSON over HTTPS, one contract for Huawei, Xiaomi, OPPO, vivo, Honor, iPhones and HarmonyOS.

A call may carry an idempotency key, the `cid`: for a day JPush answers each further call with the same `cid` as it did
the first that succeeded, and pushes nothing. So the fate of a call whose answer was lost can be asked for.
"""

import base64
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.names import Environment, Platform, ProviderKind
from pushes.providers import answers, huawei_categories, jpush_codes, meanings
from pushes.providers.base import (
    Answer,
    CredentialField,
    CredentialsError,
    Fates,
    HttpRequest,
    HttpResponse,
    MessageTooLargeError,
    PreparedMessage,
    Provider,
    Sealed,
)
from pushes.providers.reserved import moved_aside
from pushes.providers.text import clean, encoded_size, fit_all, to_json
from pushes.values import Credentials, Notification, Outcome, Verdict

DEFAULT_URL, BEIJING_URL = "https://api.jpush.cn", "https://bjapi.push.jiguang.cn"
#: Where the fates of pushes are asked for.
REPORT_URL = "https://report.jpush.cn"
PUSH_PATH, CHECK_PATH, FATES_PATH = "/v3/push", "/v3/push/validate", "/v3/status/message"
#: What the object of one platform may have: iOS' limit, which is the smallest. The sources disagree about it (older
#: ones say 2,048), and say 4,000 for Android.
MAX_MESSAGE_BYTES = 3_584
KEY_LENGTH = 24
#: Nobody's registration id, for the check: it could reach no phone even if the call pushed.
NOBODYS_ID = "0a0a0a0a0a0a0a0a0a0"
#: What JPush tells the vendors of a message: news of the operator's, or of the system's, as it calls service messages.
OPERATION, SYSTEM = 0, 1
HMOS_HOME = "action.system.home"
#: Shows at once, over what is on the screen. From memory, as is the number of the style with a picture.
ANDROID_URGENT, ANDROID_PICTURE = 1, 3
MAX_BADGE = 99
#: Keys of an iOS payload that belong to Apple, to JPush and to ourselves.
RESERVED_KEYS = frozenset({"aps", "_j_business", "_j_uid", "_j_msgid", "n_id"})
#: The header that says in how many seconds calls are taken again.
RESET_HEADER = "x-rate-limit-reset"
#: What `fates` says of one registration id: 0 arrived, 1 not yet, 2 of another app, 3 not meant, 4 an error there.
OURS, FOREIGN = frozenset({0, 1}), 2

_PLATFORMS = {Platform.ANDROID: "android", Platform.IOS: "ios", Platform.HARMONY: "hmos"}
_HEX_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
APP_KEY = CredentialField(
    "app_key", gettext_lazy("AppKey"), gettext_lazy("24 characters, from the app's settings."), is_access_id=True
)
MASTER_SECRET = CredentialField(
    "master_secret", gettext_lazy("Master Secret"), gettext_lazy("24 characters, beside the AppKey."), is_secret=True
)


class JPush(Provider):
    kind: ClassVar[ProviderKind] = ProviderKind.JPUSH
    platforms: ClassVar[frozenset[Platform]] = frozenset(_PLATFORMS)
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (APP_KEY, MASTER_SECRET)
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    # Three days; ten for those who pay.
    max_expire_seconds: ClassVar[int] = 259_200
    list_limit: ClassVar[int] = 1000
    lists_need_creation: ClassVar[bool] = False
    refused_list_codes: ClassVar[frozenset[str]] = frozenset({str(jpush_codes.NOBODY)})
    own_urls: ClassVar[tuple[str, ...]] = (DEFAULT_URL, BEIJING_URL, REPORT_URL)
    is_idempotent: ClassVar[bool] = True
    # An hour less than the day that JPush promises, for clocks that differ and calls that take their time.
    call_key_seconds: ClassVar[int] = 82_800
    finds_dead_tokens: ClassVar[bool] = True

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self.default_url = default_url

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Prepare the whole body of the call except its audience and its `cid`."""
        platform = credentials.platform
        name, options = _PLATFORMS[platform], self._options(credentials, notification)
        own = _fitted(notification, _WRITERS[platform](notification), platform)
        body = f'"platform":["{name}"],"notification":{{"{name}":{own}}},"options":{to_json(options)}}}'
        return PreparedMessage(credentials, body)

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        return self._push(message, [token])

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return a list call. Of an accepted list, JPush drops dead registration ids without a word (see `fates`)."""
        self.check_list(push_id, tokens)
        return self._push(message, tokens)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        message = self.prepare(credentials, Notification("check", "check", {}, 60))
        return self._request(credentials, CHECK_PATH, _addressed(message, [NOBODYS_ID]))

    def read_check(self, answer: Answer) -> Outcome:
        """Return the outcome of a check: who is told that nobody has this id was let in."""
        outcome = self.read(answer)
        if outcome.verdict is not Verdict.BAD_TARGET:
            return outcome
        return replace(outcome, verdict=Verdict.ACCEPTED, reason=None)

    def read(self, answer: Answer) -> Outcome:
        said = answers.parse(answer, codes=("code",), words=("message",), within="error")
        if isinstance(said, Outcome):
            return _with_details(said, answer)
        status, fields = said
        code = answers.code_of(fields.get("code"))
        if code:
            text = answers.shorten(fields.get("message", ""))
            return jpush_codes.meaning(code, text).outcome(status, str(code), text)
        if not {"msg_id", "sendno"} & fields.keys():
            return answers.unreadable(status, "the answer has no msg_id")
        return meanings.ACCEPTED.outcome(status, "", "", answers.push_id_of(fields.get("msg_id") or ""))

    def new_call_key(self, credentials: Credentials, *, now: int) -> str:
        """Return a `cid`: the app key and a UUID, whose first eight digits are the time and the others random."""
        number = (now % 2**32) << 96 | uuid.uuid4().int % 2**96
        return f"{credentials.access_id}-{uuid.UUID(int=number, version=4)}"

    def knows_call(self, call_key: str, credentials: Credentials, *, now: int) -> bool:
        app_key, _dash, name = call_key.partition("-")
        try:
            made_at = uuid.UUID(name).int >> 96
        except ValueError:
            return False
        return app_key == credentials.access_id and abs(now - made_at) <= self.call_key_seconds

    def fates(self, credentials: Credentials, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return the request for the status of a push. Its id is a number of more than 53 bits, written as it is."""
        if not (push_id.isascii() and push_id.isdigit()):
            raise ValueError(f"push_id={push_id!r} is none that JPush gave")
        body = f'{{"msg_id":{int(push_id)},"registration_ids":{to_json(list(tokens))}}}'
        return self._request(credentials, FATES_PATH, body)

    def read_fates(self, answer: Answer) -> Fates | Outcome:
        said = answers.parse(answer, codes=("code",), words=("message",), within="error")
        if isinstance(said, Outcome):
            return _with_details(said, answer)
        code = answers.code_of(said.fields.get("code"))
        if code:
            text = answers.shorten(said.fields.get("message", ""))
            return jpush_codes.meaning(code, text).outcome(said.http_status, str(code), text)
        found = {token: fate.get("status") for token, fate in said.fields.items() if isinstance(fate, dict)}
        return Fates(
            frozenset(token for token, status in found.items() if answers.code_of(status) == FOREIGN),
            frozenset(token for token, status in found.items() if answers.code_of(status) in OURS),
        )

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        found = {field.name: entered.get(field.name, "").strip().lower() for field in self.credential_fields}
        for field in self.credential_fields:
            if fault := _key_fault(str(field.label), found[field.name]):
                raise CredentialsError(field.name, fault)
        app_key, secret = found[APP_KEY.name], found[MASTER_SECRET.name]
        if app_key == secret:
            raise CredentialsError(MASTER_SECRET.name, _("This is the AppKey. Enter the Master Secret beside it."))
        return Sealed(app_key, secret)

    def secret_fault(self, secret: str) -> str:
        return _key_fault(str(MASTER_SECRET.label), secret)

    def _options(self, credentials: Credentials, notification: Notification) -> dict[str, Any]:
        options: dict[str, Any] = {"time_to_live": self.expire_seconds(notification)}
        if credentials.platform == Platform.IOS:
            options["apns_production"] = credentials.environment == Environment.PRODUCTION
            if notification.replace_id:
                options["apns_collapse_id"] = str(notification.replace_id)
        elif credentials.platform == Platform.ANDROID:
            options |= _classified(notification)
        return options

    def _push(self, message: PreparedMessage, tokens: Sequence[str]) -> HttpRequest:
        return self._request(message.credentials, PUSH_PATH, _addressed(message, tokens))

    def _request(self, credentials: Credentials, path: str, body: str) -> HttpRequest:
        base = (credentials.endpoint_url or self.default_url).rstrip("/")
        if path == FATES_PATH and base in (DEFAULT_URL, BEIJING_URL):
            base = REPORT_URL
        return HttpRequest(base + path, body.encode(), _headers(credentials.access_id, credentials.secret))


def _classified(notification: Notification) -> dict[str, Any]:
    """Return what each vendor of Android phones is told of the message's class. `classification` is for all that have
    no words of their own."""
    importance = {"importance": huawei_categories.importance(notification)}
    return {
        "classification": OPERATION if huawei_categories.is_marketing(notification) else SYSTEM,
        "third_party_channel": {
            "huawei": importance | {"category": huawei_categories.category(notification)},
            "honor": importance,
        },
    }


def _addressed(message: PreparedMessage, tokens: Sequence[str]) -> str:
    cid = f'"cid":{to_json(message.call_key)},' if message.call_key else ""
    return f'{{{cid}"audience":{{"registration_id":{to_json(list(tokens))}}},{message.body}'


@lru_cache(maxsize=64)
def _headers(app_key: str, secret: str) -> tuple[str, ...]:
    name = base64.b64encode(f"{app_key}:{secret}".encode()).decode()
    return ("Content-Type: application/json", f"Authorization: Basic {name}")


def _with_details(outcome: Outcome, answer: Answer) -> Outcome:
    """Return the outcome of a status with JPush's own code, and the wait that JPush asks for."""
    if not isinstance(answer, HttpResponse):
        return outcome
    code = answers.code_of(answers.fields_of(answer, within="error").get("code"))
    wish = outcome.retry_after_seconds
    reset = answer.headers.get(RESET_HEADER, "").strip()
    if answer.status == 429 and reset.isascii() and reset.isdigit():
        wish = min(float(reset), answers.MAX_RETRY_AFTER_SECONDS)
    return replace(outcome, code=str(code) if code else "", retry_after_seconds=wish)


def _key_fault(label: str, text: str) -> str:
    """Return why `text` is neither an AppKey nor a Master Secret, in the reader's language; "" when it may be one."""
    if not text:
        return _("Enter the %(label)s.") % {"label": label}
    if _HEX_KEY.fullmatch(text):
        return ""
    words = {"label": label, "want": KEY_LENGTH, "have": len(text)}
    if len(text) != KEY_LENGTH:
        return _("The %(label)s has %(want)s characters; this one has %(have)s.") % words
    return _("The %(label)s has only digits and the letters a to f. Copy it again.") % words


def _fitted(notification: Notification, own: Mapping[str, Any], platform: Platform) -> str:
    """Return one platform's object as JSON, with content and then title cut to fit. Raises MessageTooLargeError."""
    title = clean(notification.title)
    # A title of nothing is left out, name and all.
    room = MAX_MESSAGE_BYTES - len(to_json(_worded(own, title[:1], "", platform)).encode()) + encoded_size(title[:1])
    if room < 0:
        raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
    title, content = fit_all([title, clean(notification.content)], room)
    return to_json(_worded(own, title, content, platform))


def _worded(own: Mapping[str, Any], title: str, content: str, platform: Platform) -> dict[str, Any]:
    titled = {"title": title} if title else {}
    if platform == Platform.IOS:
        return {**own, "alert": {**own["alert"], **titled, "body": content}}
    return {**own, **titled, "alert": content}


def _android(notification: Notification) -> dict[str, Any]:
    parts = {
        "channel_id": notification.channel_id,
        "category": notification.category,
        "priority": ANDROID_URGENT if notification.is_urgent else 0,
        "style": ANDROID_PICTURE if notification.image else 0,
        "big_pic_path": notification.image,
        "sound": notification.sound,
        "intent": {"url": notification.link} if notification.link else {},
    }
    return {name: part for name, part in parts.items() if part} | _badge_and_data(notification)


def _hmos(notification: Notification) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "category": huawei_categories.category(notification),
        "intent": {"url": notification.link or HMOS_HOME},
    }
    if notification.image:
        parts["large_icon"] = notification.image
    return parts | _badge_and_data(notification)


def _badge_and_data(notification: Notification) -> dict[str, Any]:
    badge = {} if notification.badge is None else {"badge_set_num": max(0, min(notification.badge, MAX_BADGE))}
    return {**badge, "extras": _extras(notification)}


def _ios(notification: Notification) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "alert": {"subtitle": notification.subtitle} if notification.subtitle else {},
        "sound": notification.sound or "default",
        "thread-id": notification.thread,
        "category": notification.category,
        "mutable-content": bool(notification.image),
    }
    parts = {name: part for name, part in parts.items() if part or name == "alert"}
    if notification.badge is not None:
        parts["badge"] = notification.badge
    return {**parts, "extras": _extras(notification, link=notification.link, image=notification.image)}


def _extras(notification: Notification, **more: str) -> dict[str, Any]:
    """Return the data for the app, with what the app itself must do. No Android phone replaces a notification by our id
    over JPush, so the app gets the id as `n_id` and can recognise a repeated push."""
    ours = {name: value for name, value in {"n_id": notification.replace_id, **more}.items() if value}
    return ours | moved_aside(notification.custom, RESERVED_KEYS | ours.keys())


_WRITERS = {Platform.ANDROID: _android, Platform.IOS: _ios, Platform.HARMONY: _hmos}
