"""End a login after SESSION_IDLE_MINUTES without activity, and after SESSION_HOURS in any case.

A page's own refresh is not activity: an abandoned screen shows the login after a while, not figures without end.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import ngettext

#: When somebody last did something in this session, in seconds since 1970.
SEEN_AT = "seen_at"
#: It is written down at most so often: most requests read their session only.
WRITTEN_EVERY_SECONDS = 60


class IdleMiddleware:
    """End idle logins. A request without a session (the API, the probes) costs nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_IDLE_MINUTES and settings.SESSION_COOKIE_NAME in request.COOKIES:
            _look(request)
        return self.get_response(request)


def _look(request: HttpRequest) -> None:
    most = settings.SESSION_IDLE_MINUTES * 60
    if not request.user.is_authenticated:
        return
    now = int(time.time())
    seen = request.session.get(SEEN_AT, now)
    if now - seen >= most:
        _end(request)
    elif SEEN_AT not in request.session or (
        now - seen >= min(WRITTEN_EVERY_SECONDS, most // 10) and not is_by_itself(request)
    ):
        request.session[SEEN_AT] = now


def _end(request: HttpRequest) -> None:
    logout(request)
    minutes = settings.SESSION_IDLE_MINUTES
    words = ngettext(
        "You were logged out after %(n)d minute without activity.",
        "You were logged out after %(n)d minutes without activity.",
        minutes,
    )
    messages.info(request, words % {"n": minutes})


def is_by_itself(request: HttpRequest) -> bool:
    """Whether the page may have asked by itself: for a part (`?part`), or through htmx, as every page that refreshes
    itself does."""
    return request.method == "GET" and ("part" in request.GET or "HX-Request" in request.headers)


@receiver(user_logged_in, dispatch_uid="pushes.console.login.idle.begin")
def begin(request: HttpRequest, **_signal: Any) -> None:
    """Start the time of SESSION_HOURS. Django would start it again with every write to the session."""
    request.session[SEEN_AT] = int(time.time())
    request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))
