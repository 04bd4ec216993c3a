"""Check whether the provider accepts an app key: one harmless signed call, and a readable verdict."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.utils.translation import gettext as _

from pushes import vault
from pushes.keys import access_tokens
from pushes.models import AppKey
from pushes.names import Platform, Reason
from pushes.providers import hosts
from pushes.providers.base import AccessToken, Answer, HttpRequest, Provider, Sealed
from pushes.providers.one_shot import calls
from pushes.providers.registry import UnknownProviderError, provider
from pushes.values import Blame, Credentials, Outcome, Scope, Verdict

#: Checks that one process makes at once. Each holds a thread of the web server until the provider answers, for up to
#: CALL_TIMEOUT_SECONDS; the remaining threads are for the API and the other pages.
MAX_AT_ONCE = 2
T = TypeVar("T")
#: A key's provider and credentials, or the outcome when no call can be made.
_Opened = tuple[Provider, Credentials] | Outcome
_places = threading.BoundedSemaphore(MAX_AT_ONCE)


class BusyError(Exception):
    """Too many checks are running in this process; the message says so, in the reader's language."""


def check(app_key: AppKey) -> Outcome:
    """Return the provider's answer about the key, within CALL_TIMEOUT_SECONDS. The call changes and pushes nothing.
    Raises BusyError."""
    return _asked([app_key.credentials])[0]


def check_old(app_key: AppKey) -> Outcome:
    """Check the key with its old secret, while that is kept."""
    return _asked([app_key.old_credentials])[0]


def check_secret(app_key: AppKey, sealed: Sealed) -> Outcome:
    """Check the key with credentials that are not stored yet."""
    return _asked([partial(app_key.credentials_with, sealed.secret, sealed.access_id)])[0]


def check_all(app_keys: Sequence[AppKey]) -> list[Outcome]:
    """Check many keys at once, in the time of the slowest."""
    return _asked([app_key.credentials for app_key in app_keys])


def _asked(wanted: Sequence[Callable[[], Credentials]]) -> list[Outcome]:
    deadline = time.monotonic() + settings.CALL_TIMEOUT_SECONDS
    with _place():
        opened = [_opened(credentials_of) for credentials_of in wanted]
        written = [_written(one) for one in _with_tokens(opened, deadline)]
        asked = [one for one in written if not isinstance(one, Outcome)]
        answers = iter(_answers([request for _, request in asked], deadline))
    return [one if isinstance(one, Outcome) else one[0].read_check(next(answers)) for one in written]


def _answers(requests: Sequence[HttpRequest], deadline: float) -> list[Answer]:
    return calls(requests, max(0.1, deadline - time.monotonic()), hosts.guard) if requests else []


def _with_tokens(opened: Sequence[_Opened], deadline: float) -> list[_Opened]:
    """Put access tokens in place where a provider wants one. What is exchanged for a secret is exchanged anew, because
    an earlier token would say nothing about the secret of today. What we sign ourselves is shared with the workers."""
    asked: dict[int, tuple[Provider, Credentials, HttpRequest]] = {}
    found: dict[int, _Opened] = dict(enumerate(opened))
    for number, one in enumerate(opened):
        if isinstance(one, Outcome) or not one[0].needs_access_token:
            continue
        own, credentials = one
        made = _or_outcome(partial(own.access_token, credentials, now=int(time.time())))
        if isinstance(made, HttpRequest):
            asked[number] = own, credentials, made
        else:
            token = _or_outcome(partial(access_tokens.current, own, credentials))
            found[number] = _carrying(own, credentials, made if isinstance(made, Outcome) else token)
    answers = _answers([request for _, _, request in asked.values()], deadline)
    for number, answer in zip(asked, answers, strict=True):
        own, credentials, _request = asked[number]
        token = access_tokens.in_words(own.read_access_token(answer, now=int(time.time())))
        if isinstance(token, AccessToken):
            access_tokens.keep(own, credentials, token)
        found[number] = _carrying(own, credentials, token)
    return [found[number] for number in range(len(opened))]


