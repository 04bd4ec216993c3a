"""Say what a job does, in the reader's words."""

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.workers import job_check

_WORDS: dict[str, Callable[[Any], str]] = {
    job_check.DISTRIBUTE_JOB: lambda ids: (
        ngettext("distribute %(n)s push", "distribute %(n)s pushes", len(ids)) % {"n": len(ids)}
    ),
    job_check.SEND_JOB: lambda ids: (
        ngettext("send to %(n)s device", "send to %(n)s devices", len(ids)) % {"n": len(ids)}
    ),
    job_check.EXPAND_JOB: lambda pk: _("list the audience of broadcast #%(id)s") % {"id": pk},
    job_check.EXPORT_JOB: lambda pk: _("write export #%(id)s") % {"id": pk},
}


def doing(call: job_check.Call | None) -> str:
    """Say what one of our jobs does; of any other job, what the job would call."""
    if call is None:
        return _("unreadable job")
    path, _instance, arguments, _keywords = call
    known = job_check.FORMER_PATHS.get(path, path)
    takes = job_check.ARGUMENTS.get(known)
    if takes is None or len(arguments) != 1 or not takes(arguments[0]):
        return job_check.shown(path)
    return _WORDS[known](arguments[0])
