"""The page of a failed request: a fault of our own, or a missing service behind the console."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import defaults
from redis import RedisError

from pushes.storage import outages

RETRY_SECONDS = 5


def of(request: HttpRequest, error: BaseException) -> HttpResponse | None:
    """A plain page that needs no service and says what is wrong; None for a fault of the program."""
    text = _matter(error)
    if not text:
        return None
    response = render(request, "503.html", {"text": text}, status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def page(request: HttpRequest, error: BaseException) -> HttpResponseBase:
    """The same page, or the page that says that something failed on our side."""
    return of(request, error) or defaults.server_error(request)


def _matter(error: BaseException) -> str:
    if isinstance(error, RedisError):
        return _("Redis does not answer.")
    if outages.is_locked(error):
        return _("The database is locked: another session changes or backs up a table.")
    if outages.passes(error):
        return _("The database does not answer.")
    if outages.concerns_everything(error):
        return _("The database lacks a table, a column or a right. Apply the migrations: manage.py migrate")
    return ""
