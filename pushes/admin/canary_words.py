"""The canary of a broadcast in words, for the progress page and for the overview's alerts."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes import canary
from pushes.models import Broadcast, PushRecord
from pushes.names import BroadcastPhase


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
    """`halted` says why it has halted, if it has."""

    phase: str
    answered: int
    listed: int
    lines: list[Line]
    is_waiting: bool
    halted: str


def view(broadcast: Broadcast) -> View | None:
    """None without a canary, and once the rest is on its way."""
    if broadcast.phase not in (BroadcastPhase.CANARY, BroadcastPhase.HALTED):
        return None
    record_id = PushRecord.objects.filter(broadcast=broadcast).values_list("id", flat=True).first()
    tally = canary.tally(record_id) if record_id else canary.Tally()
    most = canary.limits()
    return View(
        phase=broadcast.phase,
        answered=tally.answered,
        listed=tally.answered + tally.troubled + tally.waiting,
        lines=[
            Line(_("failures"), tally.error_percent, most.error_percent, tally.errors),
            Line(_("invalid tokens"), tally.bad_token_percent, most.bad_token_percent, tally.bad_tokens),
        ],
        is_waiting=canary.is_waiting(broadcast),
        halted=halted(broadcast),
    )


def halted(broadcast: Broadcast) -> str:
    """Why it has halted by itself; "" when it has not."""
    if broadcast.phase != BroadcastPhase.HALTED or not broadcast.objection:
        return ""
    objection = canary.Objection(**broadcast.objection)
    words = {
        "count": f"{objection.number:,}",
        "answered": f"{objection.answered:,}",
        "percent": f"{100 * objection.number / objection.answered:.1f}" if objection.answered else "–",
        "most": f"{objection.most_percent:g}",
    }
    if objection.why == canary.SILENCE:
        return _("None of the %(count)s devices of its canary has an outcome.") % words
    if objection.why == canary.ERRORS:
        return (
            _("%(count)s of %(answered)s answers of its canary are failures: %(percent)s %%, the limit is %(most)s %%.")
            % words
        )
    return (
        _("%(count)s of %(answered)s tokens of its canary are invalid: %(percent)s %%, the limit is %(most)s %%.")
        % words
    )
