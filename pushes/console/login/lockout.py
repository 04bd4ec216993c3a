"""Failed logins: who has to wait, what the login page says, and the desk on which an administrator lifts a lock.

django-axes counts in the database. A known browser is counted alone. Strangers are counted three times: by name and
address together, by name (guesses at one name from many addresses), and by address (many names from one address). Every
page that asks for a password uses this module.
"""

import ipaddress
import math
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db.models import Q, Sum
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.login import browsers, second_factor
from pushes.console.login.second_factor import KNOWN, Source
from pushes.console.site.desk import ReadOnlyDesk
from pushes.console.site.pages import Done, Question, RefusedError, page
from pushes.console.site.theme import badge, when
from pushes.models import FailedLogin

#: Stands for the address of who comes through a socket file, or from where nobody knows.
NO_ADDRESS = "0.0.0.0"
#: Whoever has one IPv6 address has all of its network of this size.
IPV6_NETWORK = 64


def client_address(request: HttpRequest) -> str:
    """The client's address; of an IPv6 address, the network. Behind a trusted proxy the web server has set the address
    (BEHIND_PROXY); the client's own X-Forwarded-For is never read here."""
    try:
        address = ipaddress.ip_address(str(request.META.get("REMOTE_ADDR", "")).partition("%")[0])
    except ValueError:
        return NO_ADDRESS
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK), strict=False).network_address)


def source(request: HttpRequest, username: str) -> Source:
    """Where a login as `username` comes from."""
    return Source(browsers.known(request, username) or client_address(request))


def locked_until(username: str, address: str, browser: str = "") -> datetime | None:
    """When enough failures will have aged for another attempt; None if there is no lock. `browser` is the name of a
    known browser."""
    ends = [_full_until(counted, most) for counted, most in _ceilings(username, address, browser)]
    return max((end for end in ends if end), default=None)


def _ceilings(username: str, address: str, browser: str) -> list[tuple[Q, int]]:
    """Which failures count together, and their limits."""
    if browser.startswith(KNOWN):
        return [(Q(username=username, user_agent=browser), settings.AXES_FAILURE_LIMIT)]
    strangers = ~Q(user_agent__startswith=KNOWN)
    return [
        (strangers & Q(username=username, ip_address=address), settings.AXES_FAILURE_LIMIT),
        (strangers & Q(username=username), settings.LOGIN_NAME_FAILURES),
        (strangers & Q(ip_address=address), settings.LOGIN_ADDRESS_FAILURES),
    ]


def _strange(agent: str) -> str:
    """The agent of a stranger's browser, never in the form of a known browser's name: known browsers are counted
    alone."""
    return f"?{agent[:200]}" if agent.lower().startswith(KNOWN) else agent


def _full_until(counted: Q, most: int) -> datetime | None:
    """Until when the counted failures reach the limit. A row has the failures of one browser at one name; all of a
    row's failures age together."""
    since = timezone.now() - settings.AXES_COOLOFF_TIME
    rows = FailedLogin.objects.filter(counted, attempt_time__gte=since)
    left = rows.aggregate(n=Sum("failures_since_start"))["n"] or 0
    until = None
    if left >= most:
        for failures, at in rows.order_by("attempt_time").values_list("failures_since_start", "attempt_time"):
            if left < most:
                break
            left -= failures
            until = at + settings.AXES_COOLOFF_TIME
    return until


class LoginHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """Count in the database as django-axes does, with our limits."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the number that locks (AXES_FAILURE_LIMIT), or 0."""
        username = get_client_username(request, credentials) or ""
        is_locked = locked_until(username, client_address(request), browsers.known(request, username))
        return int(settings.AXES_FAILURE_LIMIT) if is_locked else 0

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **more: Any) -> None:
        if request is not None:
            username = get_client_username(request, credentials) or ""
            request.axes_user_agent = browsers.known(request, username) or _strange(request.axes_user_agent)
        super().user_login_failed(sender, credentials, request, **more)

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Forget the wrong passwords from the same place after the right password, and no others."""
        username = get_client_username(request, credentials) or ""
        address, browser = client_address(request), browsers.known(request, username)
        counted, _most = _ceilings(username, address, browser)[0]
        gone, _each = FailedLogin.objects.filter(counted).delete()
        return int(gone)


@receiver(user_logged_in, dispatch_uid="pushes.console.login.lockout.remember")
def remember(request: HttpRequest, user: Any, **_signal: Any) -> None:
    """Remember the browser after the password, for a user without a second factor; otherwise the second factor does
    that."""
    if settings.TWO_FACTOR == "off" or not second_factor.has_one(user):
        browsers.remember(request, user.get_username())


def refuse(request: HttpRequest, _response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer a locked login, in place of django-axes: 429, with the time left. An unknown name gets the same answer."""
    username = get_client_username(request, credentials) or ""
    until = locked_until(username, client_address(request), browsers.known(request, username))
    left = max(until - timezone.now(), timedelta(seconds=1)) if until else settings.AXES_COOLOFF_TIME
    context = {
        **admin.site.each_context(request),
        "title": _("Too many failed logins"),
        "username": username,
        "wait": wait(left),
    }
    headers = {"Retry-After": str(math.ceil(left.total_seconds()))}
    return TemplateResponse(request, "console/locked.html", context, status=429, headers=headers).render()


def wait(span: timedelta) -> str:
    """Put `span` into words, rounded up, so that no attempt comes too early."""
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
    empty_text = gettext_lazy(
        "Wrong passwords are counted by user name and by address; too many lock either temporarily."
    )

    @page(
        gettext_lazy("Lift the lock"),
        permission="pushes.delete_failedlogin",
        icon="lock_open",
        variant="primary",
    )
    def lift_page(self, request: HttpRequest, row: Any) -> Question:
        who = {"name": row.username, "address": row.ip_address}

        def lift(_data: dict[str, Any]) -> Done:
            counted = Q(username=row.username) | Q(ip_address=row.ip_address)
            gone, _each = FailedLogin.objects.filter(counted).delete()
            if not gone:
                raise RefusedError(_("The lock has already ended."))
            done = _("%(name)s can log in from %(address)s again.") % who
            operator = User.objects.filter(username=row.username).first()
            return Done(done, history=[(operator or row, done)])

        return Question(
            title=_("Let “%(name)s” try again from %(address)s?") % who,
            text=_("This clears the failed logins of this user name and those from this address. Confirm with the "
                   "person before lifting a lock."),
            button=_("Lift the lock"),
            act=lift,
            back=self.url("changelist"),
        )  # fmt: skip

    @admin.display(description=gettext_lazy("user name"))
    def user_name(self, row: Any) -> str:
        return str(row.username or "–")

    @admin.display(description=gettext_lazy("address"))
    def address(self, row: Any) -> str:
        return str(row.ip_address or "–")

    @admin.display(description=gettext_lazy("failed logins"))
    def failures(self, row: Any) -> int:
        return int(row.failures_since_start)

    @admin.display(description=gettext_lazy("last attempt"))
    def last_try(self, row: Any) -> SafeString | str:
        return when(row.attempt_time)

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: Any) -> SafeString:
        until = locked_until(row.username, row.ip_address, row.user_agent)
        if until is None:
            return badge(_("not locked"))
        return badge(_("locked for %(time)s") % {"time": wait(until - timezone.now())}, "danger")

    @admin.display(description=gettext_lazy("browser"))
    def browser(self, row: Any) -> str:
        agent = str(row.user_agent or "–")
        return _("used for a login before") if agent.startswith(KNOWN) else agent[:100]
