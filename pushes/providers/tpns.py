"""TPNS (移动推送), Xinge's successor: JSON over HTTPS, signed by HMAC in the headers."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from pushes.names import Environment, Platform, ProviderKind
from pushes.providers import answers, tpns_codes
from pushes.providers.base import (
    Answer,
    HttpRequest,
    MessageTooLargeError,
    PreparedMessage,
    Provider,
)
from pushes.providers.text import clean, encoded_size, fit, to_json
from pushes.values import Credentials, Notification, Outcome

DEFAULT_URL = "https://api.tpns.tencent.com"
MAX_MESSAGE_BYTES = 4096
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
    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    min_expire_seconds: ClassVar[int] = 800
    max_expire_seconds: ClassVar[int] = 259_200
    list_limit: ClassVar[int] = 1000
    lists_need_creation: ClassVar[bool] = False
    lists_name_bad_tokens: ClassVar[bool] = True
    refused_list_codes: ClassVar[frozenset[str]] = frozenset({str(tpns_codes.LIST_FAILED)})
    own_urls: ClassVar[tuple[str, ...]] = (
        DEFAULT_URL,
        "https://api.tpns.sh.tencent.com",
        "https://api.tpns.hk.tencent.com",
        "https://api.tpns.sgp.tencent.com",
    )
    access_id_spans: ClassVar[tuple[tuple[range, Platform], ...]] = (
        (range(1_500_000_000, 1_600_000_000), Platform.ANDROID),
        (range(1_600_000_000, 1_700_000_000), Platform.IOS),
    )

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self.default_url = default_url

    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Prepare the whole body of the call except its audience."""
        is_ios = credentials.platform == Platform.IOS
        body = f'"message_type":"notify","expire_time":{self.expire_seconds(notification)},'
        if is_ios:
            name = "product" if credentials.environment == Environment.PRODUCTION else "dev"
            body += f'"environment":"{name}",'
        return PreparedMessage(credentials, f'{body}"message":{_message(notification, is_ios)}}}')

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        body = f'{{"audience_type":"token","token_list":{to_json([token])},{message.body}'
        return self._request(message.credentials, PUSH_PATH, body, now)

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return a list call. The provider skips invalid tokens; the outcome's `bad_tokens` names them."""
        self.check_list(push_id, tokens)
        audience = f'"audience_type":"token_list","token_list":{to_json(list(tokens))},"ignore_invalid_token":1'
        return self._request(message.credentials, PUSH_PATH, f"{{{audience},{message.body}", now)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        return self._request(credentials, CHECK_PATH, CHECK_BODY, now)

    def read(self, answer: Answer) -> Outcome:
        said = answers.parse(answer, codes=("ret_code", "retCode"), words=("err_msg", "errMsg"))
        if isinstance(said, Outcome):
            return said
        status, fields = said
        code = answers.code_of(fields.get("ret_code", fields.get("retCode")))
        if code is None:
            return answers.unreadable(status, "the answer has no ret_code")
        text = answers.shorten(fields.get("err_msg", fields.get("errMsg", "")))
        push_id = answers.push_id_of(fields.get("push_id") or "")
        return tpns_codes.meaning(code).outcome(status, str(code), text, push_id, _invalid(fields))

    def doubt(self, access_id: str, platform: Platform) -> str:
        if self.platform_of(access_id) is None:
            words = {"access_id": access_id}
            return (
                _("%(access_id)s is not a valid TPNS access ID: those have ten digits and begin with 15 or 16.") % words
            )
        return super().doubt(access_id, platform)

    def _request(self, credentials: Credentials, path: str, body: str, now: int) -> HttpRequest:
        url = (credentials.endpoint_url or self.default_url).rstrip("/") + path
        headers = (
            "Content-Type: application/json",
            f"AccessId: {credentials.access_id}",
            f"TimeStamp: {now}",
            f"Sign: {sign(now, credentials.access_id, body, credentials.secret)}",
        )
        return HttpRequest(url, body.encode(), headers)


def _invalid(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tokens of a list that the provider skipped as unknown."""
    for key in INVALID_LIST_KEYS:
        found = fields.get(key)
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
