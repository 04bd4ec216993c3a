"""The delivery log: the outcome of every push to every device."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.delivery_log import exports, resend, why
from pushes.console.site.desk import ReadOnlyDesk, admin_url
from pushes.console.site.filters import (
    AppKeyFilter,
    BroadcastFilter,
    FailedAttemptFilter,
    FinishedFromFilter,
    FinishedUntilFilter,
    FromFilter,
    LiveFilter,
    ReasonFilter,
    RecordFilter,
    SpanFilter,
    UntilFilter,
)
from pushes.console.site.long_list import TEMPLATE, KeysetChangeList
from pushes.console.site.marks import CHANNEL, with_channels
from pushes.console.site.pages import Question, list_action, list_page, page
from pushes.console.site.theme import ChoicesDropdownFilter, ModelAdmin, badge, link, status_badge, when, widgets
from pushes.history import answers, export_rows, log_query, rare_rows, search
from pushes.models import Account, AppKey, Broadcast, DeliveryResult, Device, PushRecord
from pushes.names import Kind, Platform, PushType, Status, label, reason_words
from pushes.text import characters

MAX_PREVIEW = 40
CHECKBOX_CLASSES = " ".join([*widgets.CHECKBOX_CLASSES, "action-select"])


class LogChangeList(KeysetChangeList):
    """Walk only through the blocks of the log that may have rows for the filters."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        with_channels(self.result_list)

    def sieve(self) -> rare_rows.Sieve | None:
        return log_query.sieve(self.params)


