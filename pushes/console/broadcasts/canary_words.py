"""The canary of a broadcast, and why one has halted, in words: for the progress page and the overview's alerts."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from pushes.broadcasts import canary, progress
from pushes.history import stored_words
from pushes.models import Broadcast
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
    answered: int
    listed: int
    lines: list[Line]
    is_waiting: bool


def view(broadcast: Broadcast) -> View | None:
    """None without a canary, and once the rest is on its way."""
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
    """Why it has halted by itself; "" when it has not."""
    if not broadcast.has_halted:
        return ""
    objection = canary.Objection.read(broadcast.objection)
    if objection is None:
        return stored_words.words(broadcast.status_reason, "broadcast")
    words = {
        "count": f"{objection.number:,}",
        "answered": f"{objection.answered:,}",
        "percent": f"{objection.percent:.1f}",
        "most": f"{objection.most_percent:g}",
        "seconds": objection.seconds,
    }
    if objection.seconds:
        return _on_its_way(objection.why, words)
    if objection.why == canary.SILENCE:
        return _("None of the %(count)s canary devices has returned a result.") % words
    if objection.why == canary.ERRORS:
        return _("%(count)s of %(answered)s canary results are failures: %(percent)s %% (limit: %(most)s %%).") % words
    return _("%(count)s of %(answered)s canary tokens are invalid: %(percent)s %% (limit: %(most)s %%).") % words


def _on_its_way(why: str, words: dict[str, object]) -> str:
    if why == canary.ERRORS:
        return (
            _(
                "%(count)s of %(answered)s results in the last %(seconds)s s are failures: %(percent)s %% (limit: "
                "%(most)s %%)."
            )
            % words
        )
    return (
        _(
            "%(count)s of %(answered)s tokens in the last %(seconds)s s are invalid: %(percent)s %% (limit: %(most)s "
            "%%)."
        )
        % words
    )
