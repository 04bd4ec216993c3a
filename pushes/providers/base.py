"""What every provider offers. A provider writes requests and reads answers; it does no I/O itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pushes.names import ProviderKind
from pushes.values import Credentials, Notification, Outcome


class MessageTooLargeError(Exception):
    """The message does not fit the provider's limit even without its text (its `data` is too large)."""


class UnsupportedCallError(Exception):
    """The provider has no such call (see `lists_need_creation`)."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST, ready to be written to the wire. The body may hold a signature, so it is not shown."""

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
    expire_seconds: int = 0


class Provider(ABC):
    """One provider's protocol.

    `now` is always Unix seconds, passed in, since signatures contain it. `list_limit` is the greatest
    number of tokens in one `to_list` call; 0 means that the provider has no such call. Where
    `lists_need_creation` is False, `to_list` takes an empty push id and `create_list` raises UnsupportedCallError.
    Where `lists_name_bad_tokens` is False, an accepted list says nothing about the tokens in it; after one of
    `refused_list_codes`, nothing of a list was pushed, and each of its tokens must be asked alone. `own_urls` are where
    the vendor itself answers, each with its scheme and port: other places must be named by PROVIDER_HOSTS.
    """

    kind: ClassVar[ProviderKind]
    list_limit: ClassVar[int] = 0
    lists_need_creation: ClassVar[bool] = True
    lists_name_bad_tokens: ClassVar[bool] = False
    refused_list_codes: ClassVar[frozenset[int]] = frozenset()
    own_urls: ClassVar[tuple[str, ...]] = ()
    #: Where calls of keys without an endpoint URL go.
    default_url: str

    @abstractmethod
    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Encode `notification`, its text cut at a character's boundary to fit the provider's limit
        in UTF-8 bytes. Raises MessageTooLargeError."""

    @abstractmethod
    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        """One message to one device."""

    @abstractmethod
    def create_list(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        """Create a message that `to_list` then sends; the outcome's `push_id` names it."""

    @abstractmethod
    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """A created message to at most `list_limit` devices."""

    @abstractmethod
    def to_all(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        """One message to every device of the app that the key belongs to."""

    @abstractmethod
    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """A signed call that changes nothing and pushes nothing."""

    @abstractmethod
    def read(self, answer: Answer) -> Outcome:
        """What the answer to any of the calls above means for the caller. Never raises."""
