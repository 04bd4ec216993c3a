"""Show the two sides of a conflict: the dead letter, and the push with the same msg_id."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from pushes.console.site.theme import when
from pushes.inbound import dead_letters
from pushes.ledger import same_push
from pushes.models import DeadLetter
from pushes.names import CONFLICT
from pushes.text import characters, presentation

SHOWN_ACCOUNTS = 50
SHOWN_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Line:
    """One field under its name at the producers."""

    name: str
    waiting: str
    recorded: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides. `record_id` 0 means: the other push is no longer kept, so the letter can be replayed."""

    record_id: int
    accepted: Any
    lines: list[Line]


def sides(letter: DeadLetter) -> Sides | None:
    """Compare both sides; None if there is no conflict, or the letter cannot be read."""
    message = dead_letters.message_of(letter) if letter.reason == CONFLICT else None
    if message is None:
        return None
    stored = dead_letters.recorded_for(message)
    if stored is None:
        return Sides(0, "", [])
    lines = list(_lines(same_push.content_of(message), stored.content))
    return Sides(stored.id, when(stored.created_at), lines)


def _lines(waiting: same_push.Content, recorded: same_push.Content) -> Iterator[Line]:
    for name, said, kept in zip(same_push.FIELDS, waiting.values(), recorded.values(), strict=True):
        # Most pushes say nothing of how they look.
        if name not in presentation.FIELDS or said != kept:
            yield Line(name, _shown(said), _shown(kept), said != kept)


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return _accounts(sorted(value))
    text = value.decode() if isinstance(value, bytes) else "" if value is None else str(value)
    return characters.shorten(text, SHOWN_CHARACTERS) or "–"


def _accounts(accounts: list[str]) -> str:
    more = len(accounts) - SHOWN_ACCOUNTS
    shown = ", ".join(accounts[:SHOWN_ACCOUNTS])
    return f"{shown} … {_('and %(n)s more') % {'n': more}}" if more > 0 else shown
