"""Compose the provider-neutral notification from a record and its push type's policy. Pure."""

from datetime import datetime
from typing import Any

from pushes.names import HIDDEN_TEXT, Kind, MessageClass
from pushes.providers.reserved import moved_aside
from pushes.text import characters, presentation
from pushes.values import Content, Notification, Policy

#: A push on its way is kept for so long at least.
MIN_EXPIRE_SECONDS = 60
#: Names reserved for the platform's own values in the payload: the push type, and the replace id.
RESERVED = frozenset({"type", "n_id"})


def compose(content: Content, policy: Policy, now: datetime, *, stands_for: int = 1) -> Notification:
    """Return the notification for every device of a record.

    The client app finds the number of the push type as `type` and the producer's data beside it; what the producer
    himself calls `type` or `n_id` is `custom_type` and `custom_n_id` there. The replace id is the record's own, so
    that a second delivery of it replaces the first on Android. What shows nothing counts as none, and no text turns
    what stands around it. Where the provider can say so, the phone groups the notifications of one conversation, and
    sleeps on for a broadcast. What the push itself says of its sound and Android channel goes before what its type
    says. The provider cuts the text and the time to keep it to its own limits. `stands_for` counts the messages of a
    burst: above one, the count comes before the last message's text.
    """
    said = presentation.stored(content.presentation)
    seconds_left = int((content.expires_at - now).total_seconds())
    return Notification(
        title=_title(content, policy),
        content=_text(content, policy, stands_for),
        custom=_custom(content),
        expire_seconds=max(MIN_EXPIRE_SECONDS, seconds_left),
        replace_id=content.id % 2_147_483_647 or 1,
        thread=content.conversation,
        is_urgent=content.kind != Kind.BROADCAST,
        badge=said.badge,
        subtitle=characters.name(said.subtitle),
        link=said.link,
        image=said.image,
        sound=said.sound or policy.sound,
        category=said.category,
        channel_id=said.android_channel or policy.android_channel,
        message_class=_message_class(content, policy),
    )


def _message_class(content: Content, policy: Policy) -> MessageClass:
    """Return the class of its type; a broadcast is marketing, whatever page its type opens in the app."""
    return MessageClass.MARKETING if content.kind == Kind.BROADCAST else MessageClass(policy.message_class)


def _title(content: Content, policy: Policy) -> str:
    return characters.name(content.title) or characters.name(policy.default_title)


def _custom(content: Content) -> dict[str, Any]:
    data = content.data
    if str(data.get("type")) == str(content.push_type):
        # The push type repeated, as in every chat push: no data of the producer is lost.
        data = {name: value for name, value in data.items() if name != "type"}
    return {**moved_aside(data, RESERVED), "type": content.push_type}


def _text(content: Content, policy: Policy, stands_for: int) -> str:
    text = characters.body(content.text) or _title(content, policy)
    if stands_for == 1:
        return text
    if content.text == HIDDEN_TEXT:
        return f"你收到 {stands_for} 条新消息"
    sender = characters.name(content.sender_name)
    if not sender:
        return f"{stands_for} 条新消息：{text}"
    # A group's texts begin with their sender, who is already named before the count.
    return f"{sender}等 {stands_for} 条新消息：{text.removeprefix(f'{sender}: ')}"
