"""The interface of a provider. A provider builds requests and reads answers; it does no I/O itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.names import CHANNELS, Channel, Platform, ProviderKind
from pushes.values import Credentials, Notification, Outcome

MAX_ANSWER_BYTES = 64 * 1024


class MessageTooLargeError(Exception):
    """The message exceeds the provider's limit even without its text (its `data` is too large)."""


class UnsupportedCallError(Exception):
    """The provider has no such call (see `lists_need_creation`)."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One POST, ready to be sent. Body and headers may contain a signature, so neither is shown.

    With `http2` it goes over HTTP/2 and no other: by TLS, or to a plain URL without asking first. Over HTTP/2, requests
    of different `connection` words never share a connection; the host does not see the word.
    """

    url: str
    body: bytes = field(repr=False)
    headers: tuple[str, ...] = field(default=(), repr=False)
    http2: bool = False
    connection: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer, whatever its status. Header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer. `was_sent` is False only when the server provably did not process the request.

    Over HTTP/1.1: not one byte of it left this machine. Over HTTP/2 also: the server refused the stream
    (REFUSED_STREAM), or said that it will not look at it (above the last stream of a GOAWAY).
    """

    was_sent: bool
    text: str


Answer = HttpResponse | TransportFailure


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """A notification in the provider's own format under one key: encoded once, sent to many. `call_key` identifies the
    one call that is about to be written, for a provider that `is_idempotent`."""

    credentials: Credentials
    body: str = field(repr=False)
    call_key: str = ""


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One thing that an operator enters for a key of a provider. `is_secret`: never shown again. `is_file`: a file
    that the vendor's console hands out, given as its text. `is_access_id`: the key's access id, which is shown, and
    stays when the secret is rotated."""

    name: str
    label: str | Promise
    help_text: str | Promise = ""
    is_secret: bool = False
    is_file: bool = False
    is_access_id: bool = False


class CredentialsError(ValueError):
    """What was entered cannot be a key of this provider. The message says why, in the reader's language, and never
    repeats a secret; `field` names the CredentialField."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name


class Sealed(NamedTuple):
    """Credentials as an app key stores them: the public name of the key at the vendor, and everything else as one
    text, which is encrypted."""

    access_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Sealed({self.access_id!r})"


class AccessToken(NamedTuple):
    """A provider's short-lived permission to push; the moments in Unix seconds."""

    text: str
    made_at: int
    expires_at: int

    def __repr__(self) -> str:
        return f"AccessToken(made_at={self.made_at}, expires_at={self.expires_at})"


class Fates(NamedTuple):
    """What became of an accepted list's tokens: those that are certainly of another app or dead, and those that are
    certainly of ours."""

    dead: frozenset[str]
    alive: frozenset[str]


ACCESS_ID = CredentialField("access_id", gettext_lazy("Access ID"), is_access_id=True)
SECRET = CredentialField("secret", gettext_lazy("Secret key"), is_secret=True)


