"""TPNS (移动推送), Xinge's successor: JSON over HTTPS, signed by HMAC in the headers."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pushes.names import Environment, Platform, ProviderKind, Reason
from pushes.providers import answers, tpns_codes
from pushes.providers.base import (
    Answer,
    HttpRequest,
    MessageTooLargeError,
    PreparedMessage,
    Provider,
    UnsupportedCallError,
)
from pushes.providers.text import clean, encoded_size, fit, to_json
from pushes.values import Credentials, Notification, Outcome, Verdict

DEFAULT_URL = "https://api.tpns.tencent.com"
MAX_MESSAGE_BYTES = 4096
MIN_EXPIRE_SECONDS = 800
MAX_EXPIRE_SECONDS = 259_200
PUSH_PATH = "/v3/push/app"
#: A read-only query, for an account that does not exist.
CHECK_PATH = "/v3/device/account/query"
CHECK_BODY = '{"operator_type":1,"account_list":[{"account":"higo-push-key-check"}]}'
#: The first spelling is that of the service's documentation.
INVALID_LIST_KEYS = ("invalid_targe_list", "invalid_target_list")


def sign(timestamp: int | str, access_id: int | str, body: str, secret: str) -> str:
    """Return the Base64 of the *hexadecimal text* of the HMAC, as the service requires."""
    source = f"{timestamp}{access_id}{body}"
    digest = hmac.new(secret.encode(), source.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


class Tpns(Provider):
    kind: ClassVar[ProviderKind] = ProviderKind.TPNS
    list_limit: ClassVar[int] = 1000
    lists_need_creation: ClassVar[bool] = False
    lists_name_bad_tokens: ClassVar[bool] = True
    refused_list_codes: ClassVar[frozenset[int]] = frozenset({tpns_codes.LIST_FAILED})
    own_urls: ClassVar[tuple[str, ...]] = (
        DEFAULT_URL,
        "https://api.tpns.sh.tencent.com",
        "https://api.tpns.hk.tencent.com",
        "https://api.tpns.sgp.tencent.com",
    )

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self.default_url = default_url

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Prepare the whole body of the call except its audience."""
        expire_seconds = max(MIN_EXPIRE_SECONDS, min(notification.expire_seconds, MAX_EXPIRE_SECONDS))
        is_ios = credentials.platform == Platform.IOS
        body = f'"message_type":"notify","expire_time":{expire_seconds},'
        if is_ios:
            name = "product" if credentials.environment == Environment.PRODUCTION else "dev"
            body += f'"environment":"{name}",'
        return PreparedMessage(credentials, f'{body}"message":{_message(notification, is_ios)}}}', expire_seconds)

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        body = f'{{"audience_type":"token","token_list":{to_json([token])},{message.body}'
        return self._request(message.credentials, PUSH_PATH, body, now)

    def create_list(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        """Raise: TPNS has no such call, because a list contains its message."""
        raise UnsupportedCallError(
            f"TPNS creates no lists (key {message.credentials.access_id}, at {now}): call to_list with an empty push_id"
        )

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return a list call. The provider skips invalid tokens; the outcome's `bad_tokens` names them."""
        if push_id:
            raise ValueError(f"push_id={push_id!r}: a list of TPNS carries its message and takes no push id")
        if not 0 < len(tokens) <= self.list_limit:
            raise ValueError(f"tokens: {len(tokens)} given, 1 to {self.list_limit} accepted")
        audience = f'"audience_type":"token_list","token_list":{to_json(list(tokens))},"ignore_invalid_token":1'
        return self._request(message.credentials, PUSH_PATH, f"{{{audience},{message.body}", now)

    def to_all(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        return self._request(message.credentials, PUSH_PATH, f'{{"audience_type":"all",{message.body}', now)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        return self._request(credentials, CHECK_PATH, CHECK_BODY, now)

    def read(self, answer: Answer) -> Outcome:
        parsed = answers.parse(answer, codes=("ret_code", "retCode"), words=("err_msg", "errMsg"))
        if isinstance(parsed, Outcome):
            return parsed
        code = answers.code_of(parsed.get("ret_code", parsed.get("retCode")))
        if code is None:
            return Outcome(Verdict.UNKNOWN, Reason.NO_ANSWER, text="the answer has no ret_code")
        text = str(parsed.get("err_msg", parsed.get("errMsg", "")))
        push_id = answers.push_id_of(parsed.get("push_id") or "")
        return tpns_codes.outcome(code, answers.shorten(text), push_id, _invalid(parsed))

    def _request(self, credentials: Credentials, path: str, body: str, now: int) -> HttpRequest:
        url = (credentials.endpoint_url or self.default_url).rstrip("/") + path
        headers = (
            "Content-Type: application/json",
            f"AccessId: {credentials.access_id}",
            f"TimeStamp: {now}",
            f"Sign: {sign(now, credentials.access_id, body, credentials.secret)}",
        )
        return HttpRequest(url, body.encode(), headers)


def _invalid(parsed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tokens of a list that the provider skipped as unknown."""
    for key in INVALID_LIST_KEYS:
        found = parsed.get(key)
        if isinstance(found, list):
            return tuple(str(item.get("token", "")) if isinstance(item, dict) else str(item) for item in found)
    return ()


def _message(notification: Notification, is_ios: bool) -> str:
    """Return the message's JSON, with content and then title cut to fit. Raises MessageTooLargeError."""
    custom = to_json(to_json(dict(notification.custom)))
    platform = _ios(notification, custom) if is_ios else _android(notification, custom)
    frame = f'{{"title":"","content":"",{platform}}}'
    room = MAX_MESSAGE_BYTES - len(frame.encode())
    if room < 0:
        raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
    title = fit(clean(notification.title), room)
    content = fit(clean(notification.content), room - encoded_size(title))
    return f'{{"title":{to_json(title)},"content":{to_json(content)},{platform}}}'


def _android(notification: Notification, custom: str) -> str:
    n_id = f'"n_id":{notification.replace_id % 2**31},' if notification.replace_id else ""
    return (
        f'"android":{{{n_id}"ring":1,"vibrate":1,"clearable":1,"action":{{"action_type":1}},"custom_content":{custom}}}'
    )


def _ios(notification: Notification, custom: str) -> str:
    """Return the iOS part. The message's title and content replace those of `aps.alert`."""
    badge = "" if notification.badge is None else f',"badge_type":{notification.badge}'
    return f'"ios":{{"aps":{{"alert":{{}},"sound":"default"{badge}}},"custom_content":{custom}}}'
