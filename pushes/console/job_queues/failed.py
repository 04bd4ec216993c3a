"""The failed jobs of a queue: a list, a page for each, and acts on one job or on several."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.job_queues.words import doing
from pushes.console.site.desk import Desk
from pushes.console.site.pages import Done, Question, RefusedError, answered
from pushes.workers import failed_jobs
from pushes.workers.failed_jobs import FailedJob

MAX_SHOWN = 50


def list_page(desk: Desk[Any], request: HttpRequest, queue_name: str) -> HttpResponse:
    number = failed_jobs.numbers([queue_name])[queue_name]
    context = {
        "title": _list_title(queue_name),
        "queue_name": queue_name,
        "jobs": [(job, doing(job.call)) for job in failed_jobs.latest(queue_name, MAX_SHOWN)],
        "number": number,
        "most": MAX_SHOWN,
        "is_all": number <= MAX_SHOWN,
    }
    return desk.show(request, "console/failed_jobs.html", context)


def _list_title(queue_name: str) -> str:
    return _("Failed jobs of %(queue)s") % {"queue": queue_name}


def job_page(desk: Desk[Any], request: HttpRequest, queue_name: str, job_id: str) -> HttpResponse:
    job = _job(queue_name, job_id)
    context = {
        "title": _("Failed job"),
        "queue_name": queue_name,
        "job": job,
        "doing": doing(job.call),
        "refusal": _refusal(job),
        "parents": [(_list_title(queue_name), desk.url("failed", queue_name))],
    }
    return desk.show(request, "console/failed_job.html", context)


def requeue_page(desk: Desk[Any], request: HttpRequest, queue_name: str, job_id: str) -> HttpResponse:
    job = _job(queue_name, job_id)

    def act(_data: dict[str, Any]) -> str:
        if not failed_jobs.requeue(queue_name, [job_id.encode()]):
            raise RefusedError(_("Nothing was changed: the job is no longer among the failed jobs."))
        return _("The job is back in its queue.")

    question = Question(
        title=_("Run this failed job again?"),
        text=_again(),
        button=_("Run again"),
        act=act,
        facts=_facts(queue_name, job),
        obstacle=_refusal(job),
    )
    return _ask(desk, request, queue_name, question, job_id)


def delete_page(desk: Desk[Any], request: HttpRequest, queue_name: str, job_id: str) -> HttpResponse:
    def act(_data: dict[str, Any]) -> str:
        if not failed_jobs.delete(queue_name, [job_id.encode()]):
            raise RefusedError(_("Nothing was changed: the job is no longer among the failed jobs."))
        return _("Failed job deleted.")

    question = Question(
        title=_("Delete this failed job?"),
        text=_gone(),
        button=_("Delete"),
        act=act,
        facts=_facts(queue_name, _job(queue_name, job_id)),
        is_dangerous=True,
    )
    return _ask(desk, request, queue_name, question, job_id)


def requeue_all_page(desk: Desk[Any], request: HttpRequest, queue_name: str) -> HttpResponse:
    job_ids = failed_jobs.entries(queue_name)
    title = ngettext("Run %(n)s failed job again?", "Run %(n)s failed jobs again?", len(job_ids))

    def act(_data: dict[str, Any]) -> str:
        number = failed_jobs.requeue(queue_name, job_ids)
        if not number:
            raise RefusedError(_("Nothing was changed: none of these is a failed job of the platform."))
        done = ngettext("%(n)s job is back in its queue.", "%(n)s jobs are back in their queue.", number)
        return done % {"n": number}

    question = Question(
        title=title % {"n": len(job_ids)},
        text=_again(),
        button=_("Run again"),
        act=act,
        facts=[(_("Queue"), queue_name)],
        obstacle=_none(job_ids),
    )
    return _ask(desk, request, queue_name, question)


def delete_all_page(desk: Desk[Any], request: HttpRequest, queue_name: str) -> HttpResponse:
    job_ids = failed_jobs.entries(queue_name)
    title = ngettext("Delete %(n)s failed job?", "Delete %(n)s failed jobs?", len(job_ids))

    def act(_data: dict[str, Any]) -> str:
        number = failed_jobs.delete(queue_name, job_ids)
        return ngettext("%(n)s failed job deleted.", "%(n)s failed jobs deleted.", number) % {"n": number}

    question = Question(
        title=title % {"n": len(job_ids)},
        text=_gone(),
        button=_("Delete"),
        act=act,
        facts=[(_("Queue"), queue_name)],
        is_dangerous=True,
        obstacle=_none(job_ids),
    )
    return _ask(desk, request, queue_name, question)


def _job(queue_name: str, job_id: str) -> FailedJob:
    job = failed_jobs.find(queue_name, job_id)
    if job is None:
        raise Http404
    return job


def _facts(queue_name: str, job: FailedJob) -> list[tuple[str, str]]:
    return [(_("Queue"), queue_name), (_("Job"), doing(job.call)), (_("Error"), job.last_line or "–")]


def _refusal(job: FailedJob) -> str:
    """Why the job may not run; "" if it may."""
    if job.refusal is None:
        return ""
    return _("This is not a job of the platform and never runs: %(reason)s.") % {"reason": job.refusal.label}


def _none(job_ids: Sequence[bytes]) -> str:
    return "" if job_ids else _("No failed jobs in this queue.")


def _again() -> str:
    return _("The job reads its rows again: work already done is not done twice.")


def _gone() -> str:
    return _("The pushes of the job stay; those that are due are queued again automatically.")


def _ask(desk: Desk[Any], request: HttpRequest, queue_name: str, question: Question, job_id: str = "") -> HttpResponse:
    """Ask the question, and log the act: a job is not a row, and has no history."""

    def act(data: dict[str, Any]) -> Done:
        done = str(question.act(data))
        LogEntry.objects.create(
            user_id=request.user.pk or 0,
            content_type=ContentType.objects.get_for_model(desk.model),
            object_id=job_id,
            object_repr=queue_name,
            action_flag=CHANGE,
            change_message=done,
        )
        return Done(done)

    return answered(desk, request, lambda: replace(question, act=act), desk.url("failed", queue_name))
