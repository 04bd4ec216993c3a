"""The scanners' vocabulary: how a scanner learns of new messages, and why a message was not pushed."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Mode(TextChoices):
    """How a scanner learns that there is something to read."""

    STARTING = "starting", _("starting")
    DOORBELL = "doorbell", _("change stream (at once)")
    POLLING = "polling", _("polling")
    DEAF = "deaf", _("polling: the change stream is silent")
    BACKLOGGED = "backlogged", _("waiting: the lane is too deep")
    FAILING = "failing", _("trying again after an error")
    STOPPED = "stopped", _("stopped")


class Stall(TextChoices):
    """What is wrong with a stalled scanner. `stalls.stall` decides which one applies."""

    DEAD = "dead", _("no sign of life")
    FAILING = "failing", _("it cannot read")
    WAITING = "waiting", _("it waits for a lane that is too deep")
    BEHIND = "behind", _("it falls behind")
    DEAF = "deaf", _("its change stream says nothing of new messages")


class Refusal(TextChoices):
    """Why a chat document did not become a push."""

    # not for pushing: counted, nothing kept
    SILENT_KIND = "silent_kind", _("a kind that is never pushed (system, recall, typing …)")
    EMPTY = "empty", _("a text message without text")
    NO_RECIPIENT = "no_recipient", _("nobody but the sender to push to")
    TOO_OLD = "too_old", _("older than CHAT_MAX_AGE_SECONDS when it was read")
    # broken or not understood: kept as a dead letter
    MISSING_FIELD = "missing_field", _("a field that is needed is missing or unusable")
    BAD_TIME = "bad_time", _("the creation time cannot be read")
    FUTURE_TIME = "future_time", _("the creation time lies too far in the future; read when its time comes")
    UNKNOWN_TYPE = "unknown_type", _("a message type that CHAT_TYPES does not know")
    UNKNOWN_GROUP = "unknown_group", _("the group is not in the group directory")
    INVALID = "invalid", _("the platform refuses the message made of it")
    UNEXPECTED = "unexpected", _("it broke the program that read it")


#: Refusals that are decisions, not faults.
QUIET = frozenset({Refusal.SILENT_KIND, Refusal.EMPTY, Refusal.NO_RECIPIENT, Refusal.TOO_OLD})
