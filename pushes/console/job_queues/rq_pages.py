"""RQ's own pages, in English and behind a permission.

In the library any member of staff may empty a queue. Here reading and acting both need `django_rq.admin`. The pages and
their words stay the library's.
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
    """The library's addresses, beside the desk: the desk replaces the library's first page."""
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
    """Show the page; None if there is nothing to show, or a value that cannot be read."""
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
    """Remove unreadable values from the queues' keys: one such value hides a whole page. Returns whether there was
    one."""
    number = foreign_values.clear([queues.queue(name) for name in settings.RQ_QUEUES])
    refused_jobs.store()
    return number > 0
