"""Tencent Xinge REST v2: signed forms over HTTP, a JSON answer with a `ret_code`.

Pushes of one message to several devices differ little: so the message is encoded and percent-encoded once, in pieces,
and each request is assembled from the pieces.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from pushes.names import Environment, Platform, ProviderKind
from pushes.providers import answers, meanings, xinge_codes
from pushes.providers.answers import Said
from pushes.providers.base import Answer, HttpRequest, MessageTooLargeError, PreparedMessage, Provider
from pushes.providers.reserved import moved_aside
from pushes.providers.text import clean, encoded_size, fit, quote_plus, to_json
from pushes.providers.tpns import Tpns
from pushes.values import Credentials, Notification, Outcome

DEFAULT_URL = "http://openapi.xg.qq.com"
MAX_MESSAGE_BYTES = 4096
#: Xinge adds its own `xg` object to an APNs payload, which counts towards the limit.
APNS_RESERVE_BYTES = 96
SECRET_LENGTH = 32
HEADERS = ("Content-Type: application/x-www-form-urlencoded",)
#: Keys of an iOS payload that belong to Apple, to Xinge and to ourselves.
RESERVED_KEYS = frozenset({"aps", "xg", "accept_time", "n_id"})

# A notification that opens the app. Ring and vibrate are explicit although they are the server's defaults, because
# the official SDKs' defaults are the opposite.
_ANDROID_HEAD = '{"title":"'
_ANDROID_CONTENT = '","content":"'
_ANDROID_ID = '","builder_id":0,"ring":1,"vibrate":1,"clearable":1,"n_id":'
_ANDROID_CUSTOM = ',"action":{"action_type":1,"activity":""},"custom_content":'
_IOS_HEAD = '{"aps":{"alert":{"title":"'
_IOS_BODY = '","body":"'
_IOS_SOUND = '"},"sound":"default"'
_QUOTED = {
    piece: quote_plus(piece)
    for piece in (
        _ANDROID_HEAD,
        _ANDROID_CONTENT,
        _ANDROID_ID,
        _ANDROID_CUSTOM,
        _IOS_HEAD,
        _IOS_BODY,
        _IOS_SOUND,
    )
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the calls of one key, and the host name that they are signed with."""

    base_url: str
    host: str
    base_path: str

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """Return the endpoint of a URL. Raises ValueError for a URL without a host."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError(f"endpoint_url={url!r} names no host")
        # Exactly as in the Host header, which the server signs with: urlsplit would change its case.
        host = parts.netloc.rpartition("@")[2]
        if parts.port is not None or host.endswith(":"):
            host = host.rpartition(":")[0]
        return cls(f"{parts.scheme}://{parts.netloc}", host, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class XingeMessage(PreparedMessage):
    """`signed` and `form` are the parameters from `environment` (or `expire_time`) to `multi_pkg`, which are adjacent
    in the order of names, in the form for signing and in the form for sending."""

    signed: str = field(default="", repr=False)
    form: str = field(default="", repr=False)


class XingeProtocol(Provider):
    """The calls and answers, whoever is at the other end."""

    max_message_bytes: ClassVar[int] = MAX_MESSAGE_BYTES
    max_expire_seconds: ClassVar[int] = 259_200
    list_limit: ClassVar[int] = 1000
    access_id_spans: ClassVar[tuple[tuple[range, Platform], ...]] = (
        (range(2_200_000_000), Platform.ANDROID),
        (range(2_200_000_000, 2**63), Platform.IOS),
    )

    def __init__(self, default_url: str) -> None:
        self.default_url = default_url
        self._endpoints: dict[str, Endpoint] = {}

    def prepare(self, credentials: Credentials, notification: Notification) -> XingeMessage:
        is_ios = credentials.platform == Platform.IOS
        message, quoted = (_ios_message if is_ios else _android_message)(notification)
        environment = _environment(credentials)
        expire_seconds = self.expire_seconds(notification)
        message_type = 0 if is_ios else 1
        return XingeMessage(
            credentials,
            message,
            signed=f"environment={environment}expire_time={expire_seconds}message={message}"
            f"message_type={message_type}multi_pkg=0",
            form=f"&environment={environment}&expire_time={expire_seconds}&message={quoted}"
            f"&message_type={message_type}&multi_pkg=0",
        )

    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        body = _own(message)
        signed = f"device_token={token}{body.signed}"
        form = f"&device_token={_quoted_token(token)}{body.form}"
        return self._request(body.credentials, "/v2/push/single_device", signed, form, now)

    def create_list(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        body = _own(message)
        return self._request(body.credentials, "/v2/push/create_multipush", body.signed, body.form, now)

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        self.check_list(push_id, tokens)
        device_list = to_json(list(tokens))
        signed = f"device_list={device_list}push_id={push_id}"
        form = f"&device_list={quote_plus(device_list)}&push_id={quote_plus(push_id)}"
        return self._request(message.credentials, "/v2/push/device_list_multiple", signed, form, now)

    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        return self._request(credentials, "/v2/application/get_app_device_num", "", "", now)

    def read(self, answer: Answer) -> Outcome:
        said = answers.parse(answer, codes=("ret_code",), words=("err_msg",))
        if isinstance(said, Outcome):
            return said
        code = answers.code_of(said.fields.get("ret_code"))
        if code is None:
            return answers.unreadable(said.http_status, "the answer has no ret_code")
        if code == 0:
            return _accepted(said)
        text = answers.shorten(said.fields.get("err_msg", ""))
        return xinge_codes.meaning(code, text).outcome(said.http_status, str(code), text)

    def _request(self, credentials: Credentials, path: str, signed: str, form: str, now: int) -> HttpRequest:
        """`signed` and `form` hold the call's own parameters in the order of names; all of them lie between
        `access_id` and `timestamp`. The signature is the MD5 of the raw values in that order, after method, host
        (without its port) and path."""
        endpoint = self._endpoint(credentials.endpoint_url or self.default_url)
        path = endpoint.base_path + path
        access_id = credentials.access_id
        source = f"POST{endpoint.host}{path}access_id={access_id}{signed}timestamp={now}{credentials.secret}"
        signature = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()
        body = f"access_id={access_id}{form}&timestamp={now}&sign={signature}"
        return HttpRequest(endpoint.base_url + path, body.encode(), HEADERS)

    def _endpoint(self, url: str) -> Endpoint:
        endpoint = self._endpoints.get(url)
        if endpoint is None:
            endpoint = self._endpoints[url] = Endpoint.of(url)
        return endpoint


class XingeV2(XingeProtocol):
    """The service at its own address, or a gateway that stands for it."""

    kind: ClassVar[ProviderKind] = ProviderKind.XINGE_V2
    # Its own clients speak plain HTTP to it; some of its documentation also has HTTPS.
    own_urls: ClassVar[tuple[str, ...]] = (DEFAULT_URL, "https://openapi.xg.qq.com")

    def __init__(self) -> None:
        super().__init__(DEFAULT_URL)

    def secret_fault(self, secret: str) -> str:
        fault = super().secret_fault(secret)
        if fault or len(secret) == SECRET_LENGTH:
            return fault
        words = {"want": SECRET_LENGTH, "have": len(secret)}
        return _("Xinge secrets have %(want)s characters; this one has %(have)s.") % words

    def doubt(self, access_id: str, platform: Platform) -> str:
        """TPNS is the successor: whoever moves there may have its access id already."""
        if Tpns.platform_of(access_id):
            words = {"access_id": access_id}
            return _("%(access_id)s looks like a TPNS access ID, but the provider is Xinge.") % words
        return super().doubt(access_id, platform)


def _own(message: PreparedMessage) -> XingeMessage:
    if not isinstance(message, XingeMessage):
        raise TypeError(f"{type(message).__name__} was not prepared by this provider")
    return message


def _accepted(said: Said) -> Outcome:
    result = said.fields.get("result")
    if not isinstance(result, dict) or "push_id" not in result:
        return _plainly_accepted(said.http_status)
    return meanings.ACCEPTED.outcome(said.http_status, "0", "", answers.push_id_of(result["push_id"]))


@cache
def _plainly_accepted(http_status: int) -> Outcome:
    """Remembered, because most pushes are answered so."""
    return meanings.ACCEPTED.outcome(http_status, "0", "")


def _environment(credentials: Credentials) -> int:
    """Return the environment's number. Android has no environments; the official SDKs send 0 for it."""
    if credentials.platform != Platform.IOS:
        return 0
    return 1 if credentials.environment == Environment.PRODUCTION else 2


