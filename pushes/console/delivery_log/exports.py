"""Exports of the delivery log: order an export, watch it, download the file, cancel it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from pushes.console.site import long_list
from pushes.console.site.desk import Desk, ReadOnlyDesk, admin_url
from pushes.console.site.pages import Done, Question, RefusedError, page
from pushes.console.site.theme import link, status_badge, when, widgets
from pushes.history import exports, log_query
from pushes.history.export_rows import PERMISSION
from pushes.models import DeliveryResult, Export
from pushes.names import ExportStatus
from pushes.storage import clocks

SEES_ALL = "pushes.see_every_export"
REVEALS = "pushes.reveal_device"


class ExportForm(forms.Form):
    shows_tokens = forms.BooleanField(
        label=gettext_lazy("Include full device tokens"),
        required=False,
        widget=widgets.UnfoldBooleanSwitchWidget(),
        help_text=gettext_lazy("Otherwise tokens are masked. Anyone with a full token can push to that phone."),
    )


def question(desk: Desk[DeliveryResult], request: HttpRequest) -> Question:
    """Ask what to export; the address has the list's filters and search."""
    query = frozen(request.GET)
    understood = shown(desk, request, query)
    may_reveal = request.user.has_perm(REVEALS)

    def order(data: dict[str, Any]) -> Done:
        export = Export(
            created_by_id=request.user.pk or 0,
            query=query,
            understood=in_words(understood)[:300],
            language=get_language() or "en",
            shows_tokens=bool(may_reveal and data.get("shows_tokens")),
        )
        try:
            exports.order(export)
        except exports.TooManyError:
            most = exports.MAX_WAITING
            raise RefusedError(
                _("You have %(n)s exports in progress: wait for one to finish, or cancel one.") % {"n": most}
            ) from None
        LogEntry.objects.log_actions(request.user.pk or 0, [export], ADDITION, _("Requested."), single_object=True)
        watched = HttpResponseRedirect(admin_url(Export, "change", export.pk))
        return Done(_("Export started."), page=watched)

    return Question(
        title=_("Export these deliveries as CSV?"),
        text=_(
            "The file is created in the background, newest rows first, up to %(most)s rows, and kept for %(days)s "
            "days. Rows added later are not included."
        )
        % {"most": f"{exports.MAX_ROWS:,}", "days": exports.KEPT.days},
        button=_("Export"),
        act=order,
        facts=understood or [(_("Filters"), _("none: the entire log"))],
        form=ExportForm if may_reveal else forms.Form,
        warnings=[] if query else [_("The log may exceed the row limit of a file: narrow it by time, status or kind.")],
        back=f"{desk.url('changelist')}?{query}",
    )


def frozen(query: QueryDict) -> str:
    """Return the list's query without its page, and with relative times ("the last hour") as moments."""
    kept = query.copy()
    for name in (long_list.OLDER_THAN, long_list.NEWER_THAN, "p", "all"):
        kept.pop(name, None)
    span = log_query.SPANS.get(kept.get("within", ""))
    if span is not None:
        begins = clocks.now() - span
        given = log_query.moment(kept.get("from", ""))
        kept["from"] = f"{timezone.localtime(max(begins, given or begins)):%Y-%m-%d %H:%M:%S}"
        del kept["within"]
    return kept.urlencode()


def shown(desk: Desk[DeliveryResult], request: HttpRequest, query: str) -> list[tuple[str, str]]:
    """Put the filters and the search into words, as the list understands them at this address."""
    asked = HttpRequest()
    asked.method, asked.user, asked.GET = "GET", request.user, QueryDict(query)
    asked._messages = CookieStorage(asked)  # type: ignore[attr-defined]
    found = desk.get_changelist_instance(asked)
    words = [(_("Search"), found.query)] if found.query else []
    for spec in found.filter_specs:
        value = _chosen(spec, found)
        if value:
            words.append((str(spec.title), value))
    return words


def in_words(filters: list[tuple[str, str]]) -> str:
    return ", ".join(f"{label}: {value}" for label, value in filters)


def _chosen(spec: Any, found: Any) -> str:
    """The value of a filter: the words of its choice, or the typed text."""
    given = [str(found.params[name]) for name in spec.expected_parameters() if found.params.get(name)]
    if not given:
        return ""
    choices = dict(getattr(spec, "lookup_choices", ()) or getattr(getattr(spec, "field", None), "flatchoices", ()))
    words = {str(value): str(label) for value, label in choices.items()}
    return ", ".join(words.get(value, value) for value in given)


