"""The console's marks in templates."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import template
from django.forms import BaseForm
from django.utils.safestring import SafeString

from pushes.console.site import marks
from pushes.history.vitals import KeyState
from pushes.models import DeliveryResult, Device
from pushes.names import reason_words
from pushes.text import characters, notes

register = template.Library()


@register.simple_tag
def status_badge(value: str, text: object) -> SafeString:
    return marks.status_badge(value, text)


@register.simple_tag
def badge(text: object, colour: str = "") -> SafeString:
    return marks.badge(text, colour)


@register.filter
def when(moment: Any) -> SafeString | str:
    return marks.when(moment)


@register.filter
def shorten(text: object, most: int) -> str:
    """As `truncatechars`, between characters as people see them."""
    return characters.shorten(str(text), most)


@register.filter
def noted(text: str) -> str:
    """A note that is stored, in the reader's language."""
    return notes.words(text or "")


@register.filter
def why(row: DeliveryResult) -> str:
    """The reason of a delivery in words."""
    return reason_words(row.status, row.reason)


class Fault(NamedTuple):
    """One error of a form: of which field (`id` leads to it), or of the whole of it."""

    label: str
    text: str
    id: str = ""


@register.simple_tag(takes_context=True)
def error_summary(context: dict[str, Any]) -> list[Fault]:
    """Every error of an admin page's form, of its inlines, and of a table that is edited in place."""
    forms: list[tuple[str, BaseForm]] = []
    formsets = [inline.formset for inline in context.get("inline_admin_formsets") or ()]
    form = context["adminform"].form if context.get("adminform") else context.get("form")
    if isinstance(form, BaseForm):
        forms.append(("", form))
    formsets += filter(None, [getattr(context.get("cl"), "formset", None)])
    faults = [Fault("", text) for formset in formsets for text in formset.non_form_errors()]
    forms += [(str(form.instance), form) for formset in formsets for form in formset.forms]
    return [*faults, *(fault for row, form in forms for fault in _faults(row, form))]


def _faults(row: str, form: BaseForm) -> Iterator[Fault]:
    places = {name: place for place, name in enumerate(form.fields)}
    for name, errors in sorted(form.errors.items(), key=lambda item: places.get(item[0], -1)):
        bound = form[name] if name in form.fields else None
        label = " · ".join(filter(None, (row, str(bound.label) if bound else "")))
        for text in errors:
            # A field of several parts has no id of its own: its first part has.
            yield Fault(label, str(text), (bound.id_for_label or f"{bound.auto_id}_0") if bound else "")


@register.simple_tag
def device_badge(device: Device) -> SafeString:
    return marks.device_badge(device.is_active, device.get_deactivated_reason_display())


@register.simple_tag
def key_badge(state: KeyState) -> SafeString:
    return marks.key_badge(state)
