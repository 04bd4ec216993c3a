"""Compare the app keys with the access ids of the client apps, before going live. Nothing is stored."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.account_list import decode
from pushes.console.site.desk import Desk
from pushes.console.site.theme import widgets
from pushes.keys import check, client_list
from pushes.keys.client_list import Line, Match
from pushes.models import AppKey

MAX_LIST = 64 * 1024
COLOURS = {Match.SAME: "success", Match.DIFFERENT: "danger", Match.NOT_HERE: "danger", Match.NOT_THERE: "warning"}


class MatchForm(forms.Form):
    listed = forms.CharField(
        label=gettext_lazy("Access IDs in the app builds"),
        required=False,
        max_length=MAX_LIST,
        widget=widgets.UnfoldAdminTextareaWidget(
            attrs={
                "rows": 8,
                "spellcheck": "false",
                "placeholder": "higo android production 2100047733\nandroid_higirl_appid = 2100052867",
            }
        ),
        help_text=gettext_lazy(
            "One line per build: app, platform, environment (default: production) and access ID; or lines of the "
            "legacy .ini. Secrets are ignored and never stored."
        ),
    )
    file = forms.FileField(
        label=gettext_lazy("Or upload a file"),
        required=False,
        widget=widgets.UnfoldAdminFileFieldWidget(attrs={"accept": ".ini,.txt,.csv,.conf,text/plain,text/csv"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        text, upload = cleaned.get("listed", ""), cleaned.get("file")
        if upload is not None:
            text = f"{text}\n{self._text_of(upload)}"
        if not self.errors and not text.strip():
            self.add_error("listed", _("Paste the list, or choose a file."))
        return {**cleaned, "text": text}

    def _text_of(self, upload: Any) -> str:
        if upload.size > MAX_LIST:
            words = {"kb": MAX_LIST // 1024}
            self.add_error("file", _("The file is larger than %(kb)s KB.") % words)
            return ""
        try:
            return decode(upload.read())
        except ValueError as error:
            self.add_error("file", str(error))
            return ""


def page(desk: Desk[AppKey], request: HttpRequest) -> HttpResponse:
    """On a GET show the form, on a POST the comparison. Nothing is changed or kept."""
    form = MatchForm(request.POST or None, request.FILES or None) if request.method == "POST" else MatchForm()
    if request.method != "POST" or not form.is_valid():
        if form.is_bound:
            # What was pasted is shown again, without the secrets in it.
            form.data = {"listed": client_list.scrub(request.POST.get("listed", ""))}
        return _show(desk, request, {"form": form}, status=422 if form.errors else 200)
    found = client_list.compare(client_list.read(form.cleaned_data["text"]))
    lines = [(line, COLOURS[line.match], _remarks(line)) for line in found.lines]
    return _show(desk, request, {"found": found, "lines": lines})


def _remarks(line: Line) -> list[str]:
    """What an operator should know of this line besides the match."""
    remarks = [line.hint]
    if line.key is not None:
        remarks.append(check.doubt(line.key))
        remarks.append(
            "" if line.key.is_enabled else _("The key is disabled: devices of this build receive no pushes.")
        )
        remarks.append(_("The key is paused: its pushes wait.") if line.key.is_paused and line.key.is_enabled else "")
    return [remark for remark in remarks if remark]


def _show(desk: Desk[AppKey], request: HttpRequest, more: dict[str, Any], status: int = 200) -> HttpResponse:
    context = {
        "title": _("Compare app keys with app builds"),
        "back": desk.url("changelist"),
        "again": desk.url("match_page"),
        **more,
    }
    return desk.show(request, "console/key_match.html", context, status=status, is_private=True)
