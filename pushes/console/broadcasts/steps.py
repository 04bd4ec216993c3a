"""The steps of a broadcast that an operator takes: done, or refused with the broadcast's actual state."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.broadcasts import approval, lifecycle, rows, watch
from pushes.console.broadcasts import canary_words, review
from pushes.console.site.desk import Desk
from pushes.console.site.pages import Act, Question, RefusedError, page
from pushes.models import Broadcast
from pushes.names import BroadcastStatus
from pushes.submit import InvalidMessageError
from pushes.text import notes

EDITABLE = (BroadcastStatus.DRAFT,)
OVER = (BroadcastStatus.FINISHED, BroadcastStatus.CANCELLED)


def in_state(*states: str) -> Callable[[Broadcast], bool]:
    return lambda broadcast: broadcast.status in states


class StepPages(Desk[Broadcast]):
    """The pages that stop a broadcast, and the pages that continue it."""

    @page(
        gettext_lazy("Pause"),
        permission="pushes.send_broadcast",
        icon="pause",
        variant="warning",
        applies=in_state(BroadcastStatus.SENDING),
    )
    def pause_page(self, request: HttpRequest, broadcast: Broadcast) -> Question:
        return Question(
            title=_("Pause “%(title)s”?") % {"title": broadcast.title},
            text=_("Unsent pushes wait until you resume. Pushes being sent right now still go out."),
            button=_("Pause"),
            act=_step(lifecycle.pause, broadcast, request.user, _("Paused.")),
            back=self.url("progress_page", broadcast.pk),
        )

    @page(
        gettext_lazy("Resume"),
        permission="pushes.send_broadcast",
        icon="play_arrow",
        variant="primary",
        applies=lambda row: row.status == BroadcastStatus.PAUSED and not row.has_halted,
    )
    def resume_page(self, request: HttpRequest, broadcast: Broadcast) -> Question:
        return Question(
            title=_("Resume “%(title)s”?") % {"title": broadcast.title},
            text=_("Sending continues where it stopped. No one receives the message twice."),
            button=_("Resume"),
            act=_step(lifecycle.resume, broadcast, request.user, _("Resumed.")),
            back=self.url("progress_page", broadcast.pk),
        )

    @page(
        gettext_lazy("Continue anyway"),
        permission="pushes.send_broadcast",
        icon="play_arrow",
        variant="warning",
        applies=lambda row: row.has_halted,
    )
    def go_on_page(self, request: HttpRequest, broadcast: Broadcast) -> Question:
        why = canary_words.halted(broadcast)
        done = _("Continued after an automatic stop: %(why)s") % {"why": why}
        return Question(
            title=_("Send “%(title)s” to everyone else anyway?") % {"title": broadcast.title},
            text=_(
                "The broadcast was stopped automatically. If you continue, monitoring goes on: sending stops again for "
                "any other reason, or if this rate rises by another half."
            ),
            button=_("Continue anyway"),
            act=_step(watch.go_on, broadcast, request.user, done),
            back=self.url("progress_page", broadcast.pk),
            warnings=[why] if why else [],
            seen=review.digest(broadcast.objection),
            is_dangerous=True,
        )

    @page(
        gettext_lazy("Cancel"),
        permission="pushes.send_broadcast",
        icon="cancel",
        variant="danger",
        applies=lambda row: row.status not in (*OVER, *EDITABLE),
    )
    def cancel_page(self, request: HttpRequest, broadcast: Broadcast) -> Question:
        return Question(
            title=_("Cancel “%(title)s” permanently?") % {"title": broadcast.title},
            text=_(
                "Anything not yet sent will not be sent. This cannot be undone; you can copy it as a new broadcast."
            ),
            button=_("Cancel the broadcast"),
            act=_step(lifecycle.cancel, broadcast, request.user, _("Cancelled.")),
            back=self.url("progress_page", broadcast.pk),
            keep=_("Keep it"),
            is_dangerous=True,
        )


def launch(broadcast: Broadcast, user: Any, _data: dict[str, Any]) -> str:
    launched = _move(lifecycle.launch, broadcast, user)
    if launched.status == BroadcastStatus.SCHEDULED:
        return _("The broadcast is scheduled.")
    return _("The broadcast is being sent.")


def ask_for_approval(broadcast: Broadcast, user: Any, _data: dict[str, Any]) -> str:
    if not approval.ask(broadcast, user):
        raise RefusedError(_("This broadcast was already launched. Nothing is sent twice."))
    return _("The broadcast is waiting for approval.")


def _step(step: Callable[..., Broadcast], broadcast: Broadcast, user: Any, done: str) -> Act:
    def act(_data: dict[str, Any]) -> str:
        _move(step, broadcast, user)
        return done

    return act


def _move(step: Callable[..., Broadcast], broadcast: Broadcast, user: Any) -> Broadcast:
    try:
        return step(broadcast.pk, by=user)
    except rows.BroadcastStateError:
        now = Broadcast.objects.get(pk=broadcast.pk)
        raise RefusedError(
            _("Nothing was changed: the broadcast is now “%(state)s”.") % {"state": now.get_status_display()}
        ) from None
    except InvalidMessageError as error:
        raise RefusedError(notes.words(error.note)) from None
