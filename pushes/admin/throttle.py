"""Failed logins: what a locked-out visitor is told, and the desk on which an administrator lifts the lock.

The counting is django-axes': per user name and address together, in the database. Five wrong passwords for one name
from one address lock that pair alone, so nobody can lock an operator out from elsewhere.
"""

import math
from datetime import datetime, timedelta
from typing import Any

from axes.helpers import get_client_username
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.admin.confirm import Question, RefusedError, ask
from pushes.admin.desk import ReadOnlyDesk, page
from pushes.admin.theme import badge, when
from pushes.models import FailedLogin


def client_address(request: HttpRequest) -> str:
    """The peer's address. The web server has put the one behind a trusted proxy there (BEHIND_PROXY); whatever the
    client writes into X-Forwarded-For is never read here."""
    return str(request.META.get("REMOTE_ADDR", ""))


def attempts(username: str, address: str) -> "QuerySet[Any]":
    """The failures that still count; one row for each browser."""
    since = timezone.now() - settings.AXES_COOLOFF_TIME
    found: QuerySet[Any] = FailedLogin.objects.filter(username=username, ip_address=address, attempt_time__gte=since)
    return found


def locked_until(username: str, address: str) -> datetime | None:
    """When enough failures will have aged for another try; None: it is not locked."""
    rows = list(attempts(username, address).order_by("attempt_time"))
    left = sum(row.failures_since_start for row in rows)
    until = None
    for row in rows:
        if left < settings.AXES_FAILURE_LIMIT:
            break
        left -= row.failures_since_start
        until = row.attempt_time + settings.AXES_COOLOFF_TIME
    return until


def refuse(request: HttpRequest, _response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """django-axes' answer to a login that is locked: 429, with the time left. It says the same for a name that
    does not exist."""
    username = get_client_username(request, credentials) or ""
    until = locked_until(username, client_address(request))
    left = max(until - timezone.now(), timedelta(seconds=1)) if until else settings.AXES_COOLOFF_TIME
    context = {
        **admin.site.each_context(request),
        "title": _("Too many failed logins"),
        "username": username,
        "failures": settings.AXES_FAILURE_LIMIT,
        "wait": wait(left),
    }
    headers = {"Retry-After": str(math.ceil(left.total_seconds()))}
    return TemplateResponse(request, "console/locked.html", context, status=429, headers=headers).render()


def wait(span: timedelta) -> str:
    """`span` in words, rounded up: nobody tries a moment too early."""
    seconds = math.ceil(span.total_seconds())
    if seconds < 60:
        return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}
    minutes = math.ceil(seconds / 60)
    if minutes > 120:
        hours = math.ceil(minutes / 60)
        return ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours}
    return ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes}


@admin.register(FailedLogin)
class FailedLogins(ReadOnlyDesk[FailedLogin]):
    list_display = ("user_name", "address", "failures", "last_try", "state", "browser")
    fields = ("user_name", "address", "failures", "last_try", "state", "browser")
    readonly_fields = fields
    sortable_by = ()
    ordering = ("-attempt_time",)
    actions_detail = ("lift_page",)
    empty_title = gettext_lazy("No failed logins")
    empty_text = gettext_lazy("Wrong passwords are counted per name and address; too many lock that pair for a while.")

    @page(
        gettext_lazy("Lift the lock"),
        permission="pushes.delete_failedlogin",
        icon="lock_open",
        variant="primary",
    )
    def lift_page(self, request: HttpRequest, row: Any) -> HttpResponse:
        question = Question(
            title=_("Let “%(name)s” try again from %(address)s?") % {"name": row.username, "address": row.ip_address},
            text=_("The failed logins of this name from this address are forgotten. Lift a lock only for somebody "
                   "whom you have spoken to."),
            button=_("Lift the lock"),
        )  # fmt: skip
        operator = User.objects.filter(username=row.username).first()

        def lift(_data: dict[str, Any]) -> str:
            gone, _each = FailedLogin.objects.filter(username=row.username, ip_address=row.ip_address).delete()
            if not gone:
                raise RefusedError(_("There is no lock any more."))
            return _("%(name)s may log in from %(address)s again.") % {
                "name": row.username,
                "address": row.ip_address,
            }

        return ask(self, request, question, lift, row=operator or row, back=self.url("changelist"))

    @admin.display(description=gettext_lazy("user name"))
    def user_name(self, row: Any) -> str:
        return str(row.username or "–")

    @admin.display(description=gettext_lazy("address"))
    def address(self, row: Any) -> str:
        return str(row.ip_address or "–")

    @admin.display(description=gettext_lazy("failed logins"))
    def failures(self, row: Any) -> int:
        return int(row.failures_since_start)

    @admin.display(description=gettext_lazy("last try"))
    def last_try(self, row: Any) -> SafeString | str:
        return when(row.attempt_time)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Any) -> SafeString:
        until = locked_until(row.username, row.ip_address)
        if until is None:
            return badge(_("may try"))
        return badge(_("locked for %(time)s") % {"time": wait(until - timezone.now())}, "danger")

    @admin.display(description=gettext_lazy("browser"))
    def browser(self, row: Any) -> str:
        return str(row.user_agent or "–")[:100]
