"""The message of a broadcast for the devices of each app, with the rules of its push type."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from pushes.distribution import distribute, windows
from pushes.models import Broadcast
from pushes.names import App, Kind, Platform
from pushes.text import presentation
from pushes.values import Audience, PushMessage


def message_of(broadcast: Broadcast, app: App) -> PushMessage:
    """Return the message for all devices of one app."""
    return PushMessage(
        kind=Kind.BROADCAST,
        app=app,
        audience=Audience((), Platform(broadcast.platform) if broadcast.platform else None),
        text=broadcast.text,
        title=broadcast.title,
        data=broadcast.data,
        presentation=presentation.stored(broadcast.presentation),
        push_type=broadcast.push_type,
        source="broadcast",
        identity=str(broadcast.pk) if len(broadcast.apps) == 1 else f"{broadcast.pk}:{app}",
        message_id=f"broadcast-{broadcast.pk}",
        expires_at=broadcast.expires_at,
        broadcast_id=broadcast.pk,
    )


def look_up(push_type: int, window_policy: str, now: datetime) -> distribute.Batch:
    """Look up what is the same for all deliveries of a message. The message's own window policy, if it has one,
    overrides its push type's."""
    batch = distribute.look_up(now)
    if not window_policy:
        return batch
    own = windows.decide(window_policy, batch.policies[push_type].window, now, ZoneInfo(settings.TIME_ZONE))
    return replace(batch, decisions={**batch.decisions, push_type: own})