@admin.register(Export)
class Exports(ReadOnlyDesk[Export]):
    """The user's own exports; for an administrator, everyone's."""

    list_display = ("created", "filters_shown", "state", "rows_shown", "by", "file")
    list_display_links = ("created",)
    sortable_by = ()
    actions_detail = ("cancel_page", "download_page")
    empty_title = gettext_lazy("No exports")
    empty_text = gettext_lazy("In the delivery log, narrow the list to what you need and choose “Export these rows”.")

    def has_view_permission(self, request: HttpRequest, obj: Export | None = None) -> bool:
        return request.user.has_perm(PERMISSION)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        every = super().get_queryset(request).select_related("created_by").order_by("-pk")
        return every if request.user.has_perm(SEES_ALL) else every.filter(created_by=request.user.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the progress; with `?part=1` only the part that the page refreshes."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_object(request, object_id)
        if export is None:
            raise Http404
        is_part = "part" in request.GET
        context = {
            **({} if is_part else self.admin_site.each_context(request)),
            "title": _("Export #%(id)s") % {"id": export.pk},
            "opts": self.opts,
            "export": export,
            "filters": self._filters(request, export),
            "is_live": export.status in exports.LIVE,
            "is_done": export.status == ExportStatus.DONE,
            "ends_at": export.created_at + exports.KEPT,
            "most": exports.MAX_ROWS,
            "log_url": f"{admin_url(DeliveryResult, 'changelist')}?{export.query}",
        }
        template = "console/export_progress.html" if is_part else "console/export.html"
        return TemplateResponse(request, template, context)

    def _filters(self, request: HttpRequest, export: Export) -> str:
        """The filters in the reader's language: they are stored in the language of whoever ordered the export."""
        if export.language == get_language():
            return export.understood
        log: Any = self.admin_site.get_model_admin(DeliveryResult)
        return in_words(shown(log, request, export.query))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # Django looks for the row first, and here other people's rows are not found.
        if not self.has_view_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    @page(
        gettext_lazy("Cancel"),
        permission=PERMISSION,
        icon="close",
        variant="danger",
        applies=lambda export: export.status in exports.LIVE,
    )
    def cancel_page(self, request: HttpRequest, export: Export) -> Question:
        def cancel(_data: dict[str, Any]) -> str:
            if not exports.cancel(export.pk, by=str(request.user)):
                raise RefusedError(_("The export had already ended."))
            return _("Export cancelled.")

        return Question(
            title=_("Cancel the export #%(id)s?") % {"id": export.pk},
            text=_("The rows written so far are deleted."),
            button=_("Cancel the export"),
            act=cancel,
            keep=_("Keep it"),
            is_dangerous=True,
        )

    @page(
        gettext_lazy("Download"),
        permission=PERMISSION,
        icon="download",
        variant="primary",
        applies=lambda export: export.status == ExportStatus.DONE,
    )
    def download_page(self, request: HttpRequest, export: Export) -> Any:
        if export.shows_tokens and not request.user.has_perm(REVEALS):
            raise PermissionDenied(_("The file contains full device tokens. Your role does not allow viewing them."))
        if export.status != ExportStatus.DONE:
            raise RefusedError(_("There is no file yet: the export is not ready."))
        self.audit(request, (export, _("Downloaded.")))
        name = f"deliveries-{timezone.localtime(export.created_at):%Y%m%d-%H%M}-{export.pk}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store, private"}
        file = exports.content(export)
        return StreamingHttpResponse(file, content_type="text/csv; charset=utf-8", headers=headers)

    @admin.display(description=gettext_lazy("requested"))
    def created(self, row: Export) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("filters"))
    def filters_shown(self, row: Export) -> str:
        return row.understood or _("none: the entire log")

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: Export) -> SafeString:
        percent = f" {row.percent:.0f} %" if row.status in exports.LIVE else ""
        return format_html("{}{}", status_badge(row.status, row.get_status_display()), percent)

    @admin.display(description=gettext_lazy("rows"))
    def rows_shown(self, row: Export) -> str:
        return f"{row.rows:,}"

    @admin.display(description=gettext_lazy("by"))
    def by(self, row: Export) -> str:
        return str(row.created_by)

    @admin.display(description=gettext_lazy("file"))
    def file(self, row: Export) -> SafeString | str:
        is_there = row.status == ExportStatus.DONE
        return link(self.url("download_page", row.pk), _("download")) if is_there else "–"
