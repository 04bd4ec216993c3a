"""Broadcasts: compose, review, send, watch, stop, copy."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.broadcasts import approval, audiences
from pushes.console.broadcasts import canary_words, given_accounts, progress, review, steps, trial_send, words
from pushes.console.broadcasts.accounts import UnknownAccountsPage
from pushes.console.broadcasts.form import MAX_TYPED, BroadcastForm, most_bytes
from pushes.console.broadcasts.given_accounts import MAX_TYPED_BYTES
from pushes.console.broadcasts.steps import EDITABLE, OVER, StepPages, in_state
from pushes.console.delivery_log import presentation
from pushes.console.delivery_log.pushes import deliveries_url
from pushes.console.site.pages import Done, Question, RefusedError, page
from pushes.console.site.theme import ChoicesDropdownFilter, link, status_badge, when
from pushes.models import Broadcast
from pushes.names import App, BroadcastStatus, MessageClass, Platform
from pushes.people import tags
from pushes.people.directory import DirectoryError
from pushes.submit import InvalidMessageError
from pushes.text import notes

SENDABLE = (BroadcastStatus.DRAFT, BroadcastStatus.WAITING)
COPIED = (
    "title",
    "text",
    "app",
    "platform",
    "audience_kind",
    "tag",
    "push_type",
    "data",
    "window_policy",
    "canary_percent",
)
#: Where a request keeps what was read of its list of accounts.
GIVEN = "given_accounts"
#: The name of the button that goes on to the review.
REVIEW = "_review"


@admin.register(Broadcast)
class Broadcasts(UnknownAccountsPage, StepPages):
    form = BroadcastForm
    change_form_template = "console/broadcast_form.html"
    list_display = ("headline", "state", "audience", "devices", "by", "started")
    list_display_links = None
    list_filter = (("status", ChoicesDropdownFilter), ("app", ChoicesDropdownFilter))
    list_select_related = ("created_by",)
    search_fields = ("title__startswith",)
    search_help_text = gettext_lazy("Start of the title")
    sortable_by = ()
    ordering = ("-id",)
    actions = None
    actions_detail = (
        "progress_page",
        "send_page",
        "test_page",
        "pause_page",
        "resume_page",
        "go_on_page",
        "cancel_page",
        "deliveries_page",
        "copy_page",
        "unknown_page",
    )
    fieldsets = (
        (gettext_lazy("Message"), {"fields": ("title", "text")}),
        (
            gettext_lazy("More: image, link, sound …"),
            {
                "classes": ("collapse",),
                "description": gettext_lazy(
                    "All optional. A phone whose provider cannot carry a field goes without it."
                ),
                "fields": ("image", "link", "subtitle", "sound", "badge", "category", "android_channel"),
            },
        ),
        (
            gettext_lazy("Audience"),
            {"fields": (("app", "platform"), "audience_kind", "tag", "accounts_typed", "accounts_file")},
        ),
        (gettext_lazy("When"), {"fields": ("scheduled_at", "expires_at", "window_policy", "canary_percent")}),
        (gettext_lazy("On tap"), {"fields": ("push_type", "data")}),
    )
    sent_fieldsets = (
        (gettext_lazy("Message"), {"fields": ("title", "text", "look", ("push_type", "data"))}),
        (gettext_lazy("Audience"), {"fields": (("app", "platform"), "audience")}),
        (
            gettext_lazy("When"),
            {
                "fields": (
                    ("scheduled_at", "expires_at"),
                    ("started_at", "finished_at"),
                    ("window_policy", "canary_percent", "phase"),
                )
            },
        ),
        (gettext_lazy("People"), {"fields": (("by", "approved_by"), ("status", "because"))}),
    )
    empty_title = gettext_lazy("No broadcasts yet")
    empty_text = gettext_lazy("Compose a broadcast: it stays a draft until you review and confirm it.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Broadcast]:
        broadcasts_ = super().get_queryset(request)
        # A list of accounts may be megabytes; the table shows none of it.
        is_list = (
            request.resolver_match is not None and request.resolver_match.url_name == "pushes_broadcast_changelist"
        )
        return broadcasts_.defer("accounts", "data") if is_list else broadcasts_

    def get_fieldsets(self, request: HttpRequest, obj: Broadcast | None = None) -> Any:
        """The form, or what a reader sees who may not change it."""
        may_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return self.fieldsets if may_change else self.sent_fieldsets

    def has_change_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        permitted = super().has_change_permission(request, obj)
        return permitted and (obj is None or obj.status in EDITABLE)

    def has_delete_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        permitted = super().has_delete_permission(request, obj)
        return permitted and (obj is None or obj.status in EDITABLE)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Read the list of accounts first: Django's view opens a transaction, and saves in that transaction."""
        may_save = self.has_change_permission if object_id else self.has_add_permission
        if request.method == "POST" and may_save(request):
            setattr(request, GIVEN, given_accounts.read(request.POST, request.FILES))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Broadcast | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return a form class of this request, with the list of accounts that the request brought."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.given = getattr(request, GIVEN, form.given)
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        source = request.GET.get("copy_of", "")
        original = Broadcast.objects.filter(pk=int(source)).first() if source.isdecimal() else None
        if original is None:
            return dict(super().get_changeform_initial_data(request))
        copied: dict[str, Any] = {name: getattr(original, name) for name in COPIED}
        copied |= original.presentation or {}
        if len(original.accounts) > MAX_TYPED:
            return copied | {"accounts_of": original.pk}
        return copied | {"accounts_typed": "\n".join(original.accounts)}

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context |= {
            "provider_bytes": most_bytes(),
            "most_typed_bytes": MAX_TYPED_BYTES,
            "most_typed_mb": MAX_TYPED_BYTES // 1_000_000,
            "known_tags": sorted({t for app in App for t in tags.known(app)}),
            "message_classes": MessageClass.choices,
            "preview_apps": App.values,
            "preview_platforms": Platform.choices,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Broadcast, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Broadcast, post_url_continue: str | None = None) -> HttpResponse:
        return self._to_review(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Broadcast) -> HttpResponse:
        return self._to_review(request, obj) or super().response_change(request, obj)

    def _to_review(self, request: HttpRequest, obj: Broadcast) -> HttpResponse | None:
        return HttpResponseRedirect(self.url("send_page", obj.pk)) if REVIEW in request.POST else None

    # --- what can be done with one ---------------------------------------------------------------

    @page(
        gettext_lazy("Progress"),
        permission="pushes.view_broadcast",
        icon="monitoring",
        applies=lambda row: row.status not in EDITABLE,
    )
    def progress_page(self, request: HttpRequest, broadcast: Broadcast) -> HttpResponse:
        """Show the page; with `?part`, as the page's own refresh asks, only the figures."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("Progress"),
            "opts": self.opts,
            "original": broadcast,
            "broadcast": broadcast,
            "because": notes.words(broadcast.status_reason),
            "figures": progress.figures(broadcast),
            "canary": canary_words.view(broadcast),
            "halted": canary_words.halted(broadcast),
            "is_over": broadcast.status in (*OVER, BroadcastStatus.DRAFT),
            "actions_detail": self._offered(request, broadcast),
        }
        if "part" not in request.GET:
            return TemplateResponse(request, "console/broadcast_progress.html", context)
        # The buttons above the figures belong to the state: when it has changed, the whole page is asked again.
        has_moved = request.GET["part"] != broadcast.status
        headers = {"HX-Refresh": "true"} if has_moved else {}
        return TemplateResponse(request, "console/broadcast_figures.html", context, headers=headers)

    def _offered(self, request: HttpRequest, broadcast: Broadcast) -> Any:
        offered = self.get_actions_detail(request, str(broadcast.pk))
        names = [name for name in self.actions_detail if name != "progress_page"]
        return self._get_actions_navigation(names, offered, str(broadcast.pk))  # type: ignore[attr-defined]

    @page(
        gettext_lazy("Review and send"),
        permission="pushes.send_broadcast",
        icon="send",
        variant="primary",
        applies=in_state(*SENDABLE),
    )
    def send_page(self, request: HttpRequest, broadcast: Broadcast) -> Question | HttpResponse:
        if broadcast.status not in SENDABLE:
            messages.info(request, _("This broadcast was already launched. Nothing is sent twice."))
            return HttpResponseRedirect(self.url("progress_page", broadcast.pk))
        try:
            sizes = audiences.estimates(broadcast)
        except (InvalidMessageError, DirectoryError) as error:
            raise RefusedError(notes.words(error.note)) from None
        if not approval.is_needed(broadcast, sum(sizes.values()), request.user):
            act = partial(steps.launch, broadcast, request.user)
            return review.launch_question(broadcast, sizes, act=act, **self._review(request, broadcast))
        if broadcast.status == BroadcastStatus.WAITING:
            messages.info(request, _("Waiting for approval by someone other than the author and the requester."))
            return HttpResponseRedirect(self.url("progress_page", broadcast.pk))
        act = partial(steps.ask_for_approval, broadcast, request.user)
        return review.approval_question(broadcast, sizes, act=act, **self._review(request, broadcast))

    def _review(self, request: HttpRequest, broadcast: Broadcast) -> dict[str, Any]:
        """What both questions share: the panel below, the addresses to go to, and the fingerprint of what was read."""
        common = {
            "seen": review.fingerprint(broadcast),
            "back": self.url("progress_page", broadcast.pk),
            "cancel": self.url("change", broadcast.pk),
        }
        if not trial_send.is_offered(broadcast, request.user):
            return common
        return common | {"template": trial_send.BELOW_REVIEW, "context": trial_send.panel(self, broadcast)}

    @page(
        gettext_lazy("Test send"),
        permission=trial_send.PERMISSION,
        icon="phonelink_ring",
        applies=in_state(*trial_send.TESTABLE),
    )
    def test_page(self, request: HttpRequest, broadcast: Broadcast) -> Done | HttpResponse:
        return trial_send.answer(self, request, broadcast)

    @page(gettext_lazy("Results"), permission="pushes.view_deliveryresult", icon="list", applies=lambda b: b.started_at)
    def deliveries_page(self, request: HttpRequest, broadcast: Broadcast) -> HttpResponse:
        return HttpResponseRedirect(deliveries_url(broadcast=broadcast.pk))

    @page(gettext_lazy("Copy as new"), permission="pushes.add_broadcast", icon="content_copy")
    def copy_page(self, request: HttpRequest, broadcast: Broadcast) -> HttpResponse:
        """Open the empty form, filled with this broadcast's message. Nothing is stored before the form is saved."""
        return HttpResponseRedirect(f"{self.url('add')}?{urlencode({'copy_of': broadcast.pk})}")

    # --- columns ---------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("broadcast"))
    def headline(self, row: Broadcast) -> SafeString:
        name = "change" if row.status in EDITABLE else "progress_page"
        return link(self.url(name, row.pk), f"#{row.pk} {row.title}")

    @admin.display(description=gettext_lazy("status"))
    def state(self, row: Broadcast) -> SafeString:
        shown = _("stopped automatically") if row.has_halted else row.get_status_display()
        return status_badge(row.status, shown)

    @admin.display(description=gettext_lazy("audience"))
    def audience(self, row: Broadcast) -> str:
        return review.audience(row)

    @admin.display(description=gettext_lazy("presentation"))
    def look(self, row: Broadcast) -> SafeString | str:
        return presentation.shown(row.presentation)

    @admin.display(description=gettext_lazy("devices"))
    def devices(self, row: Broadcast) -> str:
        return "–" if row.estimate is None else f"{row.estimate:,}"

    @admin.display(description=gettext_lazy("by"))
    def by(self, row: Broadcast) -> str:
        return str(row.created_by or "–")

    @admin.display(description=gettext_lazy("reason"))
    def because(self, row: Broadcast) -> str:
        return words.because(row) or "–"

    @admin.display(description=gettext_lazy("started"))
    def started(self, row: Broadcast) -> Any:
        return when(row.started_at or row.scheduled_at)
