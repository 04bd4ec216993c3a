"""The test send: a broadcast's message to a few named devices, and the outcomes."""

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.broadcasts import trial_send
from pushes.broadcasts.trial_send import MAX_NAMES, Named
from pushes.console.site.desk import Desk
from pushes.console.site.marks import with_channels
from pushes.console.site.pages import Done
from pushes.console.site.theme import widgets
from pushes.models import Broadcast, mask_token
from pushes.names import TERMINAL, BroadcastStatus
from pushes.people.directory import DirectoryError
from pushes.submit import InvalidMessageError
from pushes.text import device_tokens, notes

PERMISSION = "pushes.test_device"
#: What can still be changed, approved or stopped is worth a test.
TESTABLE = (BroadcastStatus.DRAFT, BroadcastStatus.WAITING, BroadcastStatus.SCHEDULED)
#: The page of a review with the panel below it.
BELOW_REVIEW = "console/broadcast_review.html"
#: An account id is shorter, and may be repeated whole; a token may not.
MAX_SHOWN = 24


class TestForm(forms.Form):
    names = forms.CharField(
        label=gettext_lazy("Account IDs or device tokens"),
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Up to 20, one per line or separated by commas or spaces. An account stands for all its devices."
        ),
    )
    #: Names this very form: sent twice, it sends once.
    nonce = forms.CharField(max_length=32, widget=forms.HiddenInput)

    def __init__(self, *args: Any, broadcast: Broadcast, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["nonce"].initial = secrets.token_hex(8)
        self.broadcast = broadcast
        self.named = Named({}, [])

    def clean_names(self) -> list[str]:
        names = list(dict.fromkeys(device_tokens.words(self.cleaned_data["names"])))
        if len(names) > MAX_NAMES:
            raise forms.ValidationError(
                _("%(n)s entries are too many: a test goes to at most %(most)s.") % {"n": len(names), "most": MAX_NAMES}
            )
        try:
            named = trial_send.devices_of(self.broadcast.apps, names)
        except DirectoryError as error:
            raise forms.ValidationError(notes.words(error.note)) from None
        if named.unknown or not named.devices:
            unknown = ", ".join(map(_shown, named.unknown)) or "–"
            raise forms.ValidationError(
                _("No active device in %(app)s for: %(names)s. Nothing was sent.")
                % {"app": " / ".join(self.broadcast.apps), "names": unknown}
            )
        if named.number > MAX_NAMES:
            raise forms.ValidationError(
                _("%(n)s devices are too many: a test goes to at most %(most)s.")
                % {"n": named.number, "most": MAX_NAMES}
            )
        self.named = named
        return names


def _shown(name: str) -> str:
    return name if len(name) <= MAX_SHOWN else mask_token(name)


def is_offered(broadcast: Broadcast, user: Any) -> bool:
    return broadcast.status in TESTABLE and bool(user.has_perm(PERMISSION))


def panel(desk: Desk[Broadcast], broadcast: Broadcast, form: TestForm | None = None) -> dict[str, Any]:
    """The context of the panel, on every page that includes the panel."""
    rows = with_channels(trial_send.results(broadcast))
    return {
        "test_form": form or TestForm(broadcast=broadcast),
        "test_url": desk.url("test_page", broadcast.pk),
        "deliveries": rows,
        "is_testing": any(row.status not in TERMINAL for row in rows),
        "is_testable": broadcast.status in TESTABLE,
    }


def answer(desk: Desk[Broadcast], request: HttpRequest, broadcast: Broadcast) -> Done | HttpResponse:
    """On a GET show the panel as a page (`?part`: only the results); on a POST send, and return to the review."""
    if "part" in request.GET:
        return TemplateResponse(request, "console/broadcast_test_results.html", panel(desk, broadcast))
    if request.method != "POST":
        return _page(desk, request, broadcast, None)
    if broadcast.status not in TESTABLE:
        messages.error(request, _("This broadcast was already launched and can no longer be tested."))
        return HttpResponseRedirect(desk.url("progress_page", broadcast.pk))
    form = TestForm(request.POST, broadcast=broadcast)
    if not form.is_valid():
        return _page(desk, request, broadcast, form)
    try:
        is_new = trial_send.send_broadcast(broadcast, form.named.devices, nonce=form.cleaned_data["nonce"])
    except (InvalidMessageError, DirectoryError) as error:
        form.add_error("names", notes.words(error.note))
        return _page(desk, request, broadcast, form)
    may_send = request.user.has_perm("pushes.send_broadcast") and broadcast.status != BroadcastStatus.SCHEDULED
    back = desk.url("send_page" if may_send else "test_page", broadcast.pk)
    panel_again = HttpResponseRedirect(f"{back}#test-send")
    if not is_new:
        messages.info(request, _("This test was already sent. Nothing is sent twice."))
        return panel_again
    number = form.named.number
    done = ngettext("A test was sent to %(n)s device.", "A test was sent to %(n)s devices.", number) % {"n": number}
    return Done(done, history=[(broadcast, done)], page=panel_again)


def _page(desk: Desk[Broadcast], request: HttpRequest, broadcast: Broadcast, form: TestForm | None) -> HttpResponse:
    context = {"title": _("Test send"), **panel(desk, broadcast, form)}
    status = 422 if form is not None and form.errors else 200
    return desk.show(request, "console/broadcast_test_page.html", context, row=broadcast, status=status)
