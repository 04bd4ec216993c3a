"""Recognise the browsers in which an operator has logged in: by a signed cookie with a random name.

Failures in a known browser count for that browser alone, and failures elsewhere do not count for it. So a crowd of
strangers who guess an operator's password lock themselves out, and not the operator.
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
    """The name of this browser since a login as `username`; "" for a stranger's browser."""
    signed = request.COOKIES.get(_cookie(username), "")
    try:
        owner, name = signing.loads(signed, salt=SALT, max_age=AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(name) if owner == username else ""


def remember(request: HttpRequest, username: str) -> None:
    """Set the browser's cookie with the answer to this request: the operator has passed every check."""
    request.META[SALT] = username


def _cookie(username: str) -> str:
    """The name of an operator's cookie. Each operator has one, since colleagues share machines; the name does not
    identify the operator."""
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
