"""Does the provider accept an app key? One harmless signed call, and a verdict that people understand."""

import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.utils.translation import gettext as _

from pushes import vault
from pushes.models import AppKey
from pushes.names import Reason
from pushes.providers.http import call
from pushes.providers.registry import UnknownProviderError, provider
from pushes.values import Credentials, Outcome, Scope, Verdict

#: Codes of Xinge v2 for a clock that is wrong and for an expired APNs certificate.
CLOCK_CODES = frozenset({-2, -102})
CERTIFICATE_CODES = frozenset({100, -106, 1008013, 1008020, 1008021, 1008022, 1008023})
#: The app itself is not paid for, expired or without resources.
ACCOUNT_CODES = frozenset({1008030, 1008031, 1010001})
#: HTTP statuses of a server that is not the provider's, or not at this address.
ENDPOINT_CODES = frozenset({*range(300, 400), 404, 405, 410})
#: Against these no other secret helps.
NOT_THE_SECRET = CLOCK_CODES | CERTIFICATE_CODES | ACCOUNT_CODES | ENDPOINT_CODES


def check(app_key: AppKey) -> Outcome:
    """What the provider says of the key. It changes nothing, pushes nothing, and raises for no key."""
    return _asked(app_key.credentials)


def check_old(app_key: AppKey) -> Outcome:
    """The same with the old secret, while it is kept."""
    return _asked(app_key.old_credentials)


def check_secret(app_key: AppKey, secret: str) -> Outcome:
    """The same with a secret that is not stored yet."""
    return _asked(partial(app_key.credentials_with, secret))


def _asked(credentials_of: Callable[[], Credentials]) -> Outcome:
    try:
        credentials = credentials_of()
        own = provider(credentials.provider)
        request = own.check(credentials, now=int(time.time()))
    except (vault.SecretUnreadableError, UnknownProviderError, ValueError) as error:
        return Outcome(Verdict.FAILED, Reason.BAD_CREDENTIALS, Scope.KEY, text=str(error))
    return own.read(call(request, settings.CALL_TIMEOUT_SECONDS))


def is_good(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.ACCEPTED


def blames_the_secret(outcome: Outcome) -> bool:
    """Whether another secret could help."""
    is_refused = outcome.verdict is Verdict.FAILED and outcome.scope is Scope.KEY
    return is_refused and outcome.code not in NOT_THE_SECRET


def blames_the_clock(outcome: Outcome) -> bool:
    """Whether the provider found the time of the call wrong: this machine's clock, or the provider's."""
    return outcome.verdict is Verdict.FAILED and outcome.code in CLOCK_CODES


def explain(outcome: Outcome) -> str:
    """The verdict in words, in the language of whoever asks, with the provider's own words behind it."""
    said = " ".join(str(part) for part in (outcome.code, outcome.text) if part not in (None, ""))
    return f"{_meaning(outcome)} ({said})" if said and not is_good(outcome) else _meaning(outcome)


def _meaning(outcome: Outcome) -> str:
    if is_good(outcome):
        return _("accepted: the access id and the secret are right")
    if outcome.code in CLOCK_CODES:
        return _("refused: this machine's clock differs too much from the provider's")
    if outcome.code in CERTIFICATE_CODES:
        return _("refused: the provider has a problem with the app's APNs certificate")
    if outcome.code in ACCOUNT_CODES:
        return _("refused: the app is not paid for, has expired or was removed at the provider")
    if outcome.code in ENDPOINT_CODES:
        return _("no provider at this address: check the endpoint URL")
    if outcome.reason is Reason.BAD_CREDENTIALS:
        return _("refused: check the access id, the secret and the endpoint URL")
    if outcome.reason is Reason.UNREACHABLE:
        return _("no connection to the provider: check the endpoint URL and the network")
    if outcome.verdict is Verdict.UNKNOWN:
        return _("no usable answer: check that the endpoint URL speaks this provider's protocol")
    if outcome.verdict is Verdict.RETRY:
        return _("the provider could not answer just now: try again later")
    return _("refused for another reason")
