"""Compose a push from a chat message: audience, title and text. Pure."""

from datetime import datetime
from typing import Any

from chatscan.groups import Group
from chatscan.messages import kinds
from chatscan.messages.config import FULL, HIDDEN, ScanConfig
from chatscan.messages.documents import MAX_CHARS, ChatMessage, Refuse
from chatscan.names import Refusal
from pushes.names import HIDDEN_TEXT, Kind, PushType
from pushes.text import characters
from pushes.text.notes import Note
from pushes.text.sentences import Sentence
from pushes.values import Audience, PushMessage


def group_push(message: ChatMessage, group: Group | None, config: ScanConfig, now: datetime) -> PushMessage | Refuse:
    """Return the push of one group message: a single message, whatever the size of the group."""
    if is_too_old(message, config, now):
        return Refuse(Refusal.TOO_OLD)
    if group is None:
        return Refuse(
            Refusal.UNKNOWN_GROUP, Note(Sentence.FIELD_IS, field="group_id", value=repr(message.group_id[:60]))
        )
    accounts = tuple(account for account in audience_of(group, config) if account != message.sender_id)
    if not accounts:
        return Refuse(Refusal.NO_RECIPIENT)
    text = shown(message, config)
    if message.sender_name and config.privacy != HIDDEN:
        text = f"{message.sender_name}: {text}"
    return PushMessage(
        kind=Kind.GROUP,
        app=group.app or message.app or config.app,
        audience=Audience(accounts),
        title="" if config.privacy == HIDDEN else group.name,
        text=text,
        data=_data(message, "group_id", message.group_id),
        conversation=f"group:{message.group_id}",
        **_common(message, config),
    )


def audience_of(group: Group, config: ScanConfig) -> tuple[str, ...]:
    """Return the recipients of a group's messages; empty when the group has no members."""
    wanted = group.members if config.audience == "members" else (group.owner_id,)
    return tuple(account for account in wanted if account)


def private_push(message: ChatMessage, config: ScanConfig, now: datetime) -> PushMessage | Refuse:
    """Return the push of one private message. Its data names the sender, and so the chat to open."""
    if is_too_old(message, config, now):
        return Refuse(Refusal.TOO_OLD)
    if message.to_id == message.sender_id:
        return Refuse(Refusal.NO_RECIPIENT)
    # One conversation for both directions: muted together, and always in the same shard.
    pair = ":".join(sorted((message.sender_id, message.to_id)))
    return PushMessage(
        kind=Kind.PRIVATE,
        app=message.app or config.app,
        audience=Audience((message.to_id,)),
        title="" if config.privacy == HIDDEN else message.sender_name,
        text=shown(message, config),
        data=_data(message, "user_id", message.sender_id),
        conversation=f"private:{pair}",
        **_common(message, config),
    )


def shown(message: ChatMessage, config: ScanConfig) -> str:
    """Return what may be stored and sent of a message's text, by CHAT_PRIVACY."""
    if config.privacy == HIDDEN:
        return HIDDEN_TEXT
    text = message.text
    if message.kind != kinds.TEXT:
        text = f"{config.previews[message.kind]} {text}".rstrip()
    return characters.shorten(text, MAX_CHARS if config.privacy == FULL else config.preview_chars)


def is_too_old(message: ChatMessage, config: ScanConfig, now: datetime) -> bool:
    return bool(config.max_age_seconds) and (now - message.sent_at).total_seconds() > config.max_age_seconds


def _common(message: ChatMessage, config: ScanConfig) -> dict[str, Any]:
    kind = Kind.GROUP if message.group_id else Kind.PRIVATE
    return {
        "source": kind.value,
        "identity": message.identity,
        "push_type": PushType.CHAT,
        "message_id": message.message_id,
        "sender_id": message.sender_id,
        "sender_name": "" if config.privacy == HIDDEN else message.sender_name,
        "occurred_at": message.sent_at,
    }


def _data(message: ChatMessage, peer_field: str, peer_id: str) -> dict[str, Any]:
    data = {"type": int(PushType.CHAT), peer_field: peer_id, "seq": message.sequence, "message_id": message.message_id}
    return {key: value for key, value in data.items() if value is not None}
