"""Describe a broadcast's canary, and an automatic stop, in words: for the progress page and the overview's alerts."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes.broadcasts import canary, progress
from pushes.models import Broadcast
from pushes.names import BroadcastPhase
from pushes.text import notes


@dataclass(frozen=True, slots=True)
class Line:
    """One rate beside its limit."""

    label: str
    percent: float
    most: float
    count: int

    @property
    def is_over(self) -> bool:
        return self.percent > self.most


@dataclass(frozen=True, slots=True)
class View:
    answered: int
    listed: int
    lines: list[Line]
    is_waiting: bool


def view(broadcast: Broadcast) -> View | None:
    """Describe the canary; None without a canary, and once the main send has begun."""
    if broadcast.phase not in (BroadcastPhase.CANARY, BroadcastPhase.HALTED):
        return None
    tally, made = canary.recent(broadcast.pk), progress.progress(broadcast.pk).total
    most = canary.limits()
    return View(
        answered=tally.answered,
        listed=made - tally.silent,
        lines=[
            Line(_("failures"), tally.error_percent, most.error_percent, tally.errors),
            Line(_("invalid tokens"), tally.bad_token_percent, most.bad_token_percent, tally.bad_tokens),
        ],
        is_waiting=canary.is_waiting(broadcast),
    )


def halted(broadcast: Broadcast) -> str:
    """Say why the broadcast stopped automatically; "" if it did not."""
    if not broadcast.has_halted:
        return ""
    objection = canary.Objection.read(broadcast.objection)
    if objection is None:
        return notes.words(broadcast.status_reason)
    return notes.words(objection.note)
