"""Reactivate devices that a wrong key deactivated: the devices of the key's own scope, by time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.site.desk import Desk
from pushes.console.site.pages import Question, RefusedError, page
from pushes.console.site.theme import when, widgets
from pushes.models import AppKey
from pushes.names import PauseCode
from pushes.people import devices
from pushes.storage import clocks

#: Before the spell was noticed, some tokens of it may have been believed dead.
MARGIN = timedelta(minutes=10)
#: For a key that was never in doubt: what to look at first.
LATELY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """The period of the deactivations."""

    since: datetime
    until: datetime

    def as_text(self) -> dict[str, str]:
        """The period in the operator's zone, in the form of the form's fields."""
        both = {"since": self.since, "until": self.until}
        return {name: f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" for name, at in both.items()}


class PeriodForm(forms.Form):
    """The period's two fields. Blank: the last period in which nearly all tokens of the key were refused."""

    since = forms.DateTimeField(label=gettext_lazy("From"), required=False, widget=widgets.UnfoldAdminTextInputWidget())
    until = forms.DateTimeField(
        label=gettext_lazy("To"),
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("In your time zone, like 2026-05-01 08:00."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since >= until:
            self.add_error("until", _("The end must be later than the start."))
        return cleaned


class RestorePages(Desk[AppKey]):
    """The page of an app key that reactivates the key's devices."""

    @page(
        gettext_lazy("Reactivate devices"),
        permission="pushes.change_appkey",
        icon="undo",
        # While its tokens are in doubt, the page of the key says so and has the button beside that.
        applies=lambda key: key.paused_code != PauseCode.TOKENS_DOUBTED,
    )
    def restore_page(self, request: HttpRequest, key: AppKey) -> Question | HttpResponse:
        """Show the number of devices first; another period is counted again before anything is done."""
        asked = PeriodForm(request.POST if request.method == "POST" else request.GET)
        period = _period(key, asked.cleaned_data if asked.is_valid() else {})
        number = devices.refused_in(key.scope, period.since, period.until).count()
        seen = urlencode(period.as_text())
        if request.method == "POST" and asked.is_valid() and request.POST.get("seen", seen) != seen:
            messages.info(request, _("The period was changed: check the number of devices, then confirm."))
            return HttpResponseRedirect(f"{request.path}?{seen}")
        return Question(
            title=_("Reactivate the devices of %(key)s?") % {"key": key},
            text=_(
                "Devices deactivated in this period because the provider did not know their tokens receive pushes "
                "again. If a token is refused again while the key is healthy, the device is deactivated again."
            ),
            button=_("Reactivate the devices"),
            act=lambda _data: _restore(key, period, by=str(request.user)),
            facts=[
                (_("Devices"), f"{number:,}"),
                (_("From"), when(period.since)),
                (_("To"), when(period.until)),
                *([(_("Tokens in doubt since"), when(key.doubted_since))] if key.doubted_since else []),
            ],
            form=PeriodForm,
            initial=period.as_text(),
            seen=seen,
        )


def _restore(key: AppKey, period: Period, *, by: str) -> str:
    done = devices.restore(key.scope, period.since, period.until, by=by)
    if not done:
        raise RefusedError(_("No device was deactivated for this reason in this period."))
    text = ngettext(
        "%(n)s device is active again (deactivated from %(since)s to %(until)s).",
        "%(n)s devices are active again (deactivated from %(since)s to %(until)s).",
        done,
    )
    return text % {"n": f"{done:,}", **period.as_text()}


def _period(key: AppKey, asked: Mapping[str, datetime | None]) -> Period:
    """The asked period, to the second; if none was given, the key's last period of doubt, or the last day."""
    now = clocks.now()
    since = asked.get("since") or (key.doubted_since - MARGIN if key.doubted_since else now - LATELY)
    until = asked.get("until") or (key.doubted_until + MARGIN if key.doubted_until else now)
    return Period(
        since.replace(microsecond=0), until.replace(microsecond=0) + timedelta(seconds=1 if until.microsecond else 0)
    )
