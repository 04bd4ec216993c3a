"""One scanner's settings as a value, so that nothing below the loop reads `django.conf`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings

from chatscan.messages import kinds
from pushes.names import App, Kind

KINDS = (Kind.GROUP, Kind.PRIVATE)
FULL, PREVIEW, HIDDEN = ("full", "preview", "hidden")


@dataclass(frozen=True, slots=True)
class Fields:
    """Dotted paths of a chat document's fields. `sender_name` and `app` are optional in documents."""

    created_at: str = "createAt"
    sequence: str = "seq"
    type: str = "type"
    data: str = "data"
    group_id: str = "group_id"
    sender_id: str = "user.user_id"
    sender_name: str = "user.nickname"
    to_id: str = "to_user.user_id"
    app: str = "app"


@dataclass(frozen=True, slots=True)
class GroupFields:
    """Dotted paths of a group document's fields. `member_id` is where each member has its account's id, counted from
    the member: for members that are objects."""

    group_id: str = "group_id"
    name: str = "name"
    owner_id: str = "owner_id"
    app: str = "app"
    members: str = "members"
    member_id: str = "user_id"

    @property
    def top_fields(self) -> set[str]:
        """The document fields that are read, without what lies below them."""
        paths = (self.group_id, self.name, self.owner_id, self.app, self.members)
        return {path.split(".")[0] for path in paths}


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """Everything that a scanner of one kind goes by. Durations are in seconds."""

    kind: Kind
    database: str
    collection: str
    fields: Fields
    types: Mapping[str, str]
    previews: Mapping[str, str]
    app: App
    audience: str
    privacy: str
    preview_chars: int
    batch: int
    overlap_seconds: int
    ahead_seconds: int
    max_age_seconds: int

    @property
    def top_fields(self) -> tuple[str, ...]:
        """The document fields that are read, without what lies below them."""
        return tuple({getattr(self.fields, field.name).split(".")[0] for field in fields(self.fields)})


def scan_config(kind: str) -> ScanConfig:
    """The settings of one scanner. Raises ValueError for a kind that has no scanner."""
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} has no scanner: it must be {' or '.join(KINDS)}")
    upper = kind.upper()
    return ScanConfig(
        kind=Kind(kind),
        database=getattr(settings, f"CHAT_{upper}_DATABASE") or settings.CHAT_DATABASE,
        collection=getattr(settings, f"CHAT_{upper}_COLLECTION"),
        fields=Fields(**getattr(settings, f"CHAT_{upper}_FIELDS")),
        types={**kinds.TYPES, **settings.CHAT_TYPES},
        previews={**kinds.PREVIEWS, **settings.CHAT_PREVIEWS},
        app=App(getattr(settings, f"CHAT_{upper}_APP")),
        audience=settings.CHAT_GROUP_AUDIENCE,
        privacy=settings.CHAT_PRIVACY,
        preview_chars=settings.CHAT_PREVIEW_CHARS,
        batch=settings.SCAN_BATCH,
        overlap_seconds=settings.CHAT_OVERLAP_SECONDS,
        ahead_seconds=settings.CHAT_AHEAD_SECONDS,
        max_age_seconds=settings.CHAT_MAX_AGE_SECONDS,
    )


def group_fields() -> GroupFields:
    return GroupFields(**settings.CHAT_GROUPS_FIELDS)


def field_names(fields_class: type[Any]) -> list[str]:
    """The names that a CHAT_…_FIELDS setting may hold."""
    return [field.name for field in fields(fields_class)]
