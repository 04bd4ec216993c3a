"""Each operator's own language and time zone: chosen once, stored in the database, used on every page.

The zone applies to shown and to typed times: filters, schedules, the shortcuts beside the fields. Everything is stored
in UTC, and delivery windows stay in the platform's zone.
"""

import zoneinfo
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.i18n import set_language as django_set_language

from pushes.console.site.theme import ModelForm, widgets
from pushes.models import OperatorPreferences


class PreferencesMiddleware:
    """Switch to the logged-in user's language and zone. A request without a session costs nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        chosen = self._chosen(request)
        if chosen is None:
            return self.get_response(request)
        if chosen.language:
            translation.activate(chosen.language)
            request.LANGUAGE_CODE = translation.get_language() or settings.LANGUAGE_CODE
        with timezone.override(chosen.zone()):
            return self.get_response(request)

    def _chosen(self, request: HttpRequest) -> OperatorPreferences | None:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not request.user.is_authenticated:
            return None
        return OperatorPreferences.objects.filter(user=request.user.pk).first()


def set_language(request: HttpRequest) -> HttpResponseBase:
    """Switch the language as Django does, and store a logged-in user's choice."""
    language = request.POST.get("language", "")
    if request.method == "POST" and request.user.is_authenticated and language in dict(settings.LANGUAGES):
        OperatorPreferences.objects.update_or_create(user=request.user, defaults={"language": language})
    answer: HttpResponse = django_set_language(request)
    return answer


class PreferencesForm(ModelForm[OperatorPreferences]):
    language = forms.ChoiceField(label=gettext_lazy("Language"), required=False, widget=widgets.UnfoldAdminSelectWidget)
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        required=False,
        widget=widgets.UnfoldAdminSelectWidget,
        help_text=gettext_lazy("For all times you see and enter. Delivery windows stay in the platform's time zone."),
    )

    class Meta:
        model = OperatorPreferences
        fields = ("language", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own: Any = self.fields["language"]
        own.choices = [("", _("Browser default")), *settings.LANGUAGES]
        zones: Any = self.fields["time_zone"]
        zones.choices = [
            ("", _("Platform default: %(zone)s") % {"zone": settings.TIME_ZONE}),
            *zone_choices(timezone.now().replace(minute=0, second=0, microsecond=0)),
        ]


@lru_cache(maxsize=1)
def zone_choices(hour: datetime) -> tuple[tuple[str, list[tuple[str, str]]], ...]:
    """Group the zones by continent, each with its offset from UTC at this hour. This reads four hundred files, so the
    result is kept for an hour."""
    areas: dict[str, list[tuple[str, str]]] = {}
    for name in zone_names():
        area, _slash, place = name.partition("/")
        distance = hour.astimezone(zoneinfo.ZoneInfo(name)).strftime("%z")
        label = f"{(place or area).replace('_', ' ')} (UTC{distance[:3]}:{distance[3:5]})"
        areas.setdefault(area, []).append((name, label))
    return tuple(areas.items())


def zone_names() -> tuple[str, ...]:
    """The zones that are named after places, and UTC; no historical aliases."""
    areas = (
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    )
    every = zoneinfo.available_timezones()
    return (*sorted(name for name in every if name.partition("/")[0] in areas and "/" in name), "UTC")
