"""The page that stands before a re-send, from one delivery, from several of the log, and from a push."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.site.desk import Desk, admin_url
from pushes.console.site.theme import link, when
from pushes.history import resend
from pushes.models import DeliveryResult, PushRecord, Resend
from pushes.names import RESEND_SOURCE, Status
from pushes.people.directory import DirectoryError

PERMISSION = "pushes.resend_deliveryresult"
#: Rows that the page spells out; the others it counts.
MAX_SHOWN = 50


def is_offered(row: DeliveryResult) -> bool:
    """Whether the button stands on a delivery's page. Devices and earlier tries are looked at on the next one."""
    mendable = row.status == Status.SKIPPED and row.reason in resend.OURS_TO_MEND
    return mendable or row.status in (Status.FAILED, Status.UNKNOWN, Status.EXPIRED)


def of_delivery(desk: Desk[DeliveryResult], request: HttpRequest, row: DeliveryResult) -> HttpResponse:
    return _ask(desk, request, [row], back=desk.url("change", row.pk))


def of_selection(
    desk: Desk[DeliveryResult], request: HttpRequest, chosen: QuerySet[DeliveryResult]
) -> HttpResponse | None:
    """The list's action: a page that asks, and its answer."""
    rows = list(chosen.order_by("pk")[: resend.MAX_AT_ONCE + 1])
    if len(rows) > resend.MAX_AT_ONCE:
        messages.error(
            request,
            _("At most %(n)s deliveries can be sent again at a time. Select fewer.") % {"n": resend.MAX_AT_ONCE},
        )
        return None
    return _ask(desk, request, rows, back=request.get_full_path(), action="resend_selected")


def of_push(desk: Desk[PushRecord], request: HttpRequest, record: PushRecord) -> HttpResponse:
    """What failed of one push. The answer is about the rows that the page showed, not about later ones."""
    rows = resend.failed_of(record.pk)
    if "confirm" in request.POST:
        shown = set(request.POST.getlist(ACTION_CHECKBOX_NAME))
        rows = [row for row in rows if str(row.pk) in shown]
    back = desk.url("change", record.pk)
    if not rows:
        messages.info(request, _("No delivery of this push has failed: there is nothing to send again."))
        return HttpResponseRedirect(back)
    return _ask(desk, request, rows, back=back)


def _ask(
    desk: Desk[Any], request: HttpRequest, rows: Sequence[DeliveryResult], *, back: str, action: str = ""
) -> HttpResponse:
    try:
        if request.method == "POST" and "confirm" in request.POST:
            return _answer(desk, request, rows, back, action)
        return _show(desk, request, rows, back, action)
    except DirectoryError as error:
        messages.error(request, _("The account directory is not available. Nothing was sent: %(why)s") % {"why": error})
        return HttpResponseRedirect(back)


def _answer(
    desk: Desk[Any], request: HttpRequest, rows: Sequence[DeliveryResult], back: str, action: str
) -> HttpResponse:
    accepts = "may_be_duplicate" in request.POST
    if not accepts and _is_all_uncertain(rows):
        problem = _("All of these may have arrived. To send them anyway, tick the box that accepts duplicates.")
        return _show(desk, request, rows, back, action, problem=problem)
    sent = resend.resend([row.pk for row in rows], by=request.user.get_username(), accepts_duplicates=accepts)
    _audit(request, rows, sent)
    if sent.record_ids:
        number = len(sent.record_ids)
        done = ngettext("%(n)s delivery was sent again.", "%(n)s deliveries were sent again.", number) % {"n": number}
        numbers = sorted(sent.record_ids.values())
        new = format_html_join(", ", "{}", ((_push_link(number),) for number in numbers[:5]))
        messages.success(request, format_html("{} {}{}", done, new, ", …" if len(numbers) > 5 else ""))
    if sent.refused:
        why = ", ".join(dict.fromkeys(str(refusal.obstacle.label) for refusal in sent.refused))
        text = ngettext("%(n)s was not sent: %(why)s.", "%(n)s were not sent: %(why)s.", len(sent.refused))
        messages.warning(request, text % {"n": len(sent.refused), "why": why})
    return HttpResponseRedirect(back)


def _is_all_uncertain(rows: Iterable[DeliveryResult]) -> bool:
    found = resend.plan(rows)
    return bool(found.sendable) and len(found.uncertain) == len(found.sendable)


def _show(
    desk: Desk[Any],
    request: HttpRequest,
    rows: Sequence[DeliveryResult],
    back: str,
    action: str,
    *,
    problem: str = "",
) -> HttpResponse:
    found = resend.plan(rows)
    records = PushRecord.objects.in_bulk([row.record_id for row in rows[: 2 * MAX_SHOWN]])
    number = len(found.sendable)
    context = {
        "title": _title(number),
        "plan": found,
        "sendable": [(row, records.get(row.record_id)) for row in found.sendable[:MAX_SHOWN]],
        "more_sendable": max(0, number - MAX_SHOWN),
        "refused": found.refused[:MAX_SHOWN],
        "more_refused": max(0, len(found.refused) - MAX_SHOWN),
        "ids": [row.pk for row in rows],
        "checkbox": ACTION_CHECKBOX_NAME,
        "action": action,
        "problem": problem,
        "back": back,
    }
    return desk.show(request, "console/resend.html", context, status=422 if problem else 200)


def _title(number: int) -> str:
    if not number:
        return _("Nothing to send again")
    return ngettext("Send %(n)s delivery again?", "Send %(n)s deliveries again?", number) % {"n": number}


def _audit(request: HttpRequest, rows: Sequence[DeliveryResult], sent: resend.Sent) -> None:
    """In the history of every delivery that was sent again, in one statement."""
    if request.user.pk is None:
        raise PermissionDenied
    content_type = ContentType.objects.get_for_model(DeliveryResult)
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=request.user.pk,
            content_type=content_type,
            object_id=str(row.pk),
            object_repr=str(row)[:200],
            action_flag=CHANGE,
            change_message=_("Sent again as push #%(id)s.") % {"id": sent.record_ids[row.pk]},
        )
        for row in rows
        if row.pk in sent.record_ids
    )


# --- the links between a first and a second try ------------------------------------------------
def second_tries(row: DeliveryResult) -> SafeString | str:
    """What a delivery's page says of its second tries."""
    tries = resend.of_delivery(row.pk)
    return format_html_join("", "{}", ((_one(one, _push_link(one.record_id)),) for one in tries)) if tries else "–"


def first_try(record: PushRecord | None) -> SafeString | str:
    """What a push's page says of the delivery that it is a second try of."""
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