@admin.register(DeliveryResult)
class DeliveryLog(ReadOnlyDesk[DeliveryResult]):
    list_display = (
        "created",
        "account",
        "message",
        "device",
        "verdict",
        "timeline",
    )
    list_display_links = ("created",)
    list_filter = (
        SpanFilter,
        ("status", ChoicesDropdownFilter),
        LiveFilter,
        ReasonFilter,
        FailedAttemptFilter,
        ("kind", ChoicesDropdownFilter),
        ("push_type", ChoicesDropdownFilter),
        AppKeyFilter,
        FromFilter,
        UntilFilter,
        FinishedFromFilter,
        FinishedUntilFilter,
        RecordFilter,
        BroadcastFilter,
    )
    search_fields = ("account_id",)
    search_help_text = gettext_lazy("Account, token, message or chat ID, or #push")
    sortable_by = ()
    change_list_template = TEMPLATE
    actions = ("resend_selected",)
    actions_list = ("why_page", "export_page")
    actions_detail = ("resend_page",)
    list_before_template = "console/log_notice.html"
    empty_title = gettext_lazy("No deliveries here")
    empty_text = gettext_lazy(
        "Every device that a push is addressed to has a row, sent or not. Widen the time range or remove a filter. "
        "Accounts and tokens must match exactly (the first 6 characters of a token are enough)."
    )
    fieldsets = (
        (None, {"fields": (("state", "because"), ("account", "device_link"), "message", "timeline")}),
        (gettext_lazy("Sent again"), {"fields": (("second_tries", "first_try"),)}),
        (
            gettext_lazy("Push"),
            {"fields": (("kind", "push_type"), ("app", "platform", "environment", "channel"), ("push", "broadcast"))},
        ),
        (
            gettext_lazy("Provider"),
            {
                "fields": (
                    ("app_key", "provider_push_id"),
                    ("http_status", "provider_code", "provider_text"),
                    ("attempts", "doubt"),
                )
            },
        ),
        (
            gettext_lazy("Times"),
            {"fields": (("created", "sent"), ("finished", "due"), "expires")},
        ),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return LogChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeliveryResult]:
        # Not select_related: the log outlives its pushes, and a join would hide such rows.
        return super().get_queryset(request).prefetch_related("record")

    def is_indexed(self, changelist: KeysetChangeList) -> bool:
        return log_query.is_indexed(changelist.params)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        found = search.deliveries(search_term)
        if found is None:
            return queryset.none(), False
        messages.info(request, _("Showing %(what)s.") % {"what": found.phrase})
        return queryset.filter(found.condition), False

    @list_page(gettext_lazy("Why / why not"), permission="pushes.view_deliveryresult", icon="help")
    def why_page(self, request: HttpRequest) -> HttpResponse:
        return why.page(self, request)

    @list_page(gettext_lazy("Export"), permission=export_rows.PERMISSION, icon="download")
    def export_page(self, request: HttpRequest) -> Question:
        return exports.question(self, request)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        # A button above the list would lose the filters: the link to the export stands beside what it exports.
        return [action for action in super().get_actions_list(request) if action.method.__name__ != "export_page"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_export = request.user.has_perm(export_rows.PERMISSION)
        return super().changelist_view(request, {"may_export": may_export, **(extra_context or {})})

    @list_action(gettext_lazy("Send again"), permission=resend.PERMISSION)
    def resend_selected(self, request: HttpRequest, chosen: QuerySet[DeliveryResult]) -> Question:
        return resend.of_selection(request, chosen)

    @page(
        gettext_lazy("Send again"),
        permission=resend.PERMISSION,
        icon="replay",
        variant="primary",
        applies=resend.is_offered,
    )
    def resend_page(self, request: HttpRequest, row: DeliveryResult) -> Question:
        return resend.question(request, [row])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().change_view(request, object_id, form_url, {"show_close": True, **(extra_context or {})})

    @admin.display(description=ModelAdmin.action_checkbox.short_description)  # type: ignore[attr-defined]
    def action_checkbox(self, obj: DeliveryResult) -> SafeString:
        """Draw the theme's check-box, without a template for each of fifty rows."""
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="{}" aria-label="{}">',
            ACTION_CHECKBOX_NAME,
            obj.pk,
            CHECKBOX_CLASSES,
            _("Select delivery #%(id)s") % {"id": obj.pk},
        )

    @admin.display(description=gettext_lazy("created"))
    def created(self, row: DeliveryResult) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("last sent"))
    def sent(self, row: DeliveryResult) -> Any:
        return when(row.sent_at)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, row: DeliveryResult) -> Any:
        return when(row.finished_at)

    @admin.display(description=gettext_lazy("due"))
    def due(self, row: DeliveryResult) -> Any:
        return when(row.due_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, row: DeliveryResult) -> Any:
        return when(row.expires_at)

    @admin.display(description=gettext_lazy("account"))
    def account(self, row: DeliveryResult) -> SafeString:
        return link(admin_url(Account, "change", row.account_id), row.account_id)

    @admin.display(description=gettext_lazy("message"))
    def message(self, row: DeliveryResult) -> SafeString:
        record = getattr(row, "record", None)  # the log outlives its pushes
        preview = characters.shorten(record.title or record.text, MAX_PREVIEW) if record else _("(removed)")
        return format_html(
            '<span class="console-preview">{}</span><span class="console-muted console-line">{} · {}</span>',
            preview,
            label(Kind, row.kind),
            label(PushType, row.push_type),
        )

    @admin.display(description=gettext_lazy("device"))
    def device(self, row: DeliveryResult) -> SafeString:
        if not row.token:
            return format_html('<span class="console-muted">{}</span>', row.app)
        return format_html(
            '<code class="console-line">{}</code><span class="console-muted console-line">{} {} {}</span>',
            row.masked_token,
            row.app,
            label(Platform, row.platform),
            getattr(row, CHANNEL, ""),
        )

    @admin.display(description=gettext_lazy("channel"))
    def channel(self, row: DeliveryResult) -> str:
        return str(getattr(with_channels([row])[0], CHANNEL)) or "–"

    @admin.display(description=gettext_lazy("device"))
    def device_link(self, row: DeliveryResult) -> SafeString | str:
        if row.device_id is None:
            return row.masked_token or "–"
        return link(admin_url(Device, "change", row.device_id), row.masked_token)

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: DeliveryResult) -> SafeString:
        return status_badge(row.status, label(Status, row.status))

    @admin.display(description=gettext_lazy("reason"))
    def because(self, row: DeliveryResult) -> SafeString | str:
        return format_html("{} {}", badge(row.reason), reason_words(row.status, row.reason)) if row.reason else "–"

    @admin.display(description=gettext_lazy("status"))
    def verdict(self, row: DeliveryResult) -> SafeString:
        """Show the status, and below it the reason with the provider's own words."""
        said = answers.said(row.http_status, row.provider_code, characters.shorten(row.provider_text, MAX_PREVIEW))
        words = " · ".join(word for word in (reason_words(row.status, row.reason), said) if word)
        return format_html(
            '{}<span class="console-muted console-why" title="{}">{}</span>', self.state(row), row.reason, words
        )

    @admin.display(description=gettext_lazy("may have arrived"))
    def doubt(self, row: DeliveryResult) -> str:
        return answers.doubt(row) or "–"

    @admin.display(description=gettext_lazy("push"))
    def push(self, row: DeliveryResult) -> SafeString:
        return link(admin_url(PushRecord, "change", row.record_id), f"#{row.record_id}")

    @admin.display(description=gettext_lazy("broadcast"))
    def broadcast(self, row: DeliveryResult) -> SafeString | str:
        if not row.record or row.record.broadcast_id is None:
            return "–"
        return link(admin_url(Broadcast, "change", row.record.broadcast_id), f"#{row.record.broadcast_id}")

    @admin.display(description=gettext_lazy("app key"))
    def app_key(self, row: DeliveryResult) -> SafeString | str:
        key = AppKey.objects.filter(pk=row.app_key_id).first() if row.app_key_id else None
        return link(admin_url(AppKey, "change", key.pk), key) if key else "–"

    @admin.display(description=gettext_lazy("sent again as"))
    def second_tries(self, row: DeliveryResult) -> SafeString | str:
        return resend.second_tries(row)

    @admin.display(description=gettext_lazy("sent again from"))
    def first_try(self, row: DeliveryResult) -> SafeString | str:
        return resend.first_try(getattr(row, "record", None))

    @admin.display(description=gettext_lazy("history"))
    def timeline(self, row: DeliveryResult) -> SafeString:
        return link(why.url(row.account_id, f"#{row.record_id}"), _("why?"))
