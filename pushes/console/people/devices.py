"""Devices: find a device by token or account, see its history, deactivate and reactivate it with a reason. Operators
with the permission see the whole token, and the history keeps that."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.people import coverage
from pushes.console.people import tags as tag_pages
from pushes.console.site.desk import ReadOnlyDesk, admin_url
from pushes.console.site.long_list import TEMPLATE, KeysetChangeList
from pushes.console.site.marks import with_channels
from pushes.console.site.pages import Done, Question, RefusedError, list_page, page
from pushes.console.site.theme import ChoicesDropdownFilter, badge, device_badge, link, when, widgets
from pushes.models import Account, DeliveryResult, Device
from pushes.people import devices, tags, token_search
from pushes.people.token_search import has_token, token_begins
from pushes.storage.prefix import exists
from pushes.text import ids
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

MIN_TOKEN_PREFIX = 6
SHOWN_DELIVERIES = 10
SHOWN_EVENTS = 50


class DeactivateForm(forms.Form):
    why = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=120,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Recorded in the device's history."),
    )


@admin.register(Device)
class Devices(ReadOnlyDesk[Device]):
    list_display = ("token_shown", "owner", "app", "platform", "channel", "environment", "state", "seen")
    list_display_links = ("token_shown",)
    list_filter = (
        ("app", ChoicesDropdownFilter),
        ("platform", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        ("environment", ChoicesDropdownFilter),
        "is_active",
        tag_pages.TagFilter,
    )
    search_fields = ("token",)
    search_help_text = gettext_lazy("Account, token, a token's first 6 characters, or installation")
    sortable_by = ()
    change_list_template = TEMPLATE
    actions_list = ("coverage_page",)
    actions_detail = ("test_page", "tags_page", "reveal_page", "deactivate_page", "reactivate_page")
    change_form_outer_after_template = "console/device.html"
    empty_title = gettext_lazy("No devices here")
    empty_text = gettext_lazy("Devices are registered by the apps through the API, or by manage.py importdevices.")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("token_shown", "owner"),
                    ("app", "platform", "environment"),
                    ("channel", "installation"),
                    ("state", "tags_shown"),
                )
            },
        ),
        (gettext_lazy("Times"), {"fields": (("registered", "seen", "deactivated"),)}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return KeysetChangeList

    def is_indexed(self, changelist: KeysetChangeList) -> bool:
        return bool(changelist.query or changelist.params.get("tag"))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        account = Q(account_id__in={text, ids.typed(text)})
        if exists(Device, account):
            return queryset.filter(account), False
        installation = Q(installation_id__in=devices.installation_names(text))
        if exists(Device, installation):
            return queryset.filter(installation), False
        if token_search.is_mask(text):
            return queryset.filter(token__in=token_search.of_devices(text)), False
        if len(text) < MIN_TOKEN_PREFIX:
            return queryset.filter(has_token(text)), False
        return queryset.filter(token_begins(text)), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        device = self.get_object(request, object_id)
        context = {"show_close": True, **(_panels(device) if device else {}), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @list_page(gettext_lazy("Reach of the channels"), permission="pushes.view_device", icon="hub")
    def coverage_page(self, request: HttpRequest) -> HttpResponse:
        return coverage.page(self, request)

    @page(
        gettext_lazy("Send a test push"),
        permission="pushes.test_device",
        icon="send",
        applies=lambda device: bool(device.is_active),
    )
    def test_page(self, request: HttpRequest, device: Device) -> HttpResponse:
        """Go to the account's page, with this device picked: a push is for an account."""
        query = urlencode({"device": device.pk})
        return HttpResponseRedirect(f"{admin_url(Account, 'test_page', device.account_id)}?{query}")

    @page(gettext_lazy("Tags"), permission="pushes.change_device", icon="sell")
    def tags_page(self, request: HttpRequest, device: Device) -> Question:
        return tag_pages.of_device(device)

    @page(gettext_lazy("Show token"), permission="pushes.reveal_device", icon="visibility")
    def reveal_page(self, request: HttpRequest, device: Device) -> Question:
        """Show the token on a POST, on a page that no cache keeps. The history keeps who looked, and not the token."""

        def reveal(_data: dict[str, Any]) -> Done:
            context = {"title": _("Device token"), "device": device, "back": self.url("change", device.pk)}
            shown = self.show(request, "console/token_revealed.html", context, row=device, is_private=True)
            return Done(history=[(device, _("Viewed the full token."))], page=shown)

        return Question(
            title=_("Show the full token of %(token)s?") % {"token": device.masked_token},
            text=_("For example, to copy it into the provider's console. Viewing is recorded."),
            button=_("Show the token"),
            act=reveal,
            facts=_whose(device),
        )

    @page(
        gettext_lazy("Deactivate"),
        permission="pushes.change_device",
        icon="block",
        variant="danger",
        applies=lambda device: bool(device.is_active),
    )
    def deactivate_page(self, request: HttpRequest, device: Device) -> Question:
        def deactivate(data: dict[str, Any]) -> str:
            note = Note(Sentence.BY_BECAUSE, who=str(request.user), why=data["why"])
            if not devices.deactivate([device.pk], None, note):
                raise RefusedError(_("The device was already inactive."))
            return _("The device is deactivated: %(why)s") % {"why": data["why"]}

        return Question(
            title=_("Deactivate the device %(token)s?") % {"token": device.masked_token},
            text=_("The device receives no pushes until you reactivate it or the app registers again."),
            button=_("Deactivate"),
            act=deactivate,
            facts=_whose(device),
            is_dangerous=True,
            form=DeactivateForm,
        )

    @page(
        gettext_lazy("Reactivate"),
        permission="pushes.change_device",
        icon="undo",
        variant="primary",
        applies=lambda device: not device.is_active,
    )
    def reactivate_page(self, request: HttpRequest, device: Device) -> Question:
        def reactivate(_data: dict[str, Any]) -> str:
            if not devices.reactivate(device, by=str(request.user)):
                raise RefusedError(_("The device was already active."))
            return _("The device is active again.")

        return Question(
            title=_("Reactivate the device %(token)s?") % {"token": device.masked_token},
            text=_(
                "The device receives pushes again. If the provider still refuses its token, it is deactivated again."
            ),
            button=_("Reactivate"),
            act=reactivate,
            facts=[(_("Deactivation reason"), device.get_deactivated_reason_display() or _("see the history"))],
        )

    @admin.display(description=gettext_lazy("token"))
    def token_shown(self, row: Device) -> SafeString:
        return format_html("<code>{}</code>", row.masked_token)

    @admin.display(description=gettext_lazy("installation"))
    def installation(self, row: Device) -> SafeString | str:
        if not row.installation_id:
            return "–"
        return link(f"{self.url('changelist')}?{urlencode({'q': row.installation_id})}", row.installation_id)

    @admin.display(description=gettext_lazy("account"))
    def owner(self, row: Device) -> SafeString:
        return link(admin_url(Account, "change", row.account_id), row.account_id)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Device) -> SafeString:
        return device_badge(row.is_active, row.get_deactivated_reason_display())

    @admin.display(description=gettext_lazy("tags"))
    def tags_shown(self, row: Device) -> SafeString | str:
        return format_html_join(" ", "{}", ((badge(tag),) for tag in tags.of_device(row.pk))) or "–"

    @admin.display(description=gettext_lazy("last registered"))
    def seen(self, row: Device) -> Any:
        return when(row.seen_at)

    @admin.display(description=gettext_lazy("first registered"))
    def registered(self, row: Device) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("deactivated"))
    def deactivated(self, row: Device) -> Any:
        return when(row.deactivated_at)


def _whose(device: Device) -> list[tuple[Any, Any]]:
    return [
        (_("Account"), device.account_id),
        (_("App"), f"{device.app} {device.get_platform_display()}"),
        (_("Channel"), device.get_channel_display()),
    ]


def _panels(device: Device) -> dict[str, Any]:
    sent = DeliveryResult.objects.filter(token=device.token, app=device.app).prefetch_related("record")
    return {
        "events": device.events.order_by("-id")[:SHOWN_EVENTS],
        "deliveries": with_channels(sent.order_by("-id")[:SHOWN_DELIVERIES]),
    }
