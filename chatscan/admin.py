"""The scanners' pages: position, state and rewind."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatscan import positions
from chatscan.models import Rewind, ScannerPosition
from chatscan.mongo.connection import ChatStoreError
from chatscan.names import Mode, Refusal, Stall
from chatscan.scanning import stalls
from chatscan.scanning.watermarks import PositionLostError
from pushes.console.delivery_log import passed_over
from pushes.console.site.desk import ReadOnlyDesk, admin_url
from pushes.console.site.pages import CONFIRMED, Done, page
from pushes.console.site.parts import Part
from pushes.console.site.theme import amount, badge, when, widgets
from pushes.storage import clocks
from pushes.text import notes

SHOWN_REWINDS = 10
MODE_COLOURS = {
    Mode.STARTING: "info",
    Mode.DOORBELL: "success",
    Mode.POLLING: "success",
    Mode.DEAF: "warning",
    Mode.BACKLOGGED: "warning",
    Mode.FAILING: "danger",
    Mode.STOPPED: "",
}


#: What to do about each, on the scanner's page.
ADVICE = {
    Stall.DEAD: gettext_lazy("Check ./push.sh status and the scanner's log; ./push.sh start starts missing processes."),
    Stall.FAILING: gettext_lazy(
        "Nothing is lost: fix the last error below, and the scanner resumes from its position."
    ),
    Stall.WAITING: gettext_lazy(
        "The lane's workers cannot keep up: check the waiting jobs on the overview, and add workers."
    ),
    Stall.BEHIND: gettext_lazy(
        "The scanner is catching up. If the lag keeps growing, check the index advice and the log."
    ),
    Stall.DEAF: gettext_lazy(
        "Messages are still read, but up to one interval late. The stream is reopened automatically; if that does not "
        "help, check MongoDB's replica set."
    ),
}


def mode_badge(row: ScannerPosition) -> SafeString:
    wrong = stalls.stall(row, clocks.now())
    if wrong is None or wrong is Stall.DEAF:
        return badge(row.get_mode_display(), MODE_COLOURS[Mode(row.mode)], notes.words(row.mode_detail))
    return badge(wrong.label, "danger", notes.words(row.mode_detail))


def lag_shown(row: ScannerPosition) -> SafeString:
    now = clocks.now()
    lag = stalls.lag_seconds(row, now)
    shown = f"{lag:.1f} s" if lag < 60 else amount(timedelta(seconds=lag))
    return format_html('<span class="nowrap">{}</span>', shown)


def panel(_request: HttpRequest) -> dict[str, Any]:
    """Return the scanners' part of the overview."""
    rows = ScannerPosition.objects.defer("cursors", "floors").order_by("kind")
    return {"scanners": [(row, mode_badge(row), lag_shown(row)) for row in rows]}


def alarms() -> Iterator[tuple[str, str]]:
    """Return a sentence and a page for each stalled scanner."""
    now = clocks.now()
    for row in ScannerPosition.objects.defer("cursors", "floors").order_by("kind"):
        if wrong := stalls.stall(row, now):
            text = _("The %(kind)s scanner has a problem: %(what)s. Lag: %(lag)s.") % {
                "kind": row.get_kind_display(),
                "what": wrong.label,
                "lag": amount(timedelta(seconds=stalls.lag_seconds(row, now))),
            }
            yield text, admin_url(ScannerPosition, "change", row.pk)


#: The scanners' part of the console, as the CONSOLE_PARTS setting names it.
PART = Part("chatscan.view_scannerposition", "console/scanners_panel.html", panel, alarms, dict(Refusal.choices))


class RewindForm(forms.Form):
    to_time = forms.SplitDateTimeField(
        label=gettext_lazy("Rewind to"), widget=widgets.UnfoldAdminSplitDateTimeWidget(), required=True
    )


