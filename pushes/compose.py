"""Push type policy + record → the provider-neutral notification. Pure."""

from datetime import datetime

from pushes.names import HIDDEN_TEXT
from pushes.values import Content, Notification, Policy

MAX_PROVIDER_SECONDS = 259_200  # Xinge keeps a message for at most three days
LEAST_PROVIDER_SECONDS = 60


def compose(content: Content, policy: Policy, now: datetime, *, stands_for: int = 1) -> Notification:
    """The notification for every device of a record.

    The client app finds the number of the push type as `type` and the producer's data beside it. The
    replace id is the record's own, so that a second delivery of it replaces the first on Android.
    The text is cut to the provider's size limit by the provider, which knows its own format. `stands_for`
    counts the messages of a burst: above one, the count comes before the last message's text.
    """
    seconds_left = int((content.expires_at - now).total_seconds())
    return Notification(
        title=content.title or policy.default_title,
        content=_text(content, policy, stands_for),
        custom={**content.data, "type": content.push_type},
        expire_seconds=max(LEAST_PROVIDER_SECONDS, min(seconds_left, MAX_PROVIDER_SECONDS)),
        replace_id=content.id % 2_147_483_647 or 1,
    )


def _text(content: Content, policy: Policy, stands_for: int) -> str:
    text = content.text or content.title or policy.default_title
    if stands_for == 1:
        return text
    if content.text == HIDDEN_TEXT:
        return f"你收到 {stands_for} 条新消息"
    if not content.sender_name:
        return f"{stands_for} 条新消息：{text}"
    # A group's texts begin with their sender, who is named before the count already.
    return f"{content.sender_name}等 {stands_for} 条新消息：{text.removeprefix(f'{content.sender_name}: ')}"