@lru_cache(maxsize=256)
def _quoted_title(title: str) -> str:
    """Encode a title. Cached, because most pushes of a type have the same title."""
    return quote_plus(title)


def _quoted_token(token: str) -> str:
    return token if token.isalnum() and token.isascii() else quote_plus(token)


def _android_message(notification: Notification) -> tuple[str, str]:
    """Return the message as JSON, and the same percent-encoded."""
    n_id = str(notification.replace_id % 2**31)  # negative ids would clear other notifications
    custom = to_json({str(key): _as_text(value) for key, value in notification.custom.items()})
    frame = _ANDROID_HEAD + _ANDROID_CONTENT + _ANDROID_ID + n_id + _ANDROID_CUSTOM + custom + "}"
    title, content = _fitted(notification, MAX_MESSAGE_BYTES - len(frame.encode()))
    return (
        f"{_ANDROID_HEAD}{title}{_ANDROID_CONTENT}{content}{_ANDROID_ID}{n_id}{_ANDROID_CUSTOM}{custom}}}",
        f"{_QUOTED[_ANDROID_HEAD]}{_quoted_title(title)}{_QUOTED[_ANDROID_CONTENT]}{quote_plus(content)}"
        f"{_QUOTED[_ANDROID_ID]}{n_id}{_QUOTED[_ANDROID_CUSTOM]}{quote_plus(custom)}%7D",
    )


