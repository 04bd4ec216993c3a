"""A test push to one account: a real push, judged, logged and sent like any other, and watched as it goes.

The form carries a number of its own, which names the push: a double click or a reload sends it once.
"""

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes import windows
from pushes.admin import why
from pushes.admin.confirm import Question, RefusedError, ask
from pushes.admin.desk import Desk
from pushes.admin.theme import widgets
from pushes.directory import DirectoryError, directory
from pushes.models import Account, DeliveryResult, PushRecord, policies
from pushes.names import TERMINAL, App, Kind, Platform, PushType, RecordStatus
from pushes.submit import submit
from pushes.values import Audience, PushMessage

SOURCE = "console-test"
#: A test that could not be sent by then would only surprise whoever gets it.
LIFETIME = timedelta(minutes=10)
LONGEST_TEXT = 500
SHOWN = 50


class TrialForm(forms.Form):
    app = forms.ChoiceField(label=gettext_lazy("App"), choices=App.choices, widget=widgets.UnfoldAdminSelectWidget())
    platform = forms.ChoiceField(
        label=gettext_lazy("Platform"),
        choices=[("", gettext_lazy("all")), *Platform.choices],
        required=False,
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    title = forms.CharField(label=gettext_lazy("Title"), max_length=128, widget=widgets.UnfoldAdminTextInputWidget())
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=LONGEST_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    nonce = forms.RegexField(r"\A[0-9a-f]{16}\Z", widget=forms.HiddenInput())


def page(desk: Desk[Account], request: HttpRequest, account: Account) -> HttpResponse:
    """A GET shows the form, a POST sends and leads to the page that watches the push."""
    change = desk.url("change", account.pk)
    question = Question(
        title=_("Send a test push to %(account)s?") % {"account": account},
        text=_(
            "It is a real push of the default type: it goes to every active device of the account in this app, is "
            "judged by the same rules, and stands in the delivery log. Not sent within ten minutes, it expires."
        ),
        button=_("Send the test push"),
        facts=_facts(account),
        form=TrialForm,
        initial={
            "title": _("Test push"),
            "text": _("Sent by an operator to try this device."),
            "nonce": secrets.token_hex(8),
            **{name: request.GET[name] for name in ("app", "platform") if name in request.GET},
        },
        warning=_window_warning(),
    )
    nonce = request.POST.get("nonce", "")
    back = result_url(desk, account, nonce) if nonce else change

    def act(data: dict[str, Any]) -> str:
        result = submit([_message(account, data)])
        if not result.accepted:
            raise RefusedError(_("This test push was sent already: here is what became of it."))
        return _("A test push was sent: #%(push)s") % {"push": result.record_ids[0]}

    return ask(desk, request, question, act, row=account, back=back, cancel=change)


def result_page(desk: Desk[Account], request: HttpRequest, account: Account) -> HttpResponse:
    """What has become of a test push so far; with `part` the figures alone, for the page's own refresh."""
    nonce = request.GET.get("test", "")
    record = PushRecord.objects.filter(message_id=message_id(nonce), source=SOURCE).first()
    if record is None or account.pk not in record.accounts:
        raise Http404
    deliveries = list(DeliveryResult.objects.filter(record=record).prefetch_related("record").order_by("id")[:SHOWN])
    is_waiting = record.status == RecordStatus.PENDING
    is_over = not is_waiting and all(row.status in TERMINAL for row in deliveries)
    context = {
        **desk.admin_site.each_context(request),
        "title": _("Test push to %(account)s") % {"account": account},
        "opts": desk.opts,
        "original": account,
        "record": record,
        "deliveries": deliveries,
        "is_waiting": is_waiting,
        "is_over": is_over or record.expires_at < timezone.now(),
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


def _message(account: Account, data: dict[str, Any]) -> PushMessage:
    platform = Platform(data["platform"]) if data["platform"] else None
    return PushMessage(
        kind=Kind.SYSTEM,
        app=App(data["app"]),
        audience=Audience((account.pk,), platform),
        title=data["title"],
        text=data["text"],
        source=SOURCE,
        identity=f"{account.pk}:{data['nonce']}",
        push_type=PushType.DEFAULT,
        message_id=message_id(data["nonce"]),
        expires_at=timezone.now() + LIFETIME,
    )


def _facts(account: Account) -> list[tuple[str, str]]:
    """What decides on the push before a provider does."""
    return [
        (_("Login"), account.get_login_status_display()),
        (_("Pushes"), account.get_push_status_display()),
        *((str(app.label), _devices(account, app)) for app in App),
    ]


def _devices(account: Account, app: App) -> str:
    try:
        found = directory().devices([account.pk], app).get(account.pk, [])
    except DirectoryError:
        return _("the directory does not answer")
    if not found:
        return _("no active device")
    numbers = {platform: sum(device.platform == platform for device in found) for platform in Platform}
    return ", ".join(f"{number} × {platform.label}" for platform, number in numbers.items() if number)


def _window_warning() -> str:
    """At night a push of this type may wait for the morning, which a test does not live to see."""
    policy = policies()[PushType.DEFAULT]
    decision = windows.decide(policy.window_policy, policy.window, timezone.now(), ZoneInfo(settings.TIME_ZONE))
    if decision == windows.SEND_NOW:
        return ""
    return _("The delivery window of this push type (%(window)s) is closed now: the test push will not be sent.") % {
        "window": policy.window
    }
