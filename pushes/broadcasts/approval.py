"""Approval of large broadcasts by a second person: who may send which, and the step from draft to waiting."""

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
    """Whether `user` may approve the broadcast: never its author, nor the person who asked for the approval (perhaps
    after changing another person's draft), whatever their role."""
    return bool(user.has_perm(PERMISSION)) and user.pk not in (broadcast.created_by_id, broadcast.asked_by_id)


def ask(broadcast: Broadcast, user: Any) -> bool:
    """Ask for approval on behalf of `user`: from draft to waiting. False when it is no longer a draft."""
    drafts = Broadcast.objects.filter(pk=broadcast.pk, status=BroadcastStatus.DRAFT)
    return bool(drafts.update(status=BroadcastStatus.WAITING, asked_by=user))
