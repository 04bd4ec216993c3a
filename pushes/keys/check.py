"""Check whether the provider accepts an app key: one harmless signed call, and a readable verdict."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.utils.translation import gettext as _

from pushes import vault
from pushes.models import AppKey
from pushes.names import Platform, Reason
from pushes.providers import hosts
from pushes.providers.base import HttpRequest, Provider
from pushes.providers.one_shot import calls
from pushes.providers.registry import UnknownProviderError, provider
from pushes.values import Blame, Credentials, Outcome, Scope, Verdict

#: Checks that one process makes at once. Each holds a thread of the web server until the provider answers, for up to
#: CALL_TIMEOUT_SECONDS; the remaining threads are for the API and the other pages.
MAX_AT_ONCE = 2
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


def check_secret(app_key: AppKey, secret: str) -> Outcome:
    """Check the key with a secret that is not stored yet."""
    return _asked([partial(app_key.credentials_with, secret)])[0]


def check_all(app_keys: Sequence[AppKey]) -> list[Outcome]:
    """Check many keys at once, in the time of the slowest."""
    return _asked([app_key.credentials for app_key in app_keys])


def _asked(wanted: Sequence[Callable[[], Credentials]]) -> list[Outcome]:
    written = [_written(credentials_of) for credentials_of in wanted]
    asked = [one for one in written if not isinstance(one, Outcome)]
    with _place():
        answers = iter(calls([request for _, request in asked], settings.CALL_TIMEOUT_SECONDS, hosts.guard))
    return [one if isinstance(one, Outcome) else one[0].read(next(answers)) for one in written]


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise BusyError(_("Two checks are already running. Try again in a moment."))
    try:
        yield
    finally:
        _places.release()


def _written(credentials_of: Callable[[], Credentials]) -> tuple[Provider, HttpRequest] | Outcome:
    """Return the call, or the outcome when it cannot be made."""
    try:
        credentials = credentials_of()
        own = provider(credentials.provider)
        request = own.check(credentials, now=int(time.time()))
        hosts.guard(request.url)
    except hosts.HostRefusedError as error:
        return Outcome(Verdict.FAILED, Reason.ENDPOINT_REFUSED, Scope.KEY, text=str(error))
    except (vault.SecretUnreadableError, UnknownProviderError, ValueError) as error:
        return Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, text=str(error))
    return own, request


def endpoint_fault(app_key: AppKey) -> str:
    """Return why this machine cannot make calls under the key, in the reader's language; "" when it can."""
    return hosts.fault(app_key.endpoint_url) if app_key.endpoint_url else ""


def secret_fault(kind: str, secret: str) -> str:
    """What shows that `secret` was not copied whole from this provider; "" when nothing does."""
    try:
        return provider(kind).secret_fault(secret)
    except UnknownProviderError as error:
        return str(error)


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
    said = " ".join(str(part) for part in (outcome.code, outcome.text) if part not in (None, ""))
    return f"{_meaning(outcome)} ({said})" if said and not is_good(outcome) else _meaning(outcome)


def _meaning(outcome: Outcome) -> str:
    if is_good(outcome):
        return _("the provider accepted this access ID and secret")
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
        return _("refused: check the access ID, the secret and the endpoint URL")
    if outcome.reason is Reason.UNREACHABLE:
        return _("no connection to the provider: check the endpoint URL and the network")
    if outcome.reason is Reason.PROVIDER_ERROR:
        return _("the provider answered with a server error: try again later")
    if outcome.verdict is Verdict.UNKNOWN:
        return _("no usable answer: check that the endpoint URL speaks this provider's protocol")
    if outcome.verdict is Verdict.RETRY:
        return _("the provider could not answer: try again later")
    return _("refused for another reason")
