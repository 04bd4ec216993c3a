"""Accounts: a page for each with its state, presence, devices, history and latest pushes."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis import RedisError

from pushes.console.delivery_log.pushes import deliveries_url
from pushes.console.people import mutes, tags, trial_push
from pushes.console.site.desk import ReadOnlyDesk
from pushes.console.site.long_list import TEMPLATE, KeysetChangeList
from pushes.console.site.marks import with_channels
from pushes.console.site.pages import Question, page
from pushes.console.site.theme import badge, when
from pushes.models import Account, DeliveryResult, Device, DeviceEvent
from pushes.people import token_search
from pushes.people.directory import directory
from pushes.people.token_search import has_token, token_begins
from pushes.storage.prefix import starts_with
from pushes.text import ids

SHOWN_DEVICES = 50
SHOWN_DELIVERIES = 10
SHOWN_EVENTS = 30
MIN_TOKEN_PREFIX = 6


class AccountChangeList(KeysetChangeList):
    """Accounts in pages, by account id in descending order."""

    read_key = staticmethod(lambda value: value or None)


@admin.register(Account)
class Accounts(ReadOnlyDesk[Account]):
    list_display = ("account_id", "login", "accepts", "registered")
    list_display_links = ("account_id",)
    search_fields = ("account_id",)
    search_help_text = gettext_lazy("Account ID or its beginning, or a device token")
    sortable_by = ()
    change_list_template = TEMPLATE
    actions_detail = ("test_page", "tested_page", "tags_page", "preferences_page")
    change_form_outer_after_template = "console/account.html"
    empty_title = gettext_lazy("No accounts here")
    empty_text = gettext_lazy(
        "Accounts are created with their devices, through the API or manage.py importdevices. Search by the beginning "
        "of an account ID, or by a full device token."
    )
    fieldsets = (
        (None, {"fields": (("login", "accepts", "presence"), ("muted", "blocked"))}),
        (gettext_lazy("Times"), {"fields": (("registered", "changed"),)}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return AccountChangeList

    def is_indexed(self, changelist: KeysetChangeList) -> bool:
        return True

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        found = queryset.filter(starts_with("account_id", ids.typed(text)) | Q(account_id=text))
        if found.exists() or len(text) < MIN_TOKEN_PREFIX:
            return found, False
        token = Q(token__in=token_search.of_devices(text)) if token_search.is_mask(text) else token_begins(text)
        owners = Device.objects.filter(has_token(text) | token).values("account_id")[:50]
        return queryset.filter(account_id__in=[row["account_id"] for row in owners]), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        account = self.get_object(request, object_id)
        context = {"show_close": True, **(self._panels(account) if account else {}), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @page(gettext_lazy("Send a test push"), permission="pushes.test_device", icon="send")
    def test_page(self, request: HttpRequest, account: Account) -> Question:
        return trial_push.question(self, request, account)

    @page(gettext_lazy("Result of a test push"), permission="pushes.test_device", applies=lambda _account: False)
    def tested_page(self, request: HttpRequest, account: Account) -> HttpResponse:
        return trial_push.result_page(self, request, account)

    def _panels(self, account: Account) -> dict[str, Any]:
        mine = DeliveryResult.objects.filter(account_id=account.pk).prefetch_related("record").order_by("-id")
        events = DeviceEvent.objects.filter(device__account=account).select_related("device").order_by("-id")
        return {
            "devices": account.devices.prefetch_related("tags").order_by("-is_active", "-seen_at")[:SHOWN_DEVICES],
            "deliveries": with_channels(mine[:SHOWN_DELIVERIES]),
            "events": events[:SHOWN_EVENTS],
            "deliveries_url": deliveries_url(q=f"account:{account.pk}"),
        }

    @page(gettext_lazy("Tags"), permission="pushes.change_device", icon="sell")
    def tags_page(self, request: HttpRequest, account: Account) -> Question:
        return tags.of_account(account)

    @page(gettext_lazy("Mute and block"), permission="pushes.change_account", icon="notifications_off")
    def preferences_page(self, request: HttpRequest, account: Account) -> Question:
        return mutes.question(account)

    @admin.display(description=gettext_lazy("login"))
    def login(self, row: Account) -> SafeString:
        return badge(row.get_login_status_display(), "success" if row.login_status == 1 else "warning")

    @admin.display(description=gettext_lazy("pushes"))
    def accepts(self, row: Account) -> SafeString:
        return badge(row.get_push_status_display(), "success" if row.push_status == 1 else "warning")

    @admin.display(description=gettext_lazy("current presence"))
    def presence(self, row: Account) -> SafeString:
        try:
            is_online = bool(directory().online([row.pk]))
        except RedisError:
            return badge(_("unknown: Redis does not answer"), "danger")
        return badge(_("online"), "success") if is_online else badge(_("offline"))

    @admin.display(description=gettext_lazy("muted conversations"))
    def muted(self, row: Account) -> str:
        return ", ".join(map(str, row.muted_conversations or ())) or "–"

    @admin.display(description=gettext_lazy("blocked accounts"))
    def blocked(self, row: Account) -> str:
        return ", ".join(map(str, row.blocked_accounts or ())) or "–"

    @admin.display(description=gettext_lazy("registered"))
    def registered(self, row: Account) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, row: Account) -> Any:
        return when(row.updated_at)
