"""What the reasons of dead letters mean. The codes are stable and stand in the database, the logs and the metrics."""

from collections import ChainMap
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from pushes.console.site import parts

#: Code to words. Apps that bring dead letters with other codes have theirs in their part of the console.
REASONS: dict[str, Any] = {
    "empty": _("empty message"),
    "too_large": _("larger than a message may be"),
    "too_deep": _("arrays nested too deeply"),
    "not_an_array": _("not an array of named fields"),
    "bad_utf8": _("not UTF-8 text"),
    "bad_number": _("invalid number"),
    "truncated": _("truncated"),
    "malformed": _("neither PHP serialize() output nor JSON"),
    "trailing_bytes": _("extra bytes after the end"),
    "unknown_type": _("unknown push type"),
    "unknown_app": _("unknown app"),
    "bad_via": _("unknown platform"),
    "bad_recipient": _("invalid account ID"),
    "no_recipient": _("no recipient"),
    "bad_msg_id": _("invalid message ID"),
    "bad_title": _("invalid title"),
    "bad_expiry": _("invalid expiry"),
    "conflict": _("another push has the same msg_id"),
    "no_message": _("no text"),
    "bad_data": _("payload that is not an array"),
    "invalid": _("the platform rejected the resulting push"),
    "object": _("PHP object (not accepted)"),
    "reference": _("PHP reference (not accepted)"),
    "unexpected": _("an unexpected error while reading"),
}


def words(reason: str) -> str:
    """`reason` in words; itself when nobody has any for it."""
    others = (part.dead_letter_reasons for part in parts.parts())
    return str(ChainMap(REASONS, *map(dict, others)).get(reason, reason))


def with_code(reason: str) -> SafeString:
    """The words, and the code as the logs and the metrics name it."""
    return format_html('<strong>{}</strong> <code class="console-muted">{}</code>', words(reason), reason)
