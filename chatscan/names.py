"""The scanners' vocabulary: how a scanner learns of new messages, and why a message was not pushed."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Mode(TextChoices):
    """How a scanner learns that there is something to read."""

    STARTING = "starting", _("starting")
    DOORBELL = "doorbell", _("live (change stream)")
    POLLING = "polling", _("polling")
    DEAF = "deaf", _("polling: the change stream is silent")
    BACKLOGGED = "backlogged", _("waiting: the lane is backed up")
    FAILING = "failing", _("retrying after an error")
    STOPPED = "stopped", _("stopped")


class Stall(TextChoices):
    """What is wrong with a stalled scanner. `stalls.stall` decides which one applies."""

    DEAD = "dead", _("no heartbeat")
    FAILING = "failing", _("reading fails")
    WAITING = "waiting", _("waiting for a backed-up lane")
    BEHIND = "behind", _("falling behind")
    DEAF = "deaf", _("the change stream reports no new messages")


class Refusal(TextChoices):
    """Why a chat document did not become a push."""

    # not for pushing: counted, nothing kept
    SILENT_KIND = "silent_kind", _("a message type that is never pushed (system, recall, typing …)")
    EMPTY = "empty", _("an empty text message")
    NO_RECIPIENT = "no_recipient", _("no recipient other than the sender")
    TOO_OLD = "too_old", _("already older than CHAT_MAX_AGE_SECONDS when read")
    # broken or not understood: kept as a dead letter
    MISSING_FIELD = "missing_field", _("a required field is missing or invalid")
    BAD_TIME = "bad_time", _("the creation time cannot be read")
    FUTURE_TIME = "future_time", _("the creation time is too far in the future; read again when it is due")
    UNKNOWN_TYPE = "unknown_type", _("a message type missing from CHAT_TYPES")
    UNKNOWN_GROUP = "unknown_group", _("the group is not in the group directory")
    INVALID = "invalid", _("the platform rejected the resulting push")
    UNEXPECTED = "unexpected", _("an unexpected error while reading")


#: Refusals that are decisions, not faults.
QUIET = frozenset({Refusal.SILENT_KIND, Refusal.EMPTY, Refusal.NO_RECIPIENT, Refusal.TOO_OLD})