def _ios_message(notification: Notification) -> tuple[str, str]:
    badge = "" if notification.badge is None else f',"badge":{notification.badge}'
    rest = to_json(ios_custom(notification))[1:]
    tail = f"{badge}}},{rest}" if rest != "}" else f"{badge}}}}}"
    frame = _IOS_HEAD + _IOS_BODY + _IOS_SOUND + tail
    title, content = _fitted(notification, MAX_MESSAGE_BYTES - APNS_RESERVE_BYTES - len(frame.encode()))
    return (
        f"{_IOS_HEAD}{title}{_IOS_BODY}{content}{_IOS_SOUND}{tail}",
        f"{_QUOTED[_IOS_HEAD]}{_quoted_title(title)}{_QUOTED[_IOS_BODY]}{quote_plus(content)}"
        f"{_QUOTED[_IOS_SOUND]}{quote_plus(tail)}",
    )


def ios_custom(notification: Notification) -> dict[str, Any]:
    """Return the keys beside `aps`. A key that would override Apple's or Xinge's own is renamed to `custom_<key>`.

    iOS has no replaceable notification ids, so the app gets the id as `n_id` and can recognise a repeated push.
    """
    ours: dict[str, Any] = {"n_id": notification.replace_id} if notification.replace_id else {}
    return ours | moved_aside(notification.custom, RESERVED_KEYS)


def _as_text(value: Any) -> str:
    """Return a value of `custom_content`, which must be a string."""
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value)


def _fitted(notification: Notification, room: int) -> tuple[str, str]:
    """Return title and content as the insides of JSON strings of at most `room` bytes together.

    The content is cut first, the title only when nothing of the content is left.
    """
    title = clean(notification.title)
    content = clean(notification.content)
    if room < 0:
        raise MessageTooLargeError(f"the data for the app is {-room} bytes too large for {MAX_MESSAGE_BYTES} bytes")
    encoded = to_json(title)[1:-1], to_json(content)[1:-1]
    # A JSON character takes at most four bytes in UTF-8, so most messages need not be measured.
    characters = len(encoded[0]) + len(encoded[1])
    if 4 * characters <= room or len(encoded[0].encode()) + len(encoded[1].encode()) <= room:
        return encoded
    title = fit(title, room)
    content = fit(content, room - encoded_size(title))
    return to_json(title)[1:-1], to_json(content)[1:-1]
