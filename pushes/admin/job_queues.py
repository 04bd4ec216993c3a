"""RQ's own pages, inside the theme and behind a permission.

As they come, any member of staff may empty a queue. Here reading needs `django_rq.admin`, and so
does acting; the pages are the library's own, in this console's frame.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, reverse
from django.utils.translation import gettext
from django_rq.admin import QueueAdmin
from redis import ResponseError
from rq.exceptions import NoSuchJobError

from pushes import jobcheck
from pushes.admin import rq_words

log = logging.getLogger(__name__)
PERMISSION = "django_rq.admin"
#: What the library raises over an address about nothing: a number of no queue, a name that no job or worker can have; a
#: job or (asserted) a worker that is gone since the list was shown; a page for a package that is not installed; what a
#: stranger has put into Redis, and nobody can read.
NOT_THERE = (LookupError, ValueError, OverflowError, NoSuchJobError, AssertionError, ImproperlyConfigured)
View = Callable[..., HttpResponseBase]
Dashboard = apps.get_model("django_rq", "Dashboard")


def only_permitted(view: View) -> View:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not admin.site.has_permission(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        try:
            return _readable(view(request, *args, **kwargs))
        except NOT_THERE as error:
            log.info("%s: nothing to show: %r", view.__name__, error)
            raise Http404 from error
        except ResponseError as error:
            if not jobcheck.is_wrong_type(error):
                raise
            raise Http404 from error

    return guarded


def _readable(answer: HttpResponseBase) -> HttpResponseBase:
    """A page of the library in the reader's words; JSON, metrics and redirections as they are."""
    if isinstance(answer, HttpResponse) and answer.status_code == 200 and "text/html" in answer["Content-Type"]:
        answer.content = rq_words.translated(answer.content.decode(), gettext("Job queues"))
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
