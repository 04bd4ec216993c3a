"""Ask the source of a waiting push whether its message was recalled. MESSAGE_SOURCES names a function per source.

The function gets the source's name and a sequence of `SourceMessage`, and returns the record ids of the recalled
messages. It must bound its own time. When it fails, no push is lost: its messages are sent.
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
    """Return the ids of the records whose messages were recalled, with one question per source."""
    by_source: dict[str, list[SourceMessage]] = defaultdict(list)
    for message in messages:
        if can_be_asked(message.source):
            by_source[message.source].append(message)
    return {record_id for source, asked in by_source.items() for record_id in _ask(source, asked)}


def _ask(source: str, messages: Sequence[SourceMessage]) -> Collection[int]:
    try:
        ask: Ask = import_string(settings.MESSAGE_SOURCES[source])
        return ask(source, messages)
    except Exception as error:  # whatever the error: a possibly recalled push is better than a lost one
        log.warning("%s: %d messages are sent unchecked: %s: %s", source, len(messages), type(error).__name__, error)
        return ()
