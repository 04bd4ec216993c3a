"""Answer why an account received, or did not receive, a message; or what happened around a time."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.desk import Desk, admin_url
from pushes.console.site.marks import STATUS_COLOURS
from pushes.console.site.theme import widgets
from pushes.history import log_query
from pushes.history.answers import Timeline
from pushes.history.around import around
from pushes.history.timeline import timeline
from pushes.models import DeliveryResult
from pushes.text import ids


class WhyForm(forms.Form):
    account = forms.CharField(
        label=gettext_lazy("Account"),
        max_length=64,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    message = forms.CharField(
        label=gettext_lazy("Message"),
        max_length=128,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Message ID of the producer or the chat, or a push number such as #123."),
    )
    at = forms.CharField(
        label=gettext_lazy("or around this time"),
        max_length=32,
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-05-01 08:00"}),
        help_text=gettext_lazy("Everything for the account within half an hour before or after."),
    )

    def clean_account(self) -> str:
        account = ids.typed(self.cleaned_data["account"])
        if not account:
            raise forms.ValidationError(_("Enter an account ID."))
        return account

    def clean_at(self) -> datetime | None:
        value = self.cleaned_data["at"].strip()
        moment = log_query.moment(value)
        if value and moment is None:
            raise forms.ValidationError(
                _("“%(value)s” is not a valid time. Enter a time like 2026-05-01 08:00.") % {"value": value[:40]}
            )
        return moment

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if "message" in found and "at" in found and not found["message"] and not found["at"]:
            self.add_error("message", _("Enter a message or a time."))
        return found

    def answer(self) -> Timeline | None:
        """Answer the question; None while the question is incomplete. A message takes precedence over a time."""
        if not self.is_valid():
            return None
        asked = self.cleaned_data
        return (
            timeline(asked["account"], asked["message"]) if asked["message"] else around(asked["account"], asked["at"])
        )


def url(account: str, message: str) -> str:
    query = urlencode({"account": account, "message": message})
    return f"{admin_url(DeliveryResult, 'why_page')}?{query}"


def page(desk: Desk[Any], request: HttpRequest) -> HttpResponse:
    """Show the form, and the answer below it; with `format=json` return only the answer, for programs."""
    is_asked = bool({"account", "message", "at"} & set(request.GET))
    form = WhyForm(request.GET if is_asked else None)
    found = form.answer()
    if request.GET.get("format") == "json":
        return _as_json(found, form)
    context = {
        "title": _("Why / why not"),
        "form": form,
        "found": found,
        "colour": STATUS_COLOURS.get(found.outcome, "warning") if found else "",
        "json_url": f"{request.get_full_path()}&format=json" if found else "",
    }
    return desk.show(request, "console/why.html", context)


def _as_json(found: Timeline | None, form: WhyForm) -> JsonResponse:
    if found is None:
        return JsonResponse({"error": {"code": "invalid", "message": form.errors.as_text()}}, status=422)
    return JsonResponse(found.as_dict(), json_dumps_params={"ensure_ascii": False})