def _carrying(own: Provider, credentials: Credentials, token: AccessToken | Outcome) -> _Opened:
    return token if isinstance(token, Outcome) else (own, replace(credentials, access_token=token.text))


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise BusyError(_("Two checks are already running. Try again in a moment."))
    try:
        yield
    finally:
        _places.release()


def _opened(credentials_of: Callable[[], Credentials]) -> _Opened:
    """Return a key's provider and credentials, or the outcome when no call can be made under them."""

    def opened() -> tuple[Provider, Credentials]:
        credentials = credentials_of()
        return provider(credentials.provider), credentials

    return _or_outcome(opened)


def _written(opened: _Opened) -> tuple[Provider, HttpRequest] | Outcome:
    """Return the call, or the outcome when it cannot be made."""
    if isinstance(opened, Outcome):
        return opened
    own, credentials = opened

    def written() -> tuple[Provider, HttpRequest]:
        request = own.check(credentials, now=int(time.time()))
        hosts.guard(request.url)
        return own, request

    return _or_outcome(written)


def _or_outcome(make: Callable[[], T]) -> T | Outcome:
    """Return what `make` returns, or the outcome of a key that cannot be used."""
    try:
        return make()
    except hosts.HostRefusedError as error:
        return Outcome(Verdict.FAILED, Reason.ENDPOINT_REFUSED, Scope.KEY, text=str(error))
    except (vault.SecretUnreadableError, UnknownProviderError, ValueError) as error:
        return Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, text=str(error))


def endpoint_fault(app_key: AppKey) -> str:
    """Return why this machine cannot make calls under the key, in the reader's language; "" when it can."""
    return hosts.fault(app_key.endpoint_url) if app_key.endpoint_url else ""


def doubt(app_key: AppKey) -> str:
    """Why the key's access id can hardly be right for its provider and platform; "" when nothing speaks against it."""
    try:
        return provider(app_key.provider).doubt(app_key.access_id, Platform(app_key.platform))
    except UnknownProviderError as error:
        return str(error)


def place(kind: str, endpoint_url: str) -> hosts.Place | None:
    """Return where calls of a key with this provider and endpoint URL go; None when that is not known."""
    try:
        return hosts.place_of(endpoint_url or provider(kind).default_url)
    except (UnknownProviderError, hosts.HostRefusedError):
        return None


def is_good(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.ACCEPTED


def explain(outcome: Outcome) -> str:
    """Return the verdict in the reader's language, followed by the provider's own words."""
    said = " ".join(filter(None, (outcome.code, outcome.text)))
    return f"{_meaning(outcome)} ({said})" if said and not is_good(outcome) else _meaning(outcome)


def _meaning(outcome: Outcome) -> str:
    if is_good(outcome):
        return _("the provider accepted these credentials")
    if outcome.reason is Reason.ENDPOINT_REFUSED:
        return _("not checked: the endpoint is not allowed")
    if outcome.blame is Blame.CLOCK:
        return _("refused: this machine's clock differs too much from the provider's")
    if outcome.blame is Blame.CERTIFICATE:
        return _("refused: the provider has a problem with the app's APNs certificate")
    if outcome.blame is Blame.APP:
        return _("refused: the app is not paid for, has expired or was removed at the provider")
    if outcome.blame is Blame.ENDPOINT:
        return _("no provider at this address: check the endpoint URL")
    if outcome.reason is Reason.BAD_CREDENTIALS:
        return _("refused: check the credentials and the endpoint URL")
    if outcome.reason is Reason.UNREACHABLE:
        return _("no connection to the provider: check the endpoint URL and the network")
    if outcome.reason is Reason.PROVIDER_ERROR:
        return _("the provider answered with a server error: try again later")
    if outcome.verdict is Verdict.UNKNOWN:
        return _("no usable answer: check that the endpoint URL speaks this provider's protocol")
    if outcome.verdict is Verdict.RETRY:
        return _("the provider could not answer: try again later")
    return _("refused for another reason")
