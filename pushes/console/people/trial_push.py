"""A test push to devices of one account: real pushes, judged, logged and sent like any other, and watched on the way.

The form has a number of its own, which identifies the push: a double click or a reload sends the push once.
"""

import secrets
from collections import defaultdict
from functools import partial
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.broadcasts import trial_send
from pushes.console.delivery_log import why
from pushes.console.site.blanks import refuse_blanks
from pushes.console.site.desk import Desk
from pushes.console.site.marks import with_channels
from pushes.console.site.pages import Question, RefusedError
from pushes.console.site.theme import widgets
from pushes.distribution import windows
from pushes.models import Account, DeliveryResult, PushRecord, mask_token, policies
from pushes.names import TERMINAL, App, Kind, PushType
from pushes.people.directory import DirectoryError, directory
from pushes.storage import clocks
from pushes.submit import InvalidMessageError
from pushes.text import notes
from pushes.values import Audience, DeviceTarget, PushMessage

SOURCE = "console-test"
MAX_TEXT = 500
SHOWN = 50
#: What a device is called in the form, which shows nobody a whole token, → its app and itself.
Choices = dict[str, tuple[App, DeviceTarget]]


class TrialForm(forms.Form):
    devices = forms.MultipleChoiceField(
        label=gettext_lazy("Devices"), widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget
    )
    title = forms.CharField(label=gettext_lazy("Title"), max_length=128, widget=widgets.UnfoldAdminTextInputWidget())
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=MAX_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    nonce = forms.RegexField(r"\A[0-9a-f]{16}\Z", widget=forms.HiddenInput())

    def __init__(self, *args: Any, choices: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        devices: Any = self.fields["devices"]
        devices.choices = [(name, _described(app, device)) for name, (app, device) in choices.items()]
        self._choices = choices

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        refuse_blanks(self, "title", "text")
        return cleaned

    def clean_devices(self) -> dict[App, list[DeviceTarget]]:
        picked: defaultdict[App, list[DeviceTarget]] = defaultdict(list)
        for name in self.cleaned_data["devices"]:
            app, device = self._choices[name]
            picked[app].append(device)
        if sum(map(len, picked.values())) > trial_send.MAX_NAMES:
            raise forms.ValidationError(
                _("%(n)s devices are too many: a test goes to at most %(most)s.")
                % {"n": len(self.cleaned_data["devices"]), "most": trial_send.MAX_NAMES}
            )
        return dict(picked)


def question(desk: Desk[Account], request: HttpRequest, account: Account) -> Question:
    """Ask for the test push; an answer sends, and leads to the page that watches the push. `?device` is the id of a
    device of this account that is picked already."""
    choices, warnings = _choices(account)
    asked_for = request.GET.get("device", "")
    picked = [name for name, (_app, device) in choices.items() if str(device.device_id) == asked_for]
    nonce = request.POST.get("nonce", "")
    return Question(
        title=_("Send a test push to %(account)s?") % {"account": account},
        text=_(
            "This is a real push of the default type: it goes to the devices you pick, follows the same rules, and "
            "appears in the delivery log. It expires if not sent within ten minutes."
        ),
        button=_("Send the test push"),
        act=partial(_send, account),
        facts=[(_("Login"), account.get_login_status_display()), (_("Pushes"), account.get_push_status_display())],
        form=partial(TrialForm, choices=choices),
        initial={
            "title": _("Test push"),
            "text": _("Sent by an operator to test this device."),
            "nonce": secrets.token_hex(8),
            "devices": picked or (list(choices) if len(choices) == 1 else []),
        },
        warnings=warnings or _window_warning(),
        back=result_url(desk, account, nonce) if nonce else "",
        cancel=desk.url("change", account.pk),
    )


def _send(account: Account, data: dict[str, Any]) -> str:
    try:
        is_new = trial_send.send(lambda app: _message(account, app, data), data["devices"])
    except (InvalidMessageError, DirectoryError) as error:
        raise RefusedError(notes.words(error.note)) from None
    if not is_new:
        raise RefusedError(_("This test push was already sent. Its result is below."))
    number = sum(map(len, data["devices"].values()))
    return ngettext("A test was sent to %(n)s device.", "A test was sent to %(n)s devices.", number) % {"n": number}


def result_page(desk: Desk[Account], request: HttpRequest, account: Account) -> HttpResponse:
    """Show the test push so far; with `part` only the figures, for the page's own refresh."""
    nonce = request.GET.get("test", "")
    records = list(PushRecord.objects.filter(message_id=message_id(nonce), source=SOURCE).order_by("id"))
    if not records or account.pk not in records[0].accounts:
        raise Http404
    record = records[0]
    deliveries = with_channels(
        DeliveryResult.objects.filter(record__in=records).prefetch_related("record").order_by("id")[:SHOWN]
    )
    is_over = all(row.status in TERMINAL for row in deliveries)
    context = {
        **desk.admin_site.each_context(request),
        "title": _("Test push to %(account)s") % {"account": account},
        "opts": desk.opts,
        "original": account,
        "record": record,
        "deliveries": deliveries,
        "is_over": is_over or record.expires_at < clocks.now(),
        "part_url": "?" + urlencode({"test": nonce, "part": "1"}),
        "why_url": why.url(account.pk, record.message_id),
        "again": desk.url("test_page", account.pk),
        "back": desk.url("change", account.pk),
    }
    template = "console/test_push_part.html" if "part" in request.GET else "console/test_push.html"
    return TemplateResponse(request, template, context)


def result_url(desk: Desk[Account], account: Account, nonce: str) -> str:
    return f"{desk.url('tested_page', account.pk)}?{urlencode({'test': nonce})}"


def message_id(nonce: str) -> str:
    return f"test-{nonce}"


def _message(account: Account, app: App, data: dict[str, Any]) -> PushMessage:
    return PushMessage(
        kind=Kind.SYSTEM,
        app=app,
        audience=Audience((account.pk,)),
        title=data["title"],
        text=data["text"],
        source=SOURCE,
        identity=f"{account.pk}:{data['nonce']}:{app}",
        push_type=PushType.DEFAULT,
        message_id=message_id(data["nonce"]),
    )


def _choices(account: Account) -> tuple[Choices, list[str]]:
    """The account's active devices, and what prevents a test."""
    found: Choices = {}
    for app in App:
        try:
            devices = directory().devices([account.pk], app).get(account.pk, [])
        except DirectoryError:
            return {}, [
                _("The account directory does not answer: devices cannot be listed right now. Try again later.")
            ]
        found |= {blake2b(f"{app}:{d.token}".encode(), digest_size=8).hexdigest(): (app, d) for d in devices}
    return found, [] if found else [_("This account has no active device.")]


def _described(app: App, device: DeviceTarget) -> str:
    return (
        f"{app} {device.platform.label} {device.channel.label} {mask_token(device.token)} ({device.environment.label})"
    )


def _window_warning() -> list[str]:
    """Warn that at night a push of this type may wait for the morning: a test expires before that."""
    policy = policies()[PushType.DEFAULT]
    decision = windows.decide(policy.window_policy, policy.window, clocks.now(), ZoneInfo(settings.TIME_ZONE))
    if decision == windows.SEND_NOW:
        return []
    words = _("The delivery window of this push type (%(window)s) is closed now: the test push will not be sent.")
    return [words % {"window": policy.window}]
