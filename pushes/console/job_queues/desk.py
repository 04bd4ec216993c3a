"""The job queues: the waiting jobs of each lane and queue, the work of each worker, and the failed jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from pushes import lanes
from pushes.console.job_queues import failed, rq_pages
from pushes.console.job_queues.words import doing
from pushes.console.site.desk import ReadOnlyDesk
from pushes.console.site.theme import amount
from pushes.names import Kind
from pushes.storage import clocks
from pushes.workers import failed_jobs, queues
from pushes.workers.worker_states import worker_states

#: Of what was done by hand, so much is shown.
MAX_ACTS = 10
#: RQ's model, which has a permission and no table.
Dashboard = apps.get_model("django_rq", "Dashboard")


@dataclass(frozen=True, slots=True)
class Row:
    """A lane or a queue: the number of waiting jobs, the time of the oldest, its age in words, and the number of failed
    jobs."""

    name: str
    jobs: int
    since: datetime
    oldest: str
    failed: int
    workers: int = 0


if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)


@admin.register(Dashboard)
class JobQueues(ReadOnlyDesk[Any]):
    def get_urls(self) -> list[URLPattern]:
        own = [
            self._path("", JobQueues.changelist_view, "changelist"),
            self._path("failed/<str:queue_name>/", failed.list_page, "failed"),
            self._path("failed/<str:queue_name>/requeue/", failed.requeue_all_page, "requeue_all"),
            self._path("failed/<str:queue_name>/delete/", failed.delete_all_page, "delete_all"),
            self._path("failed/<str:queue_name>/jobs/<str:job_id>/", failed.job_page, "job"),
            self._path("failed/<str:queue_name>/jobs/<str:job_id>/requeue/", failed.requeue_page, "requeue"),
            self._path("failed/<str:queue_name>/jobs/<str:job_id>/delete/", failed.delete_page, "delete_job"),
        ]
        return own + rq_pages.urls()

    def _path(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        @wraps(view)
        def permitted(request: HttpRequest, **parts: str) -> HttpResponse:
            if not request.user.has_perm(rq_pages.PERMISSION):
                raise PermissionDenied
            if "queue_name" in parts and parts["queue_name"] not in settings.RQ_QUEUES:
                raise Http404
            return view(self, request, **parts)

        return path(route, self.admin_site.admin_view(permitted), name=f"django_rq_dashboard_{name}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        now = clocks.now()
        rows = _queue_rows(now)
        workers = worker_states()
        context = {
            "title": _("Job queues"),
            "lanes": _lane_rows(rows, [worker.name for worker in workers], now),
            "queues": [row for row in rows if row.jobs or row.failed],
            "empty": sum(not (row.jobs or row.failed) for row in rows),
            "workers": [(worker, doing(worker.call)) for worker in workers],
            "acts": _acts(),
            **(extra_context or {}),
        }
        return self.show(request, "console/job_queues.html", context)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(rq_pages.PERMISSION)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


def _queue_rows(now: datetime) -> list[Row]:
    names = list(settings.RQ_QUEUES)
    depths, numbers = queues.depths(names), failed_jobs.numbers(names)
    since = {name: queues.waiting_since([name]) if depths[name] else queues.LATEST for name in names}
    return [Row(name, depths[name], since[name], _age(since[name], now), numbers[name]) for name in names]


def _lane_rows(rows: Sequence[Row], workers: Sequence[str], now: datetime) -> list[Row]:
    found = []
    for lane in lanes.LANES:
        names = set(lanes.queue_names(lane, settings.QUEUE_MAX))
        own = [row for row in rows if row.name in names]
        jobs, failures = sum(row.jobs for row in own), sum(row.failed for row in own)
        since = min((row.since for row in own), default=queues.LATEST)
        label, serving = str(Kind(lane).label), queues.serving(lane, workers)
        found.append(Row(label, jobs, since, _age(since, now), failures, serving))
    return found


def _age(since: datetime, now: datetime) -> str:
    """The age of the oldest job; "" if no job waits, or the job has no time."""
    return "" if since in (queues.EARLIEST, queues.LATEST) else amount(max(now - since, timedelta()))


def _acts() -> list[LogEntry]:
    """What operators did here, the latest first."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Dashboard))
    return list(entries.select_related("user").order_by("-pk")[:MAX_ACTS])
