"""Say why a broadcast is in its state, in the reader's language."""

from pushes.console.broadcasts import canary_words
from pushes.models import Broadcast
from pushes.text import notes


def because(broadcast: Broadcast) -> str:
    """Put the reason into words; "" without a reason. A reason without a known sentence is shown as stored."""
    return canary_words.halted(broadcast) or notes.words(broadcast.status_reason)