class Provider(ABC):
    """One provider's protocol, and everything that the platform knows about the provider.

    `now` is always Unix seconds, passed in, since signatures contain it. `max_message_bytes` bounds a message in the
    provider's format, `min_expire_seconds` and `max_expire_seconds` how long it is kept for a phone that is off.
    `list_limit` is the greatest number of tokens in one `to_list` call; 0 means that the provider has no such call, and
    neither has `create_list`.
    If `lists_need_creation` is False, `to_list` takes an empty push id and `create_list` raises UnsupportedCallError.
    If `lists_name_bad_tokens` is False, an accepted list says nothing about its tokens. After one of
    `refused_list_codes`, nothing of a list was pushed, and each of its tokens needs its own call. `own_urls` are the
    vendor's own addresses, each with scheme and port: other hosts must be in PROVIDER_HOSTS. `access_id_spans` are the
    numbers that the vendor gives to the apps of each platform; of overlapping spans the first counts. If
    `reaches_phones` is False, nothing is really pushed. `platforms` are those that the provider can push to.
    `credential_fields` are what an operator enters for a key. If `rotates_access_id` is True, a new secret comes with a
    new access id; otherwise another access id means another app. If `is_idempotent` is True, the provider pushes once
    for all calls with one `call_key` (see PreparedMessage), however often they are made within `call_key_seconds`. If
    `needs_access_token` is True, calls carry `credentials.access_token`, which `access_token` makes or asks for. If
    `finds_dead_tokens` is True, `fates` asks what became of an accepted list's tokens.
    """

    kind: ClassVar[ProviderKind]
    max_message_bytes: ClassVar[int]
    min_expire_seconds: ClassVar[int] = 1
    max_expire_seconds: ClassVar[int]
    reaches_phones: ClassVar[bool] = True
    list_limit: ClassVar[int] = 0
    lists_need_creation: ClassVar[bool] = True
    lists_name_bad_tokens: ClassVar[bool] = False
    refused_list_codes: ClassVar[frozenset[str]] = frozenset()
    own_urls: ClassVar[tuple[str, ...]] = ()
    access_id_spans: ClassVar[tuple[tuple[range, Platform], ...]] = ()
    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.ANDROID, Platform.IOS})
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (ACCESS_ID, SECRET)
    #: The vendor's word for the access id, where it is part of what is entered and no field of its own.
    access_id_label: ClassVar[str | Promise] = ACCESS_ID.label
    rotates_access_id: ClassVar[bool] = False
    is_idempotent: ClassVar[bool] = False
    call_key_seconds: ClassVar[int] = 0
    finds_dead_tokens: ClassVar[bool] = False
    needs_access_token: ClassVar[bool] = False
    #: The address for keys without an endpoint URL.
    default_url: str

    @property
    def channel(self) -> Channel:
        """The channel of the devices that this provider can push to."""
        return CHANNELS[self.kind]

    @abstractmethod
    def prepare(self, credentials: Credentials, notification: Notification) -> PreparedMessage:
        """Encode `notification`, its text cut at a character's boundary to fit the provider's limit
        in UTF-8 bytes. Raises MessageTooLargeError."""

    @abstractmethod
    def to_device(self, message: PreparedMessage, token: str, *, now: int) -> HttpRequest:
        """Return the request that sends one message to one device."""

    def create_list(self, message: PreparedMessage, *, now: int) -> HttpRequest:
        """Return the request that creates a message for `to_list`; the outcome's `push_id` names it."""
        raise UnsupportedCallError(
            f"{self.kind} creates no lists (key {message.credentials.access_id}, at {now}): "
            "call to_list with an empty push_id"
        )

    def to_list(self, message: PreparedMessage, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return the request that sends a created message to at most `list_limit` devices."""
        words = f"key {message.credentials.access_id}, push_id={push_id!r}, {len(tokens)} tokens, at {now}"
        raise UnsupportedCallError(f"{self.kind} has no lists ({words})")

    def check_list(self, push_id: str, tokens: Sequence[str]) -> None:
        """Raise ValueError for a list that cannot be sent: too many tokens, none, or the id of a created message where
        lists carry theirs."""
        if push_id and not self.lists_need_creation:
            raise ValueError(f"push_id={push_id!r}: a list of {self.kind} carries its message and takes no push id")
        if not 0 < len(tokens) <= self.list_limit:
            raise ValueError(f"tokens: {len(tokens)} given, 1 to {self.list_limit} accepted")

    @abstractmethod
    def check(self, credentials: Credentials, *, now: int) -> HttpRequest:
        """Return a signed request that changes and pushes nothing."""

    def read_check(self, answer: Answer) -> Outcome:
        """Return the outcome of a `check`: accepted when the credentials are. Never raises."""
        return self.read(answer)

    def access_token(self, credentials: Credentials, *, now: int) -> AccessToken | HttpRequest:
        """Return a new access token, or the request that asks for one. Raises ValueError for an unusable secret."""
        raise UnsupportedCallError(f"{self.kind} takes no access token (key {credentials.access_id}, at {now})")

    def read_access_token(self, answer: Answer, *, now: int) -> AccessToken | Outcome:
        """Return the access token that an answer brings, or the outcome of asking in vain. Never raises for an answer
        to `access_token`."""
        raise UnsupportedCallError(f"{self.kind} takes no access token (at {now}): {type(answer).__name__}")

    def new_call_key(self, credentials: Credentials, *, now: int) -> str:
        """Return the idempotency key of a call that is about to be made for the first time, of at most 63 characters.
        It says when it was made, for `knows_call`."""
        raise UnsupportedCallError(f"{self.kind} takes no call keys (key {credentials.access_id}, at {now})")

    def knows_call(self, call_key: str, credentials: Credentials, *, now: int) -> bool:
        """Return whether another call with this call key is still the same one to the provider."""
        return False

    def fates(self, credentials: Credentials, push_id: str, tokens: Sequence[str], *, now: int) -> HttpRequest:
        """Return the request that asks what became of an accepted list. Only for what `finds_dead_tokens`."""
        raise UnsupportedCallError(f"{self.kind} does not tell (key {credentials.access_id}, {push_id}, at {now})")

    def read_fates(self, answer: Answer) -> Fates | Outcome:
        """Return what an answer to `fates` says, or the outcome of asking in vain. Never raises for an answer to it."""
        raise UnsupportedCallError(f"{self.kind} does not tell: {type(answer).__name__}")

    def sealed(self, entered: Mapping[str, str]) -> Sealed:
        """Return what was entered in `credential_fields` as an app key stores it. Raises CredentialsError."""
        access_id, secret = entered.get(ACCESS_ID.name, "").strip(), entered.get(SECRET.name, "")
        if not (access_id.isascii() and access_id.isdigit() and 0 < int(access_id) < 2**63):
            raise CredentialsError(ACCESS_ID.name, _("Enter the access ID as a positive number, such as 2100047733."))
        if not secret:
            raise CredentialsError(SECRET.name, _("Enter the secret of the new key."))
        if fault := self.secret_fault(secret):
            raise CredentialsError(SECRET.name, fault)
        return Sealed(str(int(access_id)), secret)

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
    def platform_of(cls, access_id: str) -> Platform | None:
        """Return the platform of an access id, by the provider's numbering; None when that does not tell."""
        if not (access_id.isascii() and access_id.isdigit()):
            return None
        return next((platform for span, platform in cls.access_id_spans if int(access_id) in span), None)

    def doubt(self, access_id: str, platform: Platform) -> str:
        """Return why this access id is probably wrong for a key of this platform, in the reader's language; "" when it
        looks right. A doubt is a warning, not an error: a gateway may number its apps differently."""
        found = self.platform_of(access_id)
        words = {"access_id": access_id, "platform": platform.label}
        if found in (None, platform):
            return ""
        if found is Platform.IOS:
            return _("%(access_id)s is the access ID of an iOS app, but this key is for %(platform)s.") % words
        return _("%(access_id)s is the access ID of an Android app, but this key is for %(platform)s.") % words
