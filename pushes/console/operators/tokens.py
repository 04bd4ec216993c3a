"""Tokens of the HTTP API: issued once, shown once, disabled rather than deleted."""

from datetime import datetime, time
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.desk import Desk
from pushes.console.site.pages import Question, page
from pushes.console.site.theme import ModelForm, badge, when, widgets
from pushes.models import ApiToken

SCOPES = {
    "push": gettext_lazy("push: submit pushes"),
    "read": gettext_lazy("read: all pushes and their deliveries, of every producer"),
    "devices": gettext_lazy("devices: register and remove devices"),
    "accounts": gettext_lazy("accounts: login and push status"),
    "presence": gettext_lazy("presence: who is online"),
    "metrics": gettext_lazy("metrics: monitoring data"),
}


class TokenForm(ModelForm[ApiToken]):
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=[(name, SCOPES.get(name, name)) for name in ApiToken.SCOPES],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy(
            "Grant only what the producer needs; most need push alone. With read, it sees the pushes of all producers: "
            "accounts, IDs and outcomes, never the text."
        ),
    )
    expires_at = forms.DateField(
        label=gettext_lazy("Valid until"),
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text=gettext_lazy(
            "The token works until the end of that day; then requests get status 401. Blank: never expires."
        ),
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.expires_at:
            self.initial["expires_at"] = timezone.localtime(self.instance.expires_at).date()

    def clean_expires_at(self) -> datetime | None:
        """Take the end of the day in the operator's zone; an unchanged day keeps its hour."""
        day = self.cleaned_data["expires_at"]
        if day is None:
            return None
        if day == self.initial.get("expires_at"):
            return self.instance.expires_at
        today = timezone.localdate()
        if day < today:
            raise forms.ValidationError(_("This day has passed. Choose a later day."))
        if day > today + ApiToken.LONGEST:
            raise forms.ValidationError(
                _("Choose a day within ten years, or leave the field blank for a token that never expires.")
            )
        return timezone.make_aware(datetime.combine(day, time.max).replace(microsecond=0))


@admin.register(ApiToken)
class Tokens(Desk[ApiToken]):
    form = TokenForm
    fields = ("name", "scopes", "expires_at")
    list_display = ("name", "scope_list", "state", "created", "expires", "last_used")
    sortable_by = ("name",)
    ordering = ("name",)
    actions = None
    actions_detail = ("disable_page", "enable_page")
    empty_title = gettext_lazy("No API tokens yet")
    empty_text = gettext_lazy(
        "A producer needs a token to submit pushes over HTTP. The token is shown once, when it is issued."
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show above the list which tokens expire soon, while there is time to replace them."""
        now = timezone.now()
        ending = ApiToken.objects.filter(is_enabled=True, expires_at__lte=now + ApiToken.EXPIRY_NOTICE)
        for token in ending.filter(expires_at__gt=now).order_by("expires_at") if request.method == "GET" else ():
            words = _("The token “%(name)s” expires on %(day)s. Issue a new one for its producer.")
            messages.warning(request, words % {"name": token.name, "day": _day(token)})
        return super().changelist_view(request, extra_context)

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """On a GET show the form; on a POST issue the token and show it, only this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return super().add_view(request, form_url, extra_context)
        form = TokenForm(request.POST)
        if not form.is_valid():
            return super().add_view(request, form_url, extra_context)
        token, clear = ApiToken.issue(**form.cleaned_data)
        words = _("Issued with scopes %(s)s.") % {"s": ", ".join(token.scopes)}
        if token.expires_at:
            words += " " + _("Valid until %(day)s.") % {"day": _day(token)}
        LogEntry.objects.log_actions(request.user.pk or 0, [token], ADDITION, words)
        return self._shown_once(request, token, clear)

    def _shown_once(self, request: HttpRequest, token: ApiToken, clear: str) -> HttpResponse:
        context = {"title": _("API token issued"), "token": token, "clear": clear, "back": self.url("changelist")}
        return self.show(request, "console/token_issued.html", context, is_private=True)

    @page(
        gettext_lazy("Disable"),
        permission="pushes.change_apitoken",
        icon="block",
        variant="danger",
        applies=lambda token: bool(token.is_enabled),
    )
    def disable_page(self, request: HttpRequest, token: ApiToken) -> Question:
        return Question(
            title=_("Disable the token “%(name)s”?") % {"name": token.name},
            text=_("Requests with this token are refused immediately. You can enable the token again."),
            button=_("Disable"),
            act=lambda _data: _switch(token, on=False),
            is_dangerous=True,
        )

    @page(
        gettext_lazy("Enable"),
        permission="pushes.change_apitoken",
        icon="check",
        applies=lambda token: not token.is_enabled,
    )
    def enable_page(self, request: HttpRequest, token: ApiToken) -> Question:
        return Question(
            title=_("Enable the token “%(name)s”?") % {"name": token.name},
            text=_("Requests with this token are accepted again."),
            button=_("Enable"),
            act=lambda _data: _switch(token, on=True),
        )

    @admin.display(description=gettext_lazy("scopes"))
    def scope_list(self, row: ApiToken) -> str:
        return ", ".join(row.scopes)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: ApiToken) -> SafeString:
        if row.is_enabled and row.is_expired(timezone.now()):
            return badge(_("expired"), "danger")
        return badge(_("enabled"), "success") if row.is_enabled else badge(_("disabled"), "danger")

    @admin.display(description=gettext_lazy("issued"))
    def created(self, row: ApiToken) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, row: ApiToken) -> Any:
        if row.expires_at is None:
            return _("never")
        return badge(_day(row), "warning") if row.expires_soon(timezone.now()) else _day(row)

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, row: ApiToken) -> Any:
        return when(row.last_used_at) if row.last_used_at else _("never")


def _day(token: ApiToken) -> str:
    return date_format(timezone.localtime(token.expires_at))


def _switch(token: ApiToken, *, on: bool) -> str:
    ApiToken.objects.filter(pk=token.pk).update(is_enabled=on)
    return _("The token is enabled.") if on else _("The token is disabled.")
