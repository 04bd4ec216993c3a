"""RQ's own pages, inside the theme and behind a permission.

As they come, any member of staff may empty a queue. Here reading needs `django_rq.admin`, and so
does acting; the pages are the library's own, in this console's frame.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils.translation import gettext
from django_rq.admin import QueueAdmin
from redis import ResponseError
from rq.exceptions import NoSuchJobError

from pushes.console import job_queue_words
from pushes.workers import foreign_values, job_check, queues, refused_jobs

log = logging.getLogger(__name__)
PERMISSION = "django_rq.admin"
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
Dashboard = apps.get_model("django_rq", "Dashboard")


def only_permitted(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not admin.site.has_permission(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
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
        return _readable(view(request, *args, **kwargs))
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


def _readable(answer: HttpResponseBase) -> HttpResponseBase:
    """A page of the library in the reader's words; JSON, metrics and redirections as they are."""
    if isinstance(answer, HttpResponse) and answer.status_code == 200 and "text/html" in answer["Content-Type"]:
        answer.content = job_queue_words.translated(answer.content.decode(), gettext("Job queues"))
    return answer


def _is_of_a_row(pattern: URLPattern) -> bool:
    """Pages of single rows of the library's model, which has no table. The list's address stays."""
    name = pattern.name or ""
    return (name.startswith("django_rq_dashboard_") and name != "django_rq_dashboard_changelist") or not name


if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class JobQueues(QueueAdmin):  # type: ignore[misc]
    def get_urls(self) -> list[URLPattern]:
        urls = [pattern for pattern in super().get_urls() if not _is_of_a_row(pattern)]
        for pattern in urls:
            pattern.callback = only_permitted(pattern.callback)
        return urls

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(PERMISSION)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
