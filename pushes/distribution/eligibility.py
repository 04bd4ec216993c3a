"""Eligibility: one pure verdict on whether an account is pushed to, for every kind of push."""

from pushes.names import Reason
from pushes.values import Policy, Recipient


def verdict(recipient: Recipient, policy: Policy, *, conversation: str, sender_id: str) -> Reason | None:
    """Return None when the push may go to this account's devices, otherwise the first reason why not.

    The order of the reasons is part of the contract: first the message, then the state of the account, then what
    the account is doing right now. So the reason given is the one that an operator can act on first.
    """
    if not policy.is_enabled:
        return Reason.TYPE_DISABLED
    if sender_id and recipient.account_id == sender_id:
        return Reason.OWN_MESSAGE
    facts = recipient.facts
    if facts is None:
        return Reason.NO_ACCOUNT
    if policy.requires_login and not facts.is_logged_in:
        return Reason.LOGGED_OUT
    if policy.respects_do_not_disturb and not facts.accepts_pushes:
        return Reason.DO_NOT_DISTURB
    if conversation and conversation in facts.muted:
        return Reason.MUTED
    if sender_id and sender_id in facts.blocked:
        return Reason.BLOCKED
    if policy.skips_online and recipient.is_online:
        return Reason.ONLINE
    return None if recipient.devices else Reason.NO_DEVICE
