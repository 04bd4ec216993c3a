"""Frozen values that pass between the stages. They hold facts, do nothing, and import no stage."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from pushes.names import App, Environment, Kind, Platform, PushType, Reason


@dataclass(frozen=True, slots=True)
class Audience:
    """The accounts a message is for, and optionally the only platform it is for."""

    accounts: tuple[str, ...]
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class PushMessage:
    """What a producer hands to `submit`.

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

    @property
    def dedupe_key(self) -> str:
        """32 hex digits: independent of the database's collation and of the identity's length."""
        return dedupe_key(self.source, self.identity)


def dedupe_key(source: str, identity: str) -> str:
    """What tells one message of a source from all others."""
    return hashlib.blake2b(f"{source}\0{identity}".encode(), digest_size=16).hexdigest()


class SourceMessage(NamedTuple):
    """What a source is told of one of its messages when it is asked whether that still stands."""

    record_id: int
    source: str
    message_id: str
    dedupe_key: str


class DeviceTarget(NamedTuple):
    """One active device; `device_id` is None when a directory of its own keeps it, not our table."""

    device_id: int | None
    account_id: str
    platform: Platform
    environment: Environment
    token: str

    def __repr__(self) -> str:
        """Without the token, which is all that is needed to push to the device."""
        return f"DeviceTarget({self.device_id}, {self.account_id!r}, {self.platform}, {self.environment})"


class AccountFacts(NamedTuple):
    """What the directory knows about one account; a missing account has no facts."""

    account_id: str
    is_logged_in: bool
    accepts_pushes: bool
    muted: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


class Recipient(NamedTuple):
    """One account of an audience with everything that the verdict needs."""

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


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a provider needs to sign a call. The secret is never shown."""

    provider: str
    access_id: int
    endpoint_url: str
    platform: Platform
    environment: Environment
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notification:
    """One provider-neutral message, ready to be written in a provider's format.

    `custom` reaches the client app as its payload. `replace_id` (0 = independent) lets Android
    replace an earlier notification instead of showing a second one. `expire_seconds` is how long the
    provider may keep it for a phone that is off.
    """

    title: str
    content: str
    custom: Mapping[str, Any]
    expire_seconds: int
    replace_id: int = 0
    badge: int | None = None


class Content(NamedTuple):
    """What a record says, as far as composing its notification needs it."""

    id: int
    push_type: int
    title: str
    text: str
    data: dict[str, Any]
    sender_name: str
    created_at: datetime
    expires_at: datetime
    one_by_one: bool = False


class Verdict(Enum):
    """What the caller of a provider does next."""

    ACCEPTED = "accepted"
    BAD_TARGET = "bad_target"
    RETRY = "retry"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Scope(Enum):
    """How far an unhappy outcome reaches: this target, this message, or everything under this key."""

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
    """What became of one provider call, in the caller's terms.

    `code` and `text` are the provider's own words, kept for people; `http_status` is that of the answer. Each is None
    where there was none. `retry_after_seconds` is the provider's wish, if it had one. A `KEY` scope outcome pauses
    the key, whose fault `blame` names, or, with `RETRY`, counts against its breaker. `bad_tokens` are those of an
    accepted list that the provider left out. `vouches` is False for a yes that says nothing about the token, such as
    that of a list whose dead tokens are dropped without a word.
    """

    verdict: Verdict
    reason: Reason | None = None
    scope: Scope = Scope.TARGET
    code: int | None = None
    text: str = ""
    push_id: str = ""
    retry_after_seconds: float | None = None
    bad_tokens: tuple[str, ...] = field(default=(), repr=False)
    http_status: int | None = None
    vouches: bool = True
    blame: Blame | None = None
