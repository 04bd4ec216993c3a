"""Frozen values that pass between the stages. They hold facts, have no behaviour, and import no stage."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from pushes.names import DEFAULT_CHANNEL, App, Channel, Environment, Kind, MessageClass, Platform, PushType, Reason


@dataclass(frozen=True, slots=True)
class Audience:
    """The accounts a message is for, and optionally the only platform it is for."""

    accounts: tuple[str, ...]
    platform: Platform | None = None


class Presentation(NamedTuple):
    """How a push looks and sounds on the phone, and where a tap leads: all of it optional, "" and None where nothing is
    said (see `Notification` for the meaning of each). `pushes.text.presentation` checks it."""

    subtitle: str = ""
    link: str = ""
    image: str = ""
    sound: str = ""
    badge: int | None = None
    category: str = ""
    android_channel: str = ""


#: What most pushes say of it: nothing.
PLAIN = Presentation()


@dataclass(frozen=True, slots=True)
class PushMessage:
    """A message that a producer passes to `submit`.

    `identity` is unique for this message among all of one `source`; the dedupe key is made of both.
    `message_id` is the id people search by: the producer's own, or the chat document's.
    `conversation` orders, shards and coalesces pushes ("" outside chats); `sender_id` is never pushed
    to. `occurred_at` is when the message was made at its source. `expires_at` overrides the
    time to live of the push type's policy.
    """

    kind: Kind
    app: App
    audience: Audience
    text: str
    source: str
    identity: str
    push_type: int = PushType.DEFAULT
    title: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    message_id: str = ""
    conversation: str = ""
    sender_id: str = ""
    sender_name: str = ""
    occurred_at: datetime | None = None
    expires_at: datetime | None = None
    broadcast_id: int | None = None
    presentation: Presentation = PLAIN

    @property
    def dedupe_key(self) -> str:
        """32 hex digits: independent of the database's collation and of the identity's length."""
        return dedupe_key(self.source, self.identity)


def dedupe_key(source: str, identity: str) -> str:
    """Return the key that identifies a message of a source."""
    return hashlib.blake2b(f"{source}\0{identity}".encode(), digest_size=16).hexdigest()


class SourceMessage(NamedTuple):
    """What a source needs to know about a message to say whether it was recalled."""

    record_id: int
    source: str
    message_id: str
    dedupe_key: str


class DeviceTarget(NamedTuple):
    """One active device; `device_id` is None for a custom directory's device, which is not in our table."""

    device_id: int | None
    account_id: str
    platform: Platform
    environment: Environment
    token: str
    channel: Channel = DEFAULT_CHANNEL
    installation_id: str = ""

    def __repr__(self) -> str:
        """Leave out the token, which is all that is needed to push to the device."""
        return f"DeviceTarget({self.device_id}, {self.account_id!r}, {self.platform}, {self.environment})"


class AccountFacts(NamedTuple):
    """What the directory knows about one account; an unknown account has no facts."""

    account_id: str
    is_logged_in: bool
    accepts_pushes: bool
    muted: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


class Recipient(NamedTuple):
    """One account of an audience, with everything that the verdict needs."""

    account_id: str
    facts: AccountFacts | None
    is_online: bool
    devices: tuple[DeviceTarget, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one push type (see the PushTypePolicy model for the meaning of each)."""

    push_type: int
    default_title: str
    ttl_seconds: int
    requires_login: bool
    respects_do_not_disturb: bool
    skips_online: bool
    is_enabled: bool
    window_policy: str
    window: str
    unknown_policy: str
    message_class: str = MessageClass.MARKETING.value
    android_channel: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a provider needs to sign a call. Neither the secret nor the access token is ever shown.

    `access_id` names the key at the vendor: an access id, key id, project or app key. `secret` is what the provider's
    `Provider.sealed` returned when the key was entered. `access_token` is the short-lived word of a provider that wants
    one (see `Provider.access_token`), "" before there is one.
    """

    provider: str
    access_id: str
    endpoint_url: str
    platform: Platform
    environment: Environment
    secret: str = field(repr=False)
    access_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Notification:
    """One provider-neutral message, ready to be written in a provider's format.

    `custom` reaches the client app as its payload. `replace_id` (0 = independent) lets a phone replace an earlier
    notification instead of showing a second one. `expire_seconds` is how long the provider may keep it for a phone
    that is off. `link` is a deep link that a tap opens, `image` the address of a picture, `sound` a sound of the app
    ("" for the phone's default). `thread` groups notifications on the phone: our conversation. `category` is the push's
    own: the app's set of buttons, or a word for the class of the message. `message_class` is that class where the
    category says nothing of it. `channel_id` is the app's Android notification channel. `is_urgent` asks for delivery
    at once, also to a phone that sleeps. A provider leaves out what it cannot say;
    docs/providers.md has the matrix.
    """

    title: str
    content: str
    custom: Mapping[str, Any]
    expire_seconds: int
    replace_id: int = 0
    badge: int | None = None
    subtitle: str = ""
    link: str = ""
    image: str = ""
    sound: str = ""
    thread: str = ""
    category: str = ""
    channel_id: str = ""
    is_urgent: bool = True
    message_class: MessageClass = MessageClass.MARKETING


class Content(NamedTuple):
    """The parts of a record that composing its notification needs. `presentation` is as it is stored."""

    id: int
    push_type: int
    title: str
    text: str
    data: dict[str, Any]
    sender_name: str
    created_at: datetime
    expires_at: datetime
    one_by_one: bool = False
    conversation: str = ""
    kind: str = Kind.SYSTEM.value
    presentation: dict[str, Any] | None = None


class Verdict(Enum):
    """What the caller of a provider does next."""

    ACCEPTED = "accepted"
    BAD_TARGET = "bad_target"
    RETRY = "retry"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Scope(Enum):
    """What a failure affects: this target, this message, or everything under this key."""

    TARGET = "target"
    MESSAGE = "message"
    KEY = "key"


class Blame(Enum):
    """What a provider finds fault with when it refuses a key."""

    #: The secret, or the access id that it belongs to. Only against this can another secret help.
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    #: The APNs certificate that the provider keeps for the app.
    CERTIFICATE = "certificate"
    #: The app is not paid for, has expired or was removed at the provider.
    APP = "app"
    #: Another server than the provider's has answered.
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one provider call, in the caller's terms.

    `code` and `text` are the provider's own words, kept for people, "" where there were none; `http_status` is that of
    the answer, None where there was none. `retry_after_seconds` is the provider's wish, if it had one. A `KEY` scope
    outcome pauses the key, whose fault `blame` names, or, with `RETRY`, counts against its breaker. `bad_tokens` are
    those of an accepted list that the provider left out; it also left out `unsent_tokens`, for no fault of theirs.
    `vouches` is False for a yes that says nothing about the
    token, such as that of a list whose dead tokens are dropped without a word. `is_token_stale` is True when the
    access token of the call was refused as too old: a new one may be accepted. `dead_since` (Unix seconds) is when the
    provider learned that the device token is dead: a device that registered later is alive.
    """

    verdict: Verdict
    reason: Reason | None = None
    scope: Scope = Scope.TARGET
    code: str = ""
    text: str = ""
    push_id: str = ""
    retry_after_seconds: float | None = None
    bad_tokens: tuple[str, ...] = field(default=(), repr=False)
    http_status: int | None = None
    vouches: bool = True
    blame: Blame | None = None
    is_token_stale: bool = False
    dead_since: float | None = None
    unsent_tokens: tuple[str, ...] = field(default=(), repr=False)
