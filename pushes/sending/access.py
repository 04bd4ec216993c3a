"""The access token of a job's calls: put in place before a batch, and renewed once when the provider finds it too old.

Only for providers that want one; all others cost nothing here.
"""

from collections.abc import Sequence
from dataclasses import replace

from pushes.keys import access_tokens
from pushes.names import Reason
from pushes.providers.base import AccessToken
from pushes.sending.calls import Call, KeyWork
from pushes.values import Blame, Outcome, Scope, Verdict


def in_vain(work: KeyWork) -> Outcome | None:
    """Give the job's calls a valid access token, or return the outcome of looking in vain. Raises ValueError for an
    unusable secret, and HostRefusedError, which is one."""
    if not work.provider.needs_access_token:
        return None
    found = access_tokens.current(work.provider, work.credentials)
    if isinstance(found, Outcome):
        return found
    _use(work, found)
    return None


def renewal_in_vain(work: KeyWork, calls: Sequence[Call], refusal: Outcome) -> Outcome | None:
    """Give these calls, whose token was refused as too old, another one; return the outcome of their rows when there is
    none. Raises as `in_vain` does."""
    stale = calls[0].message.credentials.access_token
    if work.credentials.access_token == stale:
        found = access_tokens.renewed(work.provider, work.credentials, stale=stale)
        if isinstance(found, Outcome):
            return found
        if found.text == stale:
            return lasting(refusal)
        _use(work, found)
    for call in calls:
        call.message = replace(call.message, credentials=work.credentials)
    return None


def lasting(outcome: Outcome) -> Outcome:
    """Return the refusal of a token that is not too old: the credentials are at fault, or a clock."""
    is_of_key = outcome.verdict is Verdict.FAILED and outcome.scope is Scope.KEY
    return replace(
        outcome,
        verdict=Verdict.FAILED,
        reason=(outcome.reason if is_of_key else None) or Reason.BAD_CREDENTIALS,
        scope=Scope.KEY,
        blame=outcome.blame or Blame.CREDENTIALS,
        is_token_stale=False,
    )


def _use(work: KeyWork, token: AccessToken) -> None:
    if work.credentials.access_token != token.text:
        work.credentials = replace(work.credentials, access_token=token.text)
        # They carry the former one.
        work.messages.clear()
