"""RQ's own pages, in English and behind a permission.

As they come, any member of staff may empty a queue. Here reading needs `django_rq.admin`, and so does acting; the
pages are the library's own, and so are their words.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import translation
from django_rq.urls import get_admin_urlpatterns, get_api_urlpatterns
from redis import ResponseError
from rq.exceptions import NoSuchJobError

from pushes.workers import foreign_values, job_check, queues, refused_jobs

log = logging.getLogger(__name__)
PERMISSION = "django_rq.admin"
PREFIX = "django_rq_"
#: What the library raises over an address about nothing: a number of no queue, a name that no job or worker can have; a
#: job or (asserted) a worker that is gone since the list was shown; a page for a package that is not installed; what a
#: stranger has put into Redis, and nobody can read or has an address for.
NOT_THERE = (
    LookupError,
    ValueError,
    OverflowError,
    NoSuchJobError,
    AssertionError,
    ImproperlyConfigured,
    NoReverseMatch,
)
View = Callable[..., HttpResponseBase]


def urls() -> list[URLPattern]:
    """The library's, beside the desk: its first page has made room for the desk's own."""
    found: list[URLPattern] = [*get_api_urlpatterns(PREFIX), *get_admin_urlpatterns(PREFIX)]
    return [_guarded(pattern) for pattern in found]


def _guarded(pattern: URLPattern) -> URLPattern:
    view = only_permitted(pattern.callback)
    if pattern.name == f"{PREFIX}home":
        return path("rq/", view, name=pattern.name)
    pattern.callback = view
    return pattern


def only_permitted(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not admin.site.has_permission(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        # The library finds the addresses of its own pages by it.
        request.current_app = admin.site.name
        found = _shown(view, request, *args, **kwargs)
        if found is None and request.method == "GET" and _cleared():
            found = _shown(view, request, *args, **kwargs)
        if found is None:
            raise Http404
        return found

    return guarded


def _shown(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase | None:
    """The page; None when there is nothing to show, or something that nobody can read."""
    try:
        with translation.override("en"):
            return view(request, *args, **kwargs)
    except NOT_THERE as error:
        log.info("%s: nothing to show: %r", view.__name__, error)
    except ResponseError as error:
        if not job_check.is_wrong_type(error):
            raise
    return None


def _cleared() -> bool:
    """Whether there was something in the queues' keys that nobody can read. One such entry hides a whole page."""
    number = foreign_values.clear([queues.queue(name) for name in settings.RQ_QUEUES])
    refused_jobs.store()
    return number > 0
