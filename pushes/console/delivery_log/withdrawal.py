"""The page before the withdrawal of a push: the push's progress, and what can still be withdrawn."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.site.pages import Question, RefusedError
from pushes.distribution import withdrawal
from pushes.distribution.withdrawal import Withdrawal
from pushes.models import PushRecord


def question(request: HttpRequest, row: PushRecord) -> Question:
    so_far = withdrawal.counted(row)

    def withdraw(_data: dict[str, Any]) -> str:
        if not withdrawal.is_possible(row):
            raise RefusedError(_("This push has no unsent deliveries to withdraw."))
        return told(withdrawal.withdraw(row.pk, by=request.user.get_username()))

    return Question(
        title=_("Withdraw push %(push)s?") % {"push": row},
        text=_("Unsent deliveries will not be sent or retried. Sent messages cannot be recalled."),
        button=_("Withdraw the push"),
        act=withdraw,
        facts=[
            (_("Status"), row.get_status_display()),
            (_("Not sent yet"), so_far.under_way),
            (_("Already sent"), so_far.already_sent),
        ],
        is_dangerous=True,
    )


def told(done: Withdrawal) -> str:
    """The message for the operator, and the entry for the push's history."""
    text = ngettext("%(n)s delivery was withdrawn.", "%(n)s deliveries were withdrawn.", done.withdrawn)
    parts = [text % {"n": done.withdrawn}]
    if done.already_sent:
        text = ngettext("%(n)s had already been sent.", "%(n)s had already been sent.", done.already_sent)
        parts.append(text % {"n": done.already_sent})
    if done.under_way:
        text = ngettext("%(n)s was being sent at that moment.", "%(n)s were being sent at that moment.", done.under_way)
        parts.append(text % {"n": done.under_way})
    return " ".join(parts)
