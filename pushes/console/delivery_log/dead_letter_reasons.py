"""What the reasons of dead letters mean. The codes are stable and stand in the database, the logs and the metrics."""

from collections import ChainMap
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from pushes.console.site import parts

#: Code to words. Apps that bring dead letters with other codes have theirs in their part of the console.
REASONS: dict[str, Any] = {
    "empty": _("no content at all"),
    "too_large": _("more bytes than one message may have"),
    "too_deep": _("arrays nested too deeply"),
    "not_an_array": _("no array of named fields"),
    "bad_utf8": _("text that is not UTF-8"),
    "bad_number": _("a number that cannot be used"),
    "truncated": _("cut off before its end"),
    "malformed": _("neither PHP serialize() output nor JSON"),
    "trailing_bytes": _("bytes follow after its end"),
    "unknown_type": _("a push type that does not exist"),
    "unknown_app": _("an app that does not exist"),
    "bad_via": _("a platform that does not exist"),
    "bad_recipient": _("an account id that cannot be used"),
    "no_recipient": _("nobody to push to"),
    "bad_msg_id": _("a message id that cannot be used"),
    "bad_title": _("a title that cannot be used"),
    "bad_expiry": _("an expiry that cannot be used"),
    "conflict": _("another push has the same msg_id"),
    "no_message": _("no text"),
    "bad_data": _("data for the app that is no array"),
    "invalid": _("the platform refuses the message made of it"),
    "object": _("a PHP object, which is never read"),
    "reference": _("a PHP reference, which is never read"),
    "unexpected": _("it broke the program that read it"),
}


def words(reason: str) -> str:
    """`reason` in words; itself when nobody has any for it."""
    others = (part.dead_letter_reasons for part in parts.parts())
    return str(ChainMap(REASONS, *map(dict, others)).get(reason, reason))


def with_code(reason: str) -> SafeString:
    """The words, and the code as the logs and the metrics name it."""
    return format_html('<strong>{}</strong> <code class="console-muted">{}</code>', words(reason), reason)
