"""Pushes: the accepted messages, each with a link to its deliveries."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.delivery_log import presentation, resend
from pushes.console.delivery_log import withdrawal as withdrawal_page
from pushes.console.site.desk import ReadOnlyDesk, admin_url
from pushes.console.site.filters import BroadcastFilter, FromFilter, SpanFilter, UntilFilter
from pushes.console.site.long_list import TEMPLATE, KeysetChangeList
from pushes.console.site.pages import Question, page
from pushes.console.site.theme import ChoicesDropdownFilter, link, status_badge, when
from pushes.distribution import withdrawal
from pushes.history import answers, search
from pushes.models import Broadcast, DeliveryResult, PushRecord
from pushes.text import characters

MAX_PREVIEW = 60
SHOWN_ACCOUNTS = 20


def deliveries_url(**conditions: object) -> str:
    """The address of the delivery log with these query parameters."""
    return f"{admin_url(DeliveryResult, 'changelist')}?{urlencode(conditions)}"


@admin.register(PushRecord)
class Records(ReadOnlyDesk[PushRecord]):
    list_display = ("created", "number", "preview", "kind", "push_type", "audience", "state", "results")
    list_display_links = ("created",)
    list_filter = (
        SpanFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("push_type", ChoicesDropdownFilter),
        ("app", ChoicesDropdownFilter),
        FromFilter,
        UntilFilter,
        BroadcastFilter,
    )
    search_fields = ("message_id",)
    search_help_text = gettext_lazy("Message or chat ID, or #push")
    sortable_by = ()
    change_list_template = TEMPLATE
    actions_detail = ("withdraw_page", "resend_page")
    empty_title = gettext_lazy("No pushes here")
    empty_text = gettext_lazy(
        "Every message submitted by the backend, the chat scanners, the API or a broadcast has a row."
    )
    fieldsets = (
        (None, {"fields": ("state", "title", "text", "look", "shown_data", "results")}),
        (gettext_lazy("Recipients"), {"fields": (("app", "platform"), "recipients", ("conversation", "sender_id"))}),
        (
            gettext_lazy("Source"),
            {
                "fields": (
                    ("kind", "push_type"),
                    ("source", "message_id"),
                    ("broadcast_link", "dedupe_key"),
                    "first_try",
                )
            },
        ),
        (gettext_lazy("Times"), {"fields": (("occurred", "created"), ("distributed", "expires"), "withdrawn")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return KeysetChangeList

    def is_indexed(self, changelist: KeysetChangeList) -> bool:
        return bool(changelist.query or changelist.params.get("broadcast"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        found = search.records(search_term)
        if found is None:
            return queryset.none(), False
        messages.info(request, _("Showing %(what)s.") % {"what": found.phrase})
        return queryset.filter(found.condition), False

    @page(gettext_lazy("Send failed deliveries again"), permission=resend.PERMISSION, icon="replay")
    def resend_page(self, request: HttpRequest, row: PushRecord) -> Question | HttpResponse:
        return resend.of_push(self, request, row)

    @page(
        gettext_lazy("Withdraw"),
        permission="pushes.withdraw_pushrecord",
        icon="undo",
        variant="danger",
        applies=withdrawal.is_possible,
    )
    def withdraw_page(self, request: HttpRequest, row: PushRecord) -> Question:
        return withdrawal_page.question(request, row)

    @admin.display(description=gettext_lazy("sent again from"))
    def first_try(self, row: PushRecord) -> SafeString | str:
        return resend.first_try(row)

    @admin.display(description=gettext_lazy("accepted"))
    def created(self, row: PushRecord) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("occurred"))
    def occurred(self, row: PushRecord) -> Any:
        return when(row.occurred_at)

    @admin.display(description=gettext_lazy("distributed"))
    def distributed(self, row: PushRecord) -> Any:
        return when(row.distributed_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, row: PushRecord) -> Any:
        return when(row.expires_at)

    @admin.display(description=gettext_lazy("withdrawn"))
    def withdrawn(self, row: PushRecord) -> SafeString | str:
        if row.withdrawn_at is None:
            return "–"
        return format_html("{} · {}", when(row.withdrawn_at), row.withdrawn_by)

    @admin.display(description=gettext_lazy("push"))
    def number(self, row: PushRecord) -> SafeString:
        return format_html('#{}<br><span class="console-muted">{}</span>', row.pk, row.message_id or "–")

    @admin.display(description=gettext_lazy("message"))
    def preview(self, row: PushRecord) -> SafeString:
        return format_html(
            '<span class="console-preview">{}</span><span class="console-muted">{}</span>',
            row.title or "–",
            characters.shorten(row.text, MAX_PREVIEW),
        )

    @admin.display(description=gettext_lazy("recipients"))
    def audience(self, row: PushRecord) -> str:
        if row.broadcast_id is not None and not row.accounts:
            return _("broadcast")
        number = len(row.accounts)
        return row.accounts[0] if number == 1 else ngettext("%(n)s account", "%(n)s accounts", number) % {"n": number}

    @admin.display(description=gettext_lazy("accounts"))
    def recipients(self, row: PushRecord) -> str:
        shown = ", ".join(row.accounts[:SHOWN_ACCOUNTS])
        more = len(row.accounts) - SHOWN_ACCOUNTS
        return f"{shown} … {_('and %(n)s more') % {'n': more}}" if more > 0 else shown or "–"

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: PushRecord) -> SafeString:
        return format_html(
            '{} <span class="console-why">{}</span>',
            status_badge(row.status, row.get_status_display()),
            answers.why_ended(row),
        )

    @admin.display(description=gettext_lazy("presentation"))
    def look(self, row: PushRecord) -> SafeString | str:
        return presentation.shown(row.presentation)

    @admin.display(description=gettext_lazy("payload (JSON)"))
    def shown_data(self, row: PushRecord) -> str:
        return ", ".join(f"{name} = {value}" for name, value in row.data.items()) or "–"

    @admin.display(description=gettext_lazy("deliveries"))
    def results(self, row: PushRecord) -> SafeString:
        return link(deliveries_url(record=row.pk), _("deliveries"))

    @admin.display(description=gettext_lazy("broadcast"))
    def broadcast_link(self, row: PushRecord) -> SafeString | str:
        if row.broadcast_id is None:
            return "–"
        return link(admin_url(Broadcast, "change", row.broadcast_id), f"#{row.broadcast_id}")
