"""Browsers in which an operator has been all the way in: a signed cookie with a random name says so.

What goes wrong in one of them counts for it alone, and nobody else's failures count for it. So a crowd of strangers
who guess at an operator's password lock themselves out, and not the operator.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import salted_hmac

from pushes.console.login.second_factor import KNOWN

SALT = "pushes.console.login.browsers"
AGE = timedelta(days=180)


def known(request: HttpRequest, username: str) -> str:
    """What this browser is called since `username` has been logged in with it; empty: it is a stranger's."""
    signed = request.COOKIES.get(_cookie(username), "")
    try:
        owner, name = signing.loads(signed, salt=SALT, max_age=AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(name) if owner == username else ""


def remember(request: HttpRequest, username: str) -> None:
    """Give the browser its cookie with the answer to this request: they have shown all that is asked of them."""
    request.META[SALT] = username


def _cookie(username: str) -> str:
    """One for each operator, since colleagues share machines; it does not tell whose."""
    return f"higo_browser_{salted_hmac(SALT, username, algorithm='sha256').hexdigest()[:12]}"


class KnownBrowserMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        username = request.META.get(SALT)
        if username:
            name = known(request, username) or KNOWN + secrets.token_urlsafe(16)
            response.set_cookie(
                _cookie(username),
                signing.dumps([username, name], salt=SALT),
                max_age=AGE,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
