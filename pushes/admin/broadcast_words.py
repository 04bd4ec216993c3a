"""Why a broadcast is in its state, in the reader's language. The row holds the sentence that the platform noted, in
English, because the API, the logs and the history quote it; here the known ones are put into words again."""

import re

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from pushes.admin import canary_words
from pushes.models import Broadcast

_SENTENCES = (
    (re.compile(r"paused by (?P<who>.+)"), _("paused by %(who)s")),
    (re.compile(r"resumed by (?P<who>.+)"), _("resumed by %(who)s")),
    (re.compile(r"cancelled by (?P<who>.+)"), _("cancelled by %(who)s")),
    (
        re.compile(r"the devices are in another database, and (?P<setting>\w+) is not set: .*", re.DOTALL),
        _("The devices are in another database, and %(setting)s is not set: it cannot list every device of the app."),
    ),
    (
        re.compile(r"(?P<setting>\w+): the query returns no column '?(?P<column>\w+)'?.*", re.DOTALL),
        _("%(setting)s: the query returns no column “%(column)s”."),
    ),
    (
        re.compile(r"(?P<setting>\w+): row_id (?P<row>.+) comes after (?P<before>\d+): .*", re.DOTALL),
        _("%(setting)s: row_id %(row)s comes after %(before)s; it must rise from row to row."),
    ),
    (
        re.compile(r"(?P<setting>DIRECTORY_\w+): (?P<error>.+)", re.DOTALL),
        _("The directory's database answers %(setting)s with an error: %(error)s"),
    ),
)


def because(broadcast: Broadcast) -> str:
    """Nothing when there is no reason; what nobody knows a sentence for is shown as it was noted."""
    return canary_words.halted(broadcast) or sentence(broadcast.status_reason)


def sentence(noted: str) -> str:
    for pattern, words in _SENTENCES:
        if found := pattern.fullmatch(noted):
            return gettext(words) % found.groupdict()
    return noted
