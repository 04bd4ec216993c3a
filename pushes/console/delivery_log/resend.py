"""The page before a resend: of one delivery, of several deliveries of the log, or of a push."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.site.desk import Desk, admin_url
from pushes.console.site.pages import CONFIRMED, Done, Question, RefusedError
from pushes.console.site.theme import link, when
from pushes.history import resend
from pushes.models import DeliveryResult, PushRecord, Resend
from pushes.names import RESEND_SOURCE, Status
from pushes.people.directory import DirectoryError
from pushes.text import notes

PERMISSION = "pushes.resend_deliveryresult"
#: Rows that the page spells out; the others it counts.
MAX_SHOWN = 50


def is_offered(row: DeliveryResult) -> bool:
    """Whether a delivery's page has the button. Devices and earlier attempts are checked on the next page."""
    mendable = row.status == Status.SKIPPED and row.reason in resend.OURS_TO_MEND
    return mendable or row.status in (Status.FAILED, Status.UNKNOWN, Status.EXPIRED)


class ResendForm(forms.Form):
    """A box to tick if some of the deliveries may have arrived. Without the tick those deliveries are not sent
    again."""

    may_be_duplicate = forms.BooleanField(required=False)

    def __init__(self, *args: Any, plan: resend.Plan, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number = len(plan.uncertain)
        self.is_all_uncertain = 0 < len(plan.sendable) == number
        words = ngettext(
            "%(n)s of them may have arrived the first time. Send it anyway; it may arrive twice.",
            "%(n)s of them may have arrived the first time. Send them anyway; they may arrive twice.",
            number,
        )
        self.fields["may_be_duplicate"].label = words % {"n": number}
        if not number:
            del self.fields["may_be_duplicate"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.is_all_uncertain and not cleaned["may_be_duplicate"]:
            raise forms.ValidationError(
                _("All of these may have arrived. To send them anyway, tick the box that accepts duplicates.")
            )
        return cleaned


def of_selection(request: HttpRequest, chosen: QuerySet[DeliveryResult]) -> Question:
    rows = list(chosen.order_by("pk")[: resend.MAX_AT_ONCE + 1])
    if len(rows) > resend.MAX_AT_ONCE:
        raise RefusedError(
            _("At most %(n)s deliveries can be sent again at a time. Select fewer.") % {"n": resend.MAX_AT_ONCE}
        )
    return question(request, rows)


def of_push(desk: Desk[PushRecord], request: HttpRequest, record: PushRecord) -> Question | HttpResponse:
    """Ask about the failed deliveries of one push. The answer concerns the rows on the page, not later rows."""
    rows = resend.failed_of(record.pk)
    if CONFIRMED in request.POST:
        shown = set(request.POST.getlist(ACTION_CHECKBOX_NAME))
        rows = [row for row in rows if str(row.pk) in shown]
    if not rows:
        messages.info(request, _("No delivery of this push has failed: there is nothing to send again."))
        return HttpResponseRedirect(desk.url("change", record.pk))
    return question(request, rows)


def question(request: HttpRequest, rows: Sequence[DeliveryResult]) -> Question:
    with _directory_asked():
        plan = resend.plan(rows)
    number = len(plan.sendable)
    return Question(
        title=_title(number),
        text=_(
            "Each is submitted as a new push to that device only. Accounts that have turned pushes off, logged out or "
            "come online in the meantime are skipped; the new push shows why."
        )
        if number
        else "",
        button=_("Send again") if number else "",
        act=lambda data: _send(request, rows, accepts_duplicates=data.get("may_be_duplicate", False)),
        form=partial(ResendForm, plan=plan),
        hidden={ACTION_CHECKBOX_NAME: [str(row.pk) for row in rows]},
        template="console/resend.html",
        context=_shown(plan),
    )


@contextmanager
def _directory_asked() -> Iterator[None]:
    try:
        yield
    except DirectoryError as error:
        raise RefusedError(
            _("The account directory is not available. Nothing was sent: %(why)s") % {"why": notes.words(error.note)}
        ) from None


def _send(request: HttpRequest, rows: Sequence[DeliveryResult], *, accepts_duplicates: bool) -> Done:
    by = request.user.get_username()
    with _directory_asked():
        sent = resend.resend([row.pk for row in rows], by=by, accepts_duplicates=accepts_duplicates)
    words = _("Sent again as push #%(id)s.")
    made = [(row, words % {"id": sent.record_ids[row.pk]}) for row in rows if row.pk in sent.record_ids]
    return Done(_said(sorted(sent.record_ids.values())), _refused(sent.refused), history=made)


def _said(numbers: Sequence[int]) -> str:
    """Say what was done; `numbers` are the numbers of the new pushes."""
    if not numbers:
        return ""
    done = ngettext("%(n)s delivery was sent again.", "%(n)s deliveries were sent again.", len(numbers))
    new = format_html_join(", ", "{}", ((_push_link(number),) for number in numbers[:5]))
    return format_html("{} {}{}", done % {"n": len(numbers)}, new, ", …" if len(numbers) > 5 else "")


def _refused(refused: Sequence[resend.Refusal]) -> list[str]:
    if not refused:
        return []
    why = ", ".join(dict.fromkeys(str(refusal.obstacle.label) for refusal in refused))
    text = ngettext("%(n)s was not sent: %(why)s.", "%(n)s were not sent: %(why)s.", len(refused))
    return [text % {"n": len(refused), "why": why}]


def _shown(plan: resend.Plan) -> dict[str, Any]:
    sendable, refused = plan.sendable[:MAX_SHOWN], plan.refused[:MAX_SHOWN]
    records = PushRecord.objects.in_bulk([row.record_id for row in sendable])
    return {
        "plan": plan,
        "sendable": [(row, records.get(row.record_id)) for row in sendable],
        "more_sendable": len(plan.sendable) - len(sendable),
        "refused": refused,
        "more_refused": len(plan.refused) - len(refused),
    }


def _title(number: int) -> str:
    if not number:
        return _("Nothing to send again")
    return ngettext("Send %(n)s delivery again?", "Send %(n)s deliveries again?", number) % {"n": number}


# --- the links between a first and a second try ------------------------------------------------
def second_tries(row: DeliveryResult) -> SafeString | str:
    """List a delivery's resends, for the delivery's page."""
    tries = resend.of_delivery(row.pk)
    return format_html_join("", "{}", ((_one(one, _push_link(one.record_id)),) for one in tries)) if tries else "–"


def first_try(record: PushRecord | None) -> SafeString | str:
    """Describe the delivery that a push sends again, for the push's page."""
    one = resend.of_record(record.pk) if record is not None and record.source == RESEND_SOURCE else None
    if one is None:
        return "–"
    name = _("delivery #%(id)s") % {"id": one.delivery_id}
    is_there = DeliveryResult.objects.filter(pk=one.delivery_id).exists()
    shown = link(admin_url(DeliveryResult, "change", one.delivery_id), name) if is_there else name
    return _one(one, shown)


def _one(one: Resend, shown: SafeString | str) -> SafeString:
    return format_html('<span class="console-line">{} · {} · {}</span>', shown, one.by, when(one.created_at))


def _push_link(record_id: int) -> SafeString:
    return link(admin_url(PushRecord, "change", record_id), f"#{record_id}")
