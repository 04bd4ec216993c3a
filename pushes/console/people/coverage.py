"""The page that tells how many accounts each channel reaches, and how many only that one."""

from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis import RedisError

from pushes.console.people.mutes import OWN_DIRECTORY
from pushes.console.site.desk import Desk
from pushes.console.site.pages import RefusedError
from pushes.models import Device
from pushes.people import coverage
from pushes.people.coverage import Coverage, Reach

NO_REDIS = gettext_lazy("Redis does not answer: the count cannot be read right now. Try again later.")


def page(desk: Desk[Device], request: HttpRequest) -> HttpResponse:
    """A GET shows the count and goes on with it (`?part`: the tables alone, for the page's own refresh); a POST begins
    anew."""
    if request.method == "POST":
        return _begin_anew(request)
    if settings.DIRECTORY != OWN_DIRECTORY:
        return desk.show(request, "console/coverage.html", {"title": title(), "is_elsewhere": True})
    is_part = "part" in request.GET
    try:
        # The page itself comes at once, and its parts count.
        count = coverage.count_on(1.0 if is_part else 0.0)
    except RedisError:
        if is_part:
            return HttpResponse(status=503)
        raise RefusedError(str(NO_REDIS)) from None
    context = {
        "title": title(),
        "count": count,
        "tables": [(one, _rows(desk, one)) for one in coverage.coverages(count)],
        "part_url": "?part",
        "back": desk.url("changelist"),
    }
    if is_part:
        return TemplateResponse(request, "console/coverage_part.html", context)
    return desk.show(request, "console/coverage.html", context)


def _begin_anew(request: HttpRequest) -> HttpResponse:
    try:
        coverage.begin_anew()
    except RedisError:
        raise RefusedError(str(NO_REDIS)) from None
    return HttpResponseRedirect(request.path)


def title() -> str:
    return _("Reach of the channels")


def _rows(desk: Desk[Device], one: Coverage) -> list[tuple[Reach, str]]:
    """The channels of a table, each with the address of its devices."""
    app, platform, environment = one.scope
    scope = {"app__exact": app.value, "platform__exact": platform.value, "environment__exact": environment.value}
    address = desk.url("changelist")
    return [
        (reach, f"{address}?{urlencode({**scope, 'channel__exact': reach.channel.value, 'is_active__exact': 1})}")
        for reach in one.channels
    ]
