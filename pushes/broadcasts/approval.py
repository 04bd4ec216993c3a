"""Large broadcasts need a second person: who may send which, and the step from draft to waiting."""

from typing import Any

from django.conf import settings

from pushes.models import Broadcast
from pushes.names import BroadcastStatus

PERMISSION = "pushes.approve_broadcast"


def is_needed(broadcast: Broadcast, estimate: int, user: Any) -> bool:
    """Whether `user` may not send this broadcast to `estimate` devices (yet)."""
    most = settings.BROADCAST_APPROVAL_ABOVE
    if not most or estimate <= most:
        return False
    return not (broadcast.status == BroadcastStatus.WAITING and may_approve(broadcast, user))


def may_approve(broadcast: Broadcast, user: Any) -> bool:
    """Nobody approves what they wrote, or have asked approval for (it may be another's draft that they changed),
    whatever their role."""
    return bool(user.has_perm(PERMISSION)) and user.pk not in (broadcast.created_by_id, broadcast.asked_by_id)


def ask(broadcast: Broadcast, user: Any) -> bool:
    """From draft to waiting, asked for by `user`; False when it is no draft any more."""
    drafts = Broadcast.objects.filter(pk=broadcast.pk, status=BroadcastStatus.DRAFT)
    return bool(drafts.update(status=BroadcastStatus.WAITING, asked_by=user))
