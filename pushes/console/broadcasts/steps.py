"""The steps of a broadcast as an operator takes them: done, or refused with what is so instead."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from pushes.broadcasts import lifecycle, rows
from pushes.console.broadcasts import words
from pushes.console.site.confirm import RefusedError
from pushes.models import Broadcast
from pushes.names import BroadcastStatus
from pushes.submit import InvalidMessageError


def launch(broadcast: Broadcast, user: Any) -> str:
    launched = move(lifecycle.launch, broadcast, user)
    if launched.status == BroadcastStatus.SCHEDULED:
        return _("The broadcast is scheduled.")
    return _("The broadcast is being sent.")


def move(step: Callable[..., Broadcast], broadcast: Broadcast, user: Any) -> Broadcast:
    try:
        return step(broadcast.pk, by=user)
    except rows.BroadcastStateError:
        now = Broadcast.objects.get(pk=broadcast.pk)
        raise RefusedError(
            _("Nothing was changed: the broadcast is now “%(state)s”.") % {"state": now.get_status_display()}
        ) from None
    except InvalidMessageError as error:
        raise RefusedError(words.sentence(str(error))) from None
