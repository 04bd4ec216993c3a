"""Import the legacy ini: upload, preview, confirm. No page shows the file's secrets.

Between the preview and the confirmation the operator's session keeps the file, sealed.
"""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.keys import sealed
from pushes.console.site.account_list import decode
from pushes.console.site.desk import Desk
from pushes.console.site.pages import CONFIRMED, Done
from pushes.console.site.theme import widgets
from pushes.keys import check, ini
from pushes.models import AppKey
from pushes.names import DEFAULT_PROVIDER, ProviderKind
from pushes.providers import hosts

WAITING = "key_import"
MAX_FILE = 64 * 1024
KEEP = format_lazy(gettext_lazy("Keep existing (new keys: {provider})"), provider=DEFAULT_PROVIDER.label)
#: The word and the colour of each state.
STATES = {
    ini.NEW: (gettext_lazy("new"), "success"),
    ini.CHANGED: (gettext_lazy("changes"), "warning"),
    ini.SAME: (gettext_lazy("unchanged"), ""),
    ini.ERROR: (gettext_lazy("error"), "danger"),
}


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy(".ini file"),
        widget=widgets.UnfoldAdminFileFieldWidget(attrs={"accept": ".ini,.txt,.conf,text/plain"}),
        help_text=gettext_lazy("Lines such as android_higo_appid = … and android_higo_skey = …"),
    )
    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"),
        choices=[("", KEEP), *ProviderKind.choices],
        required=False,
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    endpoint_url = forms.URLField(
        label=gettext_lazy("Endpoint URL"),
        required=False,
        assume_scheme="https",
        widget=widgets.UnfoldAdminURLInputWidget(),
        help_text=gettext_lazy("Leave blank to keep the existing address; new keys use the provider's default."),
    )

    def clean_file(self) -> str:
        upload = self.cleaned_data["file"]
        if upload.size > MAX_FILE:
            raise forms.ValidationError(_("The file is larger than %(kb)s KB.") % {"kb": MAX_FILE // 1024})
        try:
            return decode(upload.read())
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_endpoint_url(self) -> str:
        url = hosts.ascii_url(self.cleaned_data["endpoint_url"])
        if url and (fault := hosts.fault(url)):
            raise forms.ValidationError(fault)
        return url


def page(desk: Desk[AppKey], request: HttpRequest) -> Done | HttpResponse:
    """On a GET show the form; on a POST with a file, the preview; on a POST with `confirm`, import."""
    if CONFIRMED in request.POST:
        return _import(desk, request)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _show(desk, request, {"form": form}, status=422 if form.errors else 200)
    waiting = {
        "text": form.cleaned_data["file"],
        "provider": form.cleaned_data["provider"] or None,
        "endpoint_url": form.cleaned_data["endpoint_url"] or None,
    }
    entries = ini.preview(waiting["text"], **_options(waiting))
    has_errors = any(entry.state == ini.ERROR for entry in entries)
    if not has_errors:
        sealed.keep(request, WAITING, waiting)
    changes = sum(entry.state in (ini.NEW, ini.CHANGED) for entry in entries)
    preview = [(entry, *STATES[entry.state], _doubt(entry, _kind(waiting))) for entry in entries]
    return _show(desk, request, {"preview": preview, "has_errors": has_errors, "changes": changes})


def _doubt(entry: ini.Entry, provider: ProviderKind | None) -> str:
    """What is odd about the access id, before the access id is stored."""
    return "" if entry.access_id is None else check.doubt(ini.key_of(entry, provider))


def _options(waiting: dict[str, Any]) -> dict[str, Any]:
    return {"endpoint_url": waiting["endpoint_url"], "provider": _kind(waiting)}


def _kind(waiting: dict[str, Any]) -> ProviderKind | None:
    return ProviderKind(waiting["provider"]) if waiting["provider"] else None


def _import(desk: Desk[AppKey], request: HttpRequest) -> Done | HttpResponse:
    """Import the previewed file. A reload finds no sealed file, and does nothing."""
    again = HttpResponseRedirect(desk.url("import_page"))
    waiting = sealed.take(request, WAITING)
    if waiting is None:
        return Done(warnings=[_("Nothing was imported: the preview has expired. Choose the file again.")], page=again)
    try:
        entries = ini.apply(waiting["text"], **_options(waiting))
    except ini.LegacyIniError as error:
        messages.error(request, _("Nothing was imported: %(why)s") % {"why": error})
        return again
    imported = {entry.scope: entry.state for entry in entries if entry.state != ini.SAME}
    text = ngettext(
        "%(n)s app key imported; the rest were unchanged.",
        "%(n)s app keys imported; the rest were unchanged.",
        len(imported),
    )
    return Done(text % {"n": len(imported)}, history=list(_history(imported)))


def _history(imported: dict[str, str]) -> Iterator[tuple[AppKey, str]]:
    for key in AppKey.objects.all():
        state = imported.get(f"{key.app} {key.platform} {key.environment}")
        if state is not None:
            yield key, _("Imported from the legacy .ini (%(state)s).") % {"state": STATES[state][0]}


def _show(desk: Desk[AppKey], request: HttpRequest, more: dict[str, Any], status: int = 200) -> HttpResponse:
    context = {
        "title": _("Import from legacy .ini"),
        "back": desk.url("changelist"),
        "again": desk.url("import_page"),
        **more,
    }
    return desk.show(request, "console/key_import.html", context, status=status, is_private=True)
