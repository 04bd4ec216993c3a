"""What the outcome of a list call means, for the call and for each of its tokens."""

from dataclasses import replace

from pushes.names import Reason
from pushes.providers.base import Provider
from pushes.values import Outcome, Scope, Verdict

MAX_PUSH_ID = 63


def is_created(outcome: Outcome) -> bool:
    """Whether the list's message was created at the provider, under an id that can be stored."""
    return outcome.verdict is Verdict.ACCEPTED and 0 < len(outcome.push_id) <= MAX_PUSH_ID


def not_created(outcome: Outcome) -> Outcome:
    """Return the outcome for the rows of a message that was not created. Creating pushes nothing, so an unknown
    result, or a success without a usable id, is simply retried. A server error keeps its reason; `no_answer` would
    claim that the push may have arrived."""
    if outcome.verdict is Verdict.ACCEPTED:
        text = "created with a push id that is too long" if outcome.push_id else "created without a push id"
        return replace(outcome, verdict=Verdict.RETRY, reason=Reason.PROVIDER_BUSY, text=text)
    if outcome.verdict is Verdict.UNKNOWN:
        reason = Reason.PROVIDER_BUSY if outcome.reason is Reason.NO_ANSWER else outcome.reason
        return replace(outcome, verdict=Verdict.RETRY, reason=reason, scope=Scope.KEY)
    return outcome


def is_refused_whole(sender: Provider, outcome: Outcome) -> bool:
    """Whether nothing of the list was pushed because of some token, so that each token needs its own call."""
    return outcome.verdict is Verdict.BAD_TARGET or outcome.code in sender.refused_list_codes


def weighed(sender: Provider, outcome: Outcome) -> Outcome:
    """Return the outcome without its statement about the tokens, where the provider drops dead tokens silently."""
    return outcome if sender.lists_name_bad_tokens else replace(outcome, vouches=False)


def of_token(token: str, outcome: Outcome) -> Outcome:
    """Return the outcome for one token, which the provider may have reported as left out."""
    if token in outcome.bad_tokens:
        return replace(outcome, verdict=Verdict.BAD_TARGET, reason=Reason.BAD_TOKEN, bad_tokens=(), unsent_tokens=())
    if token in outcome.unsent_tokens:
        return replace(outcome, verdict=Verdict.FAILED, reason=Reason.BAD_PAYLOAD, bad_tokens=(), unsent_tokens=())
    return outcome
