"""The interface of a provider. A provider builds requests and reads answers; it does no I/O itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from django.utils.translation import gettext as _

from pushes.names import Platform, ProviderKind
from pushes.values import Credentials, Notification, Outcome


class MessageTooLargeError(Exception):
    """The message exceeds the provider's limit even without its text (its `data` is too large)."""


class UnsupportedCallError(Exception):
    """The provider has no such call (see `lists_need_creation`)."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST, ready to be sent. The body may contain a signature, so it is not shown."""

    url: str
    body: bytes = field(repr=False)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer, whatever its status. Header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer. `was_sent` is False only when the request provably never left this machine."""

    was_sent: bool
    text: str


Answer = HttpResponse | TransportFailure


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """A notification in the provider's own format under one key: encoded once, sent to many."""

    credentials: Credentials
    body: str = field(repr=False)


class Provider(ABC):
    """One provider's protocol, and everything that the platform knows about the provider.

    `now` is always Unix seconds, passed in, since signatures contain it. `max_message_bytes` bounds a message in the
    provider's format, `min_expire_seconds` and `max_expire_seconds` how long it is kept for a phone that is off.
    `list_limit` is the greatest number of tokens in one `to_list` call; 0 means that the provider has no such call.
    If `lists_need_creation` is False, `to_list` takes an empty push id and `create_list` raises UnsupportedCallError.
    If `lists_name_bad_tokens` is False, an accepted list says nothing about its tokens. After one of
    `refused_list_codes`, nothing of a list was pushed, and each of its tokens needs its own call. `own_urls` are the
    vendor's own addresses, each with scheme and port: other hosts must be in PROVIDER_HOSTS. `access_id_spans` are the
    numbers that the vendor gives to the apps of each platform; of overlapping spans the first counts. If
    `reaches_phones` is False, nothing is really pushed.
    """

    kind: ClassVar[ProviderKind]
    max_message_bytes: ClassVar[int]
    min_expire_seconds: ClassVar[int] = 1
    max_expire_seconds: ClassVar[int]
    reaches_phones: ClassVar[bool] = True
    list_limit: ClassVar[int] = 0
    lists_need_creation: ClassVar[bool] = True
    lists_name_bad_tokens: ClassVar[bool] = False
    refused_list_codes: ClassVar[frozenset[int]] = frozenset()
    own_urls: ClassVar[tuple[str, ...]] = ()
    access_id_spans: ClassVar[tuple[tuple[range, Platform], ...]] = ()
    #: The address for keys without an endpoint URL.
    default_url: str

    @abstractmethod
    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Encode `notification`, its text cut at a character's boundary to fit the provider's limit
        in UTF-8 bytes. Raises MessageTooLargeError."""

    @abstractmethod
    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        """Return the request that sends one message to one device."""

    @abstractmethod
    def create_list(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        """Return the request that creates a message for `to_list`; the outcome's `push_id` names it."""

    @abstractmethod
    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return the request that sends a created message to at most `list_limit` devices."""

    @abstractmethod
    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a signed request that changes and pushes nothing."""

    @abstractmethod
    def read(self, answer: Answer) -> Outcome:
        """Return the outcome of an answer to any of the calls above. Never raises."""

    def expire_seconds(self, notification: Notification) -> int:
        """Return how long the provider is asked to keep the notification, within its limits."""
        return max(self.min_expire_seconds, min(notification.expire_seconds, self.max_expire_seconds))

    def secret_fault(self, secret: str) -> str:
        """Return why `secret` seems incompletely copied, in the reader's language; "" when it does not. Never repeats
        the secret."""
        if secret.isascii() and secret.isprintable() and " " not in secret:
            return ""
        return _("The secret contains spaces or characters that no provider uses. Copy it again.")

    @classmethod
    def platform_of(cls, access_id: int) -> Platform | None:
        """Return the platform of an access id, by the provider's numbering; None when that does not tell."""
        return next((platform for span, platform in cls.access_id_spans if access_id in span), None)

    def doubt(self, access_id: int, platform: Platform) -> str:
        """Return why this access id is probably wrong for a key of this platform, in the reader's language; "" when it
        looks right. A doubt is a warning, not an error: a gateway may number its apps differently."""
        found = self.platform_of(access_id)
        words = {"access_id": access_id, "platform": platform.label}
        if found in (None, platform):
            return ""
        if found is Platform.IOS:
            return _("%(access_id)s is the access ID of an iOS app, but this key is for %(platform)s.") % words
        return _("%(access_id)s is the access ID of an Android app, but this key is for %(platform)s.") % words
