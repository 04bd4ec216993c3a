"""How a push looks, in the reader's words: on its own page, and on a broadcast's."""

from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

LABELS: Mapping[str, Any] = {
    "subtitle": gettext_lazy("Subtitle"),
    "image": gettext_lazy("Image"),
    "link": gettext_lazy("Link"),
    "sound": gettext_lazy("Sound"),
    "badge": gettext_lazy("Badge"),
    "category": gettext_lazy("Category"),
    "android_channel": gettext_lazy("Android channel"),
}


def facts(said: Mapping[str, Any] | None) -> list[tuple[Any, Any]]:
    """Return the fields that a push or a broadcast says something in, each with its label."""
    return [(label, said[name]) for name, label in LABELS.items() if said and name in said]


def shown(said: Mapping[str, Any] | None) -> SafeString | str:
    lines = facts(said)
    return format_html_join(SafeString("<br>"), "{}: {}", lines) if lines else "–"