@admin.register(ScannerPosition)
class Scanners(ReadOnlyDesk[ScannerPosition]):
    list_display = ("name", "state", "lag", "speed", "read_up_to", "last_failure")
    list_display_links = ("name",)
    sortable_by = ()
    actions_detail = ("rewind_page",)
    list_before_template = "console/scanners_live.html"
    change_form_outer_before_template = "console/scanner_alarm.html"
    change_form_outer_after_template = "console/scanner.html"
    empty_title = gettext_lazy("No scanner has started yet")
    empty_text = gettext_lazy("Start the scanners with ./push.sh start, or manage.py runscanner group.")
    fieldsets = (
        (None, {"fields": (("state", "mode_detail_shown"), ("lag", "speed"), ("read_up_to", "scanned", "alive"))}),
        (
            gettext_lazy("Totals"),
            {"fields": (("read", "accepted"), ("duplicates", "late", "odd"), "refusals")},
        ),
        (gettext_lazy("Errors"), {"fields": (("last_error_shown", "failed"),)}),
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {"show_close": True, **(_panels(row) if row else {}), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @page(gettext_lazy("Rewind"), permission="chatscan.change_scannerposition", icon="history", variant="warning")
    def rewind_page(self, request: HttpRequest, row: ScannerPosition) -> Done | HttpResponse:
        """Choose a time, preview what would be pushed, confirm. Only the confirmation changes anything."""
        if request.method != "POST":
            earlier = timezone.localtime(row.position_at or clocks.now()) - timedelta(hours=1)
            return self._rewind_form(request, row, RewindForm(initial={"to_time": earlier.replace(second=0)}))
        form = RewindForm(request.POST)
        if not form.is_valid():
            return self._rewind_form(request, row, form)
        to_time = form.cleaned_data["to_time"]
        try:
            if CONFIRMED in request.POST:
                return _rewind(request, row, to_time)
            preview = positions.preview_rewind(row.kind, to_time)
        except (positions.RewindRefusedError, ChatStoreError, PositionLostError) as refusal:
            form.add_error("to_time", _why(refusal))
            return self._rewind_form(request, row, form)
        return self._show(
            request, row, {"preview": preview, "refused": _named(preview.refused), "posted": request.POST}
        )

    def _rewind_form(self, request: HttpRequest, row: ScannerPosition, form: RewindForm) -> HttpResponse:
        return self._show(request, row, {"form": form}, status=422 if form.errors else 200)

    def _show(
        self, request: HttpRequest, row: ScannerPosition, more: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        context = {
            "title": _("Rewind"),
            "media": self.media + RewindForm().media,
            "back": self.url("change", row.pk),
            **more,
        }
        return self.show(request, "console/rewind.html", context, row=row, status=status)

    @admin.display(description=gettext_lazy("scanner"))
    def name(self, row: ScannerPosition) -> SafeString:
        return format_html('<span class="nowrap">{}</span>', row.get_kind_display())

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: ScannerPosition) -> SafeString:
        return mode_badge(row)

    @admin.display(description=gettext_lazy("lag"))
    def lag(self, row: ScannerPosition) -> SafeString:
        return lag_shown(row)

    @admin.display(description=gettext_lazy("messages per second"))
    def speed(self, row: ScannerPosition) -> str:
        return f"{row.per_second:.1f}"

    @admin.display(description=gettext_lazy("read up to"))
    def read_up_to(self, row: ScannerPosition) -> Any:
        return when(row.position_at)

    @admin.display(description=gettext_lazy("last read"))
    def scanned(self, row: ScannerPosition) -> Any:
        return when(row.scanned_at)

    @admin.display(description=gettext_lazy("last heartbeat"))
    def alive(self, row: ScannerPosition) -> Any:
        return when(row.heartbeat_at)

    @admin.display(description=gettext_lazy("last error"))
    def last_failure(self, row: ScannerPosition) -> SafeString | str:
        if not row.last_error:
            return "–"
        text = notes.words(row.last_error)
        return format_html('<span class="console-why" title="{}">{}</span>', text, text)

    @admin.display(description=gettext_lazy("last error"))
    def last_error_shown(self, row: ScannerPosition) -> str:
        return notes.words(row.last_error) or "–"

    @admin.display(description=gettext_lazy("reason"))
    def mode_detail_shown(self, row: ScannerPosition) -> str:
        return notes.words(row.mode_detail) or "–"

    @admin.display(description=gettext_lazy("at"))
    def failed(self, row: ScannerPosition) -> Any:
        return when(row.last_error_at)

    @admin.display(description=gettext_lazy("not pushed, by reason"))
    def refusals(self, row: ScannerPosition) -> SafeString | str:
        return format_html_join("", "<div>{}: {}</div>", _named(row.refused)) or "–"


def _why(refusal: Exception) -> str:
    if isinstance(refusal, PositionLostError):
        return _("The scanner moved in the meantime, so nothing was changed. Try again.")
    return notes.words(refusal.note) if isinstance(refusal, ChatStoreError) else str(refusal)


def _rewind(request: HttpRequest, row: ScannerPosition, to_time: datetime) -> Done:
    positions.rewind(row.kind, to_time, request.user if request.user.is_authenticated else None)
    done = _("Rewound: the scanner reads again from %(time)s.") % {"time": timezone.localtime(to_time).isoformat(" ")}
    return Done(done, history=[(row, done)])


def _panels(row: ScannerPosition) -> dict[str, Any]:
    now = clocks.now()
    wrong = stalls.stall(row, now)
    return {
        "stall": wrong,
        "stall_advice": ADVICE[wrong] if wrong else "",
        "index_advice": row.advice,
        "rewinds": Rewind.objects.filter(scanner=row).select_related("by")[:SHOWN_REWINDS],
        "passed_over": passed_over.of_kind(row.kind, now),
    }


def _named(counts: Any) -> list[tuple[str, int]]:
    """Return the reasons in words, most frequent first."""
    labels = dict(Refusal.choices)
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [(str(labels.get(reason, reason)), count) for reason, count in ordered]
