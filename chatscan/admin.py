"""The scanners' flight deck: where each stands, how it is doing, and the way back in time."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatscan import positions
from chatscan.models import Rewind, ScannerPosition
from chatscan.names import Mode, Refusal
from chatscan.store import ChatStoreError
from chatscan.watermarks import PositionLostError
from pushes.admin import health
from pushes.admin.desk import ReadOnlyDesk, page
from pushes.admin.theme import badge, when, widgets

#: A scanner that has given no sign of life for so many of its intervals (and at least so long) is stalled.
STALLED_INTERVALS = 3
LEAST_STALLED = timedelta(seconds=30)
SHOWN_REWINDS = 10
MODE_COLOURS = {
    Mode.STARTING: "info",
    Mode.DOORBELL: "success",
    Mode.POLLING: "success",
    Mode.BACKLOGGED: "warning",
    Mode.FAILING: "danger",
    Mode.STOPPED: "",
}


def is_stalled(row: ScannerPosition) -> bool:
    """No sign of life, although nobody stopped it."""
    if row.mode == Mode.STOPPED:
        return False
    patience = max(timedelta(seconds=row.interval_seconds * STALLED_INTERVALS), LEAST_STALLED)
    return row.heartbeat_at is None or timezone.now() - row.heartbeat_at > patience


def mode_badge(row: ScannerPosition) -> SafeString:
    if is_stalled(row):
        return badge(_("no sign of life"), "danger", row.mode_detail)
    return badge(row.get_mode_display(), MODE_COLOURS[Mode(row.mode)], row.mode_detail)


def panel(_request: HttpRequest) -> dict[str, Any]:
    """The scanners' part of the landing page."""
    return {"scanners": [(row, mode_badge(row)) for row in ScannerPosition.objects.order_by("kind")]}


health.PANELS.append(health.Panel("console/scanners_panel.html", panel, "chatscan.view_scannerposition"))


class RewindForm(forms.Form):
    to_time = forms.SplitDateTimeField(
        label=gettext_lazy("Back to"), widget=widgets.UnfoldAdminSplitDateTimeWidget(), required=True
    )


@admin.register(ScannerPosition)
class Scanners(ReadOnlyDesk[ScannerPosition]):
    list_display = ("name", "state", "lag", "read_up_to", "submitted", "last_failure")
    list_display_links = ("name",)
    sortable_by = ()
    actions_detail = ("rewind_page",)
    change_form_outer_after_template = "console/scanner.html"
    empty_title = gettext_lazy("No scanner has started yet")
    empty_text = gettext_lazy("Start them with ./push.sh start, or manage.py runscanner group.")
    fieldsets = (
        (None, {"fields": (("state", "mode_detail"), ("lag", "speed"), ("read_up_to", "scanned", "alive"))}),
        (
            gettext_lazy("So far"),
            {"fields": (("read", "accepted"), ("duplicates", "late", "odd"), "refusals")},
        ),
        (gettext_lazy("Trouble"), {"fields": (("last_error", "failed"),)}),
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rewinds = Rewind.objects.filter(scanner_id=object_id).select_related("by")[:SHOWN_REWINDS]
        context = {"rewinds": rewinds, "show_close": True, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @page(gettext_lazy("Rewind"), permission="chatscan.change_scannerposition", icon="history", variant="warning")
    def rewind_page(self, request: HttpRequest, row: ScannerPosition) -> HttpResponse:
        """Choose a time, see in a rehearsal what would be pushed, confirm. Only the confirmation moves anything."""
        if request.method != "POST":
            earlier = timezone.localtime(row.position_at or timezone.now()) - timedelta(hours=1)
            return self._rewind_form(request, row, RewindForm(initial={"to_time": earlier.replace(second=0)}))
        form = RewindForm(request.POST)
        if not form.is_valid():
            return self._rewind_form(request, row, form)
        to_time = form.cleaned_data["to_time"]
        try:
            if "confirm" in request.POST:
                return self._rewind(request, row, to_time)
            preview = positions.preview_rewind(row.kind, to_time)
        except (positions.RewindRefusedError, ChatStoreError, PositionLostError) as refusal:
            form.add_error("to_time", str(refusal))
            return self._rewind_form(request, row, form)
        return self._show(
            request, row, {"preview": preview, "refused": _named(preview.refused), "posted": request.POST}
        )

    def _rewind(self, request: HttpRequest, row: ScannerPosition, to_time: Any) -> HttpResponse:
        by = request.user if request.user.is_authenticated else None
        positions.rewind(row.kind, to_time, by)
        done = _("The scanner reads again from %(time)s.") % {"time": timezone.localtime(to_time).isoformat(" ")}
        self.audit(request, row, done)
        messages.success(request, done)
        return HttpResponseRedirect(self.url("change", row.pk))

    def _rewind_form(self, request: HttpRequest, row: ScannerPosition, form: RewindForm) -> HttpResponse:
        return self._show(request, row, {"form": form}, status=422 if form.errors else 200)

    def _show(
        self, request: HttpRequest, row: ScannerPosition, more: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rewind"),
            "opts": self.opts,
            "original": row,
            "media": self.media + RewindForm().media,
            "back": self.url("change", row.pk),
            **more,
        }
        return TemplateResponse(request, "console/rewind.html", context, status=status)

    @admin.display(description=gettext_lazy("scanner"))
    def name(self, row: ScannerPosition) -> SafeString:
        return format_html('<span class="nowrap">{}</span>', row.get_kind_display())

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: ScannerPosition) -> SafeString:
        return mode_badge(row)

    @admin.display(description=gettext_lazy("lag"))
    def lag(self, row: ScannerPosition) -> SafeString:
        return format_html('<span class="nowrap">{} s</span>', f"{row.lag_seconds:.1f}")

    @admin.display(description=gettext_lazy("messages per second"))
    def speed(self, row: ScannerPosition) -> str:
        return f"{row.per_second:.1f}"

    @admin.display(description=gettext_lazy("read up to"))
    def read_up_to(self, row: ScannerPosition) -> Any:
        return when(row.position_at)

    @admin.display(description=gettext_lazy("pushes submitted"))
    def submitted(self, row: ScannerPosition) -> str:
        return f"{row.accepted:,}"

    @admin.display(description=gettext_lazy("last read"))
    def scanned(self, row: ScannerPosition) -> Any:
        return when(row.scanned_at)

    @admin.display(description=gettext_lazy("last sign of life"))
    def alive(self, row: ScannerPosition) -> Any:
        return when(row.heartbeat_at)

    @admin.display(description=gettext_lazy("last error"))
    def last_failure(self, row: ScannerPosition) -> SafeString | str:
        if not row.last_error:
            return "–"
        return format_html('<span class="console-preview" title="{}">{}</span>', row.last_error, row.last_error)

    @admin.display(description=gettext_lazy("at"))
    def failed(self, row: ScannerPosition) -> Any:
        return when(row.last_error_at)

    @admin.display(description=gettext_lazy("not pushed, by reason"))
    def refusals(self, row: ScannerPosition) -> SafeString | str:
        return format_html_join("", "<div>{}: {}</div>", _named(row.refused)) or "–"


def _named(counts: Any) -> list[tuple[str, int]]:
    """Reasons in words, the most frequent first."""
    labels = dict(Refusal.choices)
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [(str(labels.get(reason, reason)), count) for reason, count in ordered]
