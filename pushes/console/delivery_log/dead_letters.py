"""Dead letters: input that could not become a push, readable to the byte."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from pushes.console.delivery_log import dead_letter_conflict, dead_letter_pages, dead_letter_reasons
from pushes.console.delivery_log.raw_bytes import beginning, readable
from pushes.console.site import attention
from pushes.console.site.desk import ReadOnlyDesk
from pushes.console.site.long_list import TEMPLATE, KeysetChangeList
from pushes.console.site.pages import Question, list_action, page
from pushes.console.site.theme import ChoicesDropdownFilter, DropdownFilter, status_badge, when
from pushes.history import vitals
from pushes.models import DeadLetter
from pushes.names import DeadLetterStatus
from pushes.text import notes

PREVIEW_BYTES = 60


class LetterReasonFilter(DropdownFilter):
    title = gettext_lazy("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        # Of pairs the index gives MariaDB the few dozen that there are; of reasons alone it would read every entry.
        pairs = DeadLetter.objects.order_by().values_list("status", "reason").distinct()
        return [(reason, dead_letter_reasons.words(reason)) for reason in sorted({reason for _status, reason in pairs})]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(reason=self.value()) if self.value() else None


@admin.register(DeadLetter)
class DeadLetters(ReadOnlyDesk[DeadLetter]):
    list_display = ("received", "reason_shown", "preview", "source", "state")
    list_display_links = ("received",)
    list_filter = (("status", ChoicesDropdownFilter), LetterReasonFilter)
    search_fields = ("position",)
    search_help_text = gettext_lazy("Position (from the log)")
    sortable_by = ()
    change_list_template = TEMPLATE
    list_before_template = "console/dead_letter_groups.html"
    change_form_outer_after_template = "console/dead_letter.html"
    empty_title = gettext_lazy("No dead letters")
    empty_text = gettext_lazy("All input could be read. Unreadable input is kept here unchanged.")
    actions = ("replay_selected", "discard_selected")
    actions_detail = ("replay_page", "discard_page")
    fieldsets = (
        (
            None,
            {"fields": (("reason_shown", "state"), "detail_shown", ("source", "position"), ("received", "resolved"))},
        ),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return KeysetChangeList

    def is_indexed(self, changelist: KeysetChangeList) -> bool:
        return bool(changelist.query)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        text = search_term.strip()
        return (queryset.filter(position=text) if text else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        groups = vitals.new_dead_letters()
        return super().changelist_view(
            request,
            {
                "groups": [
                    (reason, dead_letter_reasons.words(reason), attention.shown(number, vitals.MAX_LETTERS))
                    for reason, number in groups
                ],
                **(extra_context or {}),
            },
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        letter = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if letter:
            shown = {"readable": readable(bytes(letter.raw)), "sides": dead_letter_conflict.sides(letter)}
        return super().change_view(request, object_id, form_url, {"show_close": True, **shown, **(extra_context or {})})

    @list_action(gettext_lazy("Replay"), permission="pushes.change_deadletter")
    def replay_selected(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> Question:
        return dead_letter_pages.replay_many_question(request, chosen)

    @list_action(gettext_lazy("Discard"), permission="pushes.change_deadletter")
    def discard_selected(self, request: HttpRequest, chosen: QuerySet[DeadLetter]) -> Question:
        return dead_letter_pages.discard_many_question(request, chosen)

    @page(
        gettext_lazy("Correct and replay"),
        permission="pushes.change_deadletter",
        icon="replay",
        variant="primary",
        applies=lambda letter: letter.status == DeadLetterStatus.NEW,
    )
    def replay_page(self, request: HttpRequest, letter: DeadLetter) -> Question:
        return dead_letter_pages.replay_question(request, letter)

    @page(
        gettext_lazy("Discard"),
        permission="pushes.change_deadletter",
        icon="delete",
        variant="danger",
        applies=lambda letter: letter.status == DeadLetterStatus.NEW,
    )
    def discard_page(self, request: HttpRequest, letter: DeadLetter) -> Question:
        return dead_letter_pages.discard_question(request, letter)

    @admin.display(description=gettext_lazy("received"))
    def received(self, row: DeadLetter) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("resolved"))
    def resolved(self, row: DeadLetter) -> Any:
        return when(row.resolved_at)

    @admin.display(description=gettext_lazy("reason"))
    def reason_shown(self, row: DeadLetter) -> SafeString:
        return dead_letter_reasons.with_code(row.reason)

    @admin.display(description=gettext_lazy("detail"))
    def detail_shown(self, row: DeadLetter) -> str:
        return notes.words(row.detail) or "–"

    @admin.display(description=gettext_lazy("beginning"))
    def preview(self, row: DeadLetter) -> SafeString:
        return format_html('<code class="console-preview">{}</code>', beginning(bytes(row.raw), PREVIEW_BYTES))

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: DeadLetter) -> SafeString:
        return status_badge(row.status, row.get_status_display())
