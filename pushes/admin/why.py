"""The page that answers: why did this account get, or not get, this message?"""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.admin.desk import Desk, admin_url
from pushes.admin.theme import widgets
from pushes.marks import STATUS_COLOURS
from pushes.models import DeliveryResult
from pushes.timeline import Timeline, timeline


class WhyForm(forms.Form):
    account = forms.CharField(
        label=gettext_lazy("Account"),
        max_length=64,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
    )
    message = forms.CharField(
        label=gettext_lazy("Message"),
        max_length=128,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("The producer's or the chat's message id, or a push as #123."),
    )


def url(account: str, message: str) -> str:
    query = urlencode({"account": account, "message": message})
    return f"{admin_url(DeliveryResult, 'why_page')}?{query}"


def page(desk: Desk[Any], request: HttpRequest) -> HttpResponse:
    """The form, and below it the answer; with `format=json` the answer alone, for programs."""
    is_asked = "account" in request.GET or "message" in request.GET
    form = WhyForm(request.GET if is_asked else None)
    found = timeline(form.cleaned_data["account"], form.cleaned_data["message"]) if form.is_valid() else None
    if request.GET.get("format") == "json":
        return _as_json(found, form)
    context = {
        **desk.admin_site.each_context(request),
        "title": _("Why / why not"),
        "opts": desk.opts,
        "form": form,
        "found": found,
        "colour": _colour(found),
        "json_url": f"{request.get_full_path()}&format=json" if found else "",
    }
    return TemplateResponse(request, "console/why.html", context)


def _as_json(found: Timeline | None, form: WhyForm) -> JsonResponse:
    if found is None:
        return JsonResponse({"error": {"code": "invalid", "message": form.errors.as_text()}}, status=422)
    return JsonResponse(found.as_dict(), json_dumps_params={"ensure_ascii": False})


def _colour(found: Timeline | None) -> str:
    return STATUS_COLOURS.get(found.outcome, "warning") if found else ""
