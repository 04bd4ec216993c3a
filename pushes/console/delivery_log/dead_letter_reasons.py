"""Explain the reasons of dead letters. The codes are stable: the database, the logs and the metrics have them."""

from collections import ChainMap
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
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
    "bad_subtitle": _("invalid subtitle"),
    "bad_link": _("invalid link"),
    "bad_image": _("invalid image address"),
    "bad_sound": _("invalid sound"),
    "bad_badge": _("invalid badge"),
    "bad_category": _("invalid category"),
    "bad_android_channel": _("invalid Android channel"),
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
    """Put `reason` into words; an unknown reason stays as it is."""
    return str(_reasons(tuple(settings.CONSOLE_PARTS)).get(reason, reason))


@lru_cache(maxsize=4)
def _reasons(_parts: tuple[str, ...]) -> Mapping[str, Any]:
    """Gather the words of all apps, once for each value of the setting; each reader's language is chosen later."""
    return ChainMap(REASONS, *(dict(part.dead_letter_reasons) for part in parts.parts()))


def with_code(reason: str) -> SafeString:
    """The words, followed by the code of the logs and the metrics."""
    return format_html('<strong>{}</strong> <code class="console-muted">{}</code>', words(reason), reason)
