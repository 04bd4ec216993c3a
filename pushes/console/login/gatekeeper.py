"""Ask for the second factor: a user with one does not pass without it, and where one is required, no user passes
without.

Closed by default: this holds for every address of the site, whatever the app, except the few that a login needs.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from pushes.console.login import second_factor

#: Open to whoever has given the password but no second factor yet.
OPEN = frozenset({"admin:login", "admin:logout", "admin:jsi18n", "set_language"})
VERIFY, SET_UP = "console:verify", "console:set_up"


class SecondFactorMiddleware:
    """Redirect a session to its missing step. A request without a session (the API, the probes) costs nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, _view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponseBase | None:
        if settings.TWO_FACTOR == "off" or settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        name = request.resolver_match.view_name if request.resolver_match else ""
        wanted = missing_step(request)
        if not wanted or name == wanted or name in OPEN:
            return None
        # Only a page that was looked at is worth coming back to.
        back = f"?{urlencode({'next': request.get_full_path()})}" if request.method == "GET" else ""
        return HttpResponseRedirect(reverse(wanted) + back)


def missing_step(request: HttpRequest) -> str:
    """The page that this session must pass before any other; "" if there is none."""
    user: Any = request.user
    if not user.is_authenticated or user.is_verified():
        return ""
    if second_factor.has_one(user):
        return VERIFY
    return SET_UP if settings.TWO_FACTOR == "required" and user.is_staff else ""
