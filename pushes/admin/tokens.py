"""Tokens of the HTTP API: issued once, shown once, disabled rather than deleted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.admin.confirm import Question, ask
from pushes.admin.desk import Desk, page
from pushes.admin.theme import ModelForm, badge, when, widgets
from pushes.models import ApiToken

SCOPES = {
    "push": gettext_lazy("push: submit pushes"),
    "read": gettext_lazy("read: pushes and their deliveries"),
    "devices": gettext_lazy("devices: register and remove devices"),
    "accounts": gettext_lazy("accounts: login and push status"),
    "presence": gettext_lazy("presence: who is online"),
    "metrics": gettext_lazy("metrics: figures for monitoring"),
}


class TokenForm(ModelForm[ApiToken]):
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=[(name, SCOPES.get(name, name)) for name in ApiToken.SCOPES],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("Give a producer only what it needs; most need push alone."),
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes")


@admin.register(ApiToken)
class Tokens(Desk[ApiToken]):
    form = TokenForm
    fields = ("name", "scopes")
    list_display = ("name", "scope_list", "state", "created", "last_used")
    sortable_by = ("name",)
    ordering = ("name",)
    actions = None
    actions_detail = ("disable_page", "enable_page")
    empty_title = gettext_lazy("No API tokens yet")
    empty_text = gettext_lazy("A producer that submits pushes over HTTP needs one. It is shown once, on issue.")

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A GET shows the form; a POST issues the token and shows it, this once."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return super().add_view(request, form_url, extra_context)
        form = TokenForm(request.POST)
        if not form.is_valid():
            return super().add_view(request, form_url, extra_context)
        token, clear = ApiToken.issue(form.cleaned_data["name"], form.cleaned_data["scopes"])
        LogEntry.objects.log_actions(
            request.user.pk or 0, [token], ADDITION, _("Issued with scopes %(s)s.") % {"s": ", ".join(token.scopes)}
        )
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
    def disable_page(self, request: HttpRequest, token: ApiToken) -> HttpResponse:
        question = Question(
            title=_("Disable the token “%(name)s”?") % {"name": token.name},
            text=_("Whoever uses it is refused from the next request on. You can enable it again."),
            button=_("Disable"),
            is_dangerous=True,
        )
        return ask(self, request, question, lambda _data: _switch(token, on=False), row=token)

    @page(
        gettext_lazy("Enable"),
        permission="pushes.change_apitoken",
        icon="check",
        applies=lambda token: not token.is_enabled,
    )
    def enable_page(self, request: HttpRequest, token: ApiToken) -> HttpResponse:
        question = Question(
            title=_("Enable the token “%(name)s”?") % {"name": token.name},
            text=_("Whoever holds it may use it again."),
            button=_("Enable"),
        )
        return ask(self, request, question, lambda _data: _switch(token, on=True), row=token)

    @admin.display(description=gettext_lazy("scopes"))
    def scope_list(self, row: ApiToken) -> str:
        return ", ".join(row.scopes)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: ApiToken) -> SafeString:
        return badge(_("enabled"), "success") if row.is_enabled else badge(_("disabled"), "danger")

    @admin.display(description=gettext_lazy("issued"))
    def created(self, row: ApiToken) -> Any:
        return when(row.created_at)

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, row: ApiToken) -> Any:
        return when(row.last_used_at) if row.last_used_at else _("never")


def _switch(token: ApiToken, *, on: bool) -> str:
    ApiToken.objects.filter(pk=token.pk).update(is_enabled=on)
    return _("The token is enabled.") if on else _("The token is disabled.")
