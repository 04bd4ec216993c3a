"""Why a broadcast is in its state, in the reader's language."""

from pushes.console.broadcasts import canary_words
from pushes.history import stored_words
from pushes.models import Broadcast


def because(broadcast: Broadcast) -> str:
    """Nothing when there is no reason; what nobody knows a sentence for is shown as it was noted."""
    return canary_words.halted(broadcast) or sentence(broadcast.status_reason)


def sentence(noted: str) -> str:
    return stored_words.words(noted, "broadcast")
