"""Bearer tokens and their scopes. Only digests are stored and compared."""

import hmac
from datetime import timedelta

from django.db.models import Q
from django.http import HttpRequest

from pushes.api.errors import ApiError
from pushes.models import ApiToken
from pushes.storage import clocks

MAX_TOKEN_LENGTH = 256
USED_AT_MOST_EVERY = timedelta(minutes=1)
_REALM = 'Bearer realm="higo-push"'


def authenticate(request: HttpRequest, scope: str) -> ApiToken:
    """Return the request's enabled, unexpired token with `scope`. Raises ApiError 401 or 403."""
    scheme, _, clear = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not clear.strip():
        raise _unauthorized("A bearer token is required: Authorization: Bearer …", "")
    token = _find(clear.strip())
    if token is None or not token.is_enabled:
        raise _unauthorized("This token is unknown or disabled.", ', error="invalid_token"')
    if token.is_expired(clocks.now()):
        ended = f"{token.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        raise _unauthorized(f"This token expired at {ended}; ask for a new one.", ', error="invalid_token"')
    if scope not in token.scopes:
        challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
        message = f"This token lacks the scope {scope!r}."
        raise ApiError(403, "insufficient_scope", message, headers={"WWW-Authenticate": challenge})
    _note_use(token)
    return token


def _find(clear: str) -> ApiToken | None:
    """Find a token by its digest. The look-up's time reveals nothing to an attacker, who cannot choose digests."""
    if len(clear) > MAX_TOKEN_LENGTH:
        return None
    digest = ApiToken.digest_of(clear)
    token = ApiToken.objects.filter(digest=digest).first()
    return token if token and hmac.compare_digest(token.digest, digest) else None


def _unauthorized(message: str, detail: str) -> ApiError:
    return ApiError(401, "unauthorized", message, headers={"WWW-Authenticate": _REALM + detail})


def _note_use(token: ApiToken) -> None:
    """Store the time of use at most once a minute: a busy token must not turn every read into a write."""
    now = clocks.now()
    if token.last_used_at and now - token.last_used_at < USED_AT_MOST_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USED_AT_MOST_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
