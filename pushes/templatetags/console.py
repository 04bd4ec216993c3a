"""The console's marks in templates."""

from math import ceil
from typing import Any

from django import template
from django.db.models import Model
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from pushes import marks
from pushes.models import Device

register = template.Library()


@register.simple_tag
def status_badge(value: str, text: object) -> SafeString:
    return marks.status_badge(value, text)


@register.simple_tag
def badge(text: object, colour: str = "") -> SafeString:
    return marks.badge(text, colour)


@register.filter
def crumb(part: dict[str, Any]) -> str:
    """A step of the way to a page, from the theme's `header_title`. A row keeps its name to the letter: an account's
    id or a token's name with a capital that it does not have is another one."""
    title = part["title"]
    if isinstance(title, Model):
        return str(title)
    return str(marks.desk_name(str(part.get("link", ""))) or capfirst(str(title)))


@register.filter
def when(moment: Any) -> SafeString | str:
    return marks.when(moment)


@register.simple_tag
def device_badge(device: Device) -> SafeString:
    return marks.device_badge(device.is_active, device.get_deactivated_reason_display())


@register.simple_tag
def key_badge(state: Any) -> SafeString:
    """The state of an app key and of its breaker (`health.KeyState`)."""
    if not state.key.is_enabled:
        return marks.badge(_("disabled"))
    if state.key.is_paused:
        return marks.badge(_("paused"), "danger", state.key.pause_words)
    if state.is_tripped:
        return marks.badge(_("provider fails"), "warning")
    if state.seconds_shut:
        return marks.badge(_("waits %(s)s s") % {"s": ceil(state.seconds_shut)}, "warning")
    if state.key.fell_back_at is not None:
        return marks.badge(_("back at its old secret"), "warning", state.key.fell_back_reason)
    return marks.badge(_("in use"), "success")
