"""The import of the legacy ini: upload, preview, confirm. The file's secrets never reach a page.

Between the preview and the confirmation the file waits in the operator's session, encrypted, for ten minutes.
"""

import json
import time
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes import vault
from pushes.console.site.account_list import decode
from pushes.console.site.desk import Desk
from pushes.console.site.theme import widgets
from pushes.keys import access_ids, ini
from pushes.models import AppKey
from pushes.names import ProviderKind
from pushes.providers import hosts

SESSION_KEY = "key_import"
VALID_SECONDS = 600
MAX_FILE = 64 * 1024
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
        choices=[("", gettext_lazy("Keep existing (new keys: Xinge REST v2)")), *ProviderKind.choices],
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


def page(desk: Desk[AppKey], request: HttpRequest) -> HttpResponse:
    """A GET shows the form; a POST with a file shows the preview; a POST with `confirm` imports."""
    if request.method == "POST" and "confirm" in request.POST:
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
        sealed = vault.encrypt(json.dumps(waiting))
        request.session[SESSION_KEY] = {"sealed": sealed, "until": time.time() + VALID_SECONDS}
    changes = sum(entry.state in (ini.NEW, ini.CHANGED) for entry in entries)
    preview = [(entry, *STATES[entry.state], _doubt(entry, waiting["provider"])) for entry in entries]
    return _show(desk, request, {"preview": preview, "has_errors": has_errors, "changes": changes})


def _doubt(entry: ini.Entry, provider: str | None) -> str:
    """What is odd about the access id, before it is stored."""
    if entry.access_id is None:
        return ""
    app, platform, environment = ini.SCOPES[entry.prefix]
    kept = AppKey.objects.filter(app=app, platform=platform, environment=environment).values_list("provider", flat=True)
    return access_ids.doubt(provider or kept.first() or ProviderKind.XINGE_V2, platform, entry.access_id)


def _options(waiting: dict[str, Any]) -> dict[str, Any]:
    provider = waiting["provider"]
    return {"endpoint_url": waiting["endpoint_url"], "provider": ProviderKind(provider) if provider else None}


def _import(desk: Desk[AppKey], request: HttpRequest) -> HttpResponse:
    """Import what was previewed. A reload finds nothing waiting, and does nothing."""
    waiting = _taken(request)
    if waiting is None:
        messages.warning(request, _("Nothing was imported: the preview has expired. Choose the file again."))
        return HttpResponseRedirect(desk.url("import_page"))
    try:
        entries = ini.apply(waiting["text"], **_options(waiting))
    except ini.LegacyIniError as error:
        messages.error(request, _("Nothing was imported: %(why)s") % {"why": error})
        return HttpResponseRedirect(desk.url("import_page"))
    done = {entry.scope: entry.state for entry in entries if entry.state != ini.SAME}
    _audit(request, done)
    text = ngettext(
        "%(n)s app key imported; the rest were unchanged.",
        "%(n)s app keys imported; the rest were unchanged.",
        len(done),
    )
    messages.success(request, text % {"n": len(done)})
    return HttpResponseRedirect(desk.url("changelist"))


def _taken(request: HttpRequest) -> dict[str, Any] | None:
    """What waits in the session, taken out of it; None when it is gone, too old or unreadable."""
    kept = request.session.pop(SESSION_KEY, None)
    if kept is None or kept["until"] < time.time():
        return None
    try:
        waiting: dict[str, Any] = json.loads(vault.decrypt(kept["sealed"]))
    except vault.SecretUnreadableError:
        return None
    return waiting


def _audit(request: HttpRequest, done: dict[str, str]) -> None:
    for key in AppKey.objects.all():
        scope = f"{key.app} {key.platform} {key.environment}"
        if scope in done:
            note = _("Imported from the legacy .ini (%(state)s).") % {"state": STATES[done[scope]][0]}
            LogEntry.objects.log_actions(request.user.pk or 0, [key], CHANGE, note, single_object=True)


def _show(desk: Desk[AppKey], request: HttpRequest, more: dict[str, Any], status: int = 200) -> HttpResponse:
    context = {
        "title": _("Import from legacy .ini"),
        "back": desk.url("changelist"),
        "again": desk.url("import_page"),
        **more,
    }
    return desk.show(request, "console/key_import.html", context, status=status, is_private=True)
