"""Whether what has waited is still what its source wants pushed. The MESSAGE_SOURCES setting names whom to ask.

What it names is called with the source's name and a sequence of `SourceMessage`, and returns the record ids of those
that were taken back. It bounds its own time. One that cannot be asked costs nobody a push: what it would have said of
is sent.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from pushes.values import SourceMessage

log = logging.getLogger(__name__)
Ask = Callable[[str, Sequence[SourceMessage]], Collection[int]]


def can_be_asked(source: str) -> bool:
    return source in settings.MESSAGE_SOURCES


def taken_back(messages: Iterable[SourceMessage]) -> set[int]:
    """The ids of those records whose messages their sources have taken back: one question a source."""
    by_source: dict[str, list[SourceMessage]] = defaultdict(list)
    for message in messages:
        if can_be_asked(message.source):
            by_source[message.source].append(message)
    return {record_id for source, asked in by_source.items() for record_id in _ask(source, asked)}


def _ask(source: str, messages: Sequence[SourceMessage]) -> Collection[int]:
    try:
        ask: Ask = import_string(settings.MESSAGE_SOURCES[source])
        return ask(source, messages)
    except Exception as error:  # whatever it is: a push is better than none
        log.warning("%s: %d messages are sent unasked: %s: %s", source, len(messages), type(error).__name__, error)
        return ()
