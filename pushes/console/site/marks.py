"""The marks that pages share: badges, links, moments. This module imports nothing of the theme: during its import the
theme renders a template, and with it loads every template library."""

import json
from collections.abc import Iterable
from datetime import timedelta
from math import ceil
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.history.vitals import KeyState
from pushes.models import DeliveryResult
from pushes.names import BroadcastStatus, Channel, DeadLetterStatus, ExportStatus, RecordStatus, Status, label
from pushes.people import channels
from pushes.storage import clocks
from pushes.text import notes

#: The colour of every state, in the theme's words. The words themselves always stand beside it.
STATUS_COLOURS: dict[str, str] = {
    Status.PENDING: "info",
    Status.HELD: "info",
    Status.SENDING: "primary",
    Status.RETRYING: "warning",
    Status.ACCEPTED: "success",
    Status.FAILED: "danger",
    Status.UNKNOWN: "warning",
    Status.SKIPPED: "",
    Status.EXPIRED: "warning",
    Status.CANCELLED: "",
    RecordStatus.DISTRIBUTED: "success",
    BroadcastStatus.DRAFT: "",
    BroadcastStatus.WAITING: "warning",
    BroadcastStatus.SCHEDULED: "info",
    BroadcastStatus.PAUSED: "warning",
    BroadcastStatus.FINISHED: "success",
    ExportStatus.WAITING: "info",
    ExportStatus.RUNNING: "primary",
    ExportStatus.DONE: "success",
    DeadLetterStatus.NEW: "danger",
    DeadLetterStatus.REPLAYED: "success",
    DeadLetterStatus.DISCARDED: "",
}


#: What `with_channels` adds to a delivery.
CHANNEL = "channel"
#: Desks of other makers' models, by the names that the sidebar gives them.
_DESK_NAMES = {
    "admin:auth_user_changelist": gettext_lazy("Operators"),
    "admin:auth_group_changelist": gettext_lazy("Roles"),
    "admin:django_rq_dashboard_changelist": gettext_lazy("Job queues"),
}


def desk_name(address: str) -> Any:
    """The sidebar's name for the list at `address`; "" if the list has its model's own name."""
    return next((name for view, name in _DESK_NAMES.items() if reverse(view) == address), "")


def translated(message: str) -> str:
    """A stored change of Django's admin, with its fields in the reader's language; any other text as it is."""
    if not message.startswith("["):
        return message
    try:
        changes = json.loads(message)
        for named in (change["changed"] for change in changes if "changed" in change):
            if "name" in named:
                named["name"] = _field_name(named["name"])
            named["fields"] = [_field_name(name) for name in named["fields"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return message  # a sentence that begins with a bracket
    return json.dumps(changes)


def _field_name(english: str) -> str:
    """A label begins with a capital letter, and the model's word of which it was made with a small one."""
    small = english[:1].lower() + english[1:]
    return next((found for word in (english, small) if word and (found := _(word)) != word), english)


def with_channels(rows: Iterable[DeliveryResult]) -> list[DeliveryResult]:
    """Deliveries, each with its `channel` in the reader's language, "" where that is not known."""
    listed = list(rows)
    found = channels.of_deliveries(listed)
    for row in listed:
        setattr(row, CHANNEL, label(Channel, found[row.pk]) if row.pk in found else "")
    return listed


def badge(text: object, colour: str = "", title: str = "") -> SafeString:
    """A coloured word: success, danger, warning, info, primary, or plain."""
    return format_html('<span class="badge badge-{}" title="{}">{}</span>', colour or "plain", title, text)


def status_badge(value: str, text: object) -> SafeString:
    return badge(text, STATUS_COLOURS.get(value, ""))


def device_badge(is_active: bool, reason: object) -> SafeString:
    """Active, or inactive with the reason in words."""
    if is_active:
        return badge(_("active"), "success")
    return format_html("{} {}", badge(_("inactive"), "danger"), reason)


def key_badge(state: KeyState) -> SafeString:
    """The state of an app key, and a second badge if the key rolled back to its old secret; the reasons on hover."""
    if not state.has_fallen_back:
        return _key_state(state)
    why = notes.words(state.key.fell_back_reason)
    return format_html("{} {}", _key_state(state), badge(_("rolled back to the old secret"), "warning", why))


def _key_state(state: KeyState) -> SafeString:
    if not state.key.is_enabled:
        return badge(_("disabled"))
    if state.key.is_paused:
        return badge(_("paused"), "danger", notes.words(state.key.paused_reason))
    if state.endpoint_fault:
        return badge(_("endpoint refused"), "danger", state.endpoint_fault)
    if state.is_tripped:
        return badge(_("provider failing"), "warning")
    if state.seconds_shut:
        return badge(_("waiting %(s)s s") % {"s": ceil(state.seconds_shut)}, "warning")
    return badge(_("in use"), "success")


def link(url: str, text: object) -> SafeString:
    return format_html('<a class="console-link" href="{}">{}</a>', url, text)


def when(moment: Any) -> SafeString | str:
    """A moment in the reader's zone, to the second, with its age on hover."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        age(clocks.now() - moment),
        f"{local:%Y-%m-%d %H:%M:%S}",
    )


def age(span: timedelta) -> str:
    """Write `span` in the largest sensible unit, as `3 min ago` or `in 2 h`."""
    words = {"amount": amount(abs(span))}
    return _("%(amount)s ago") % words if span >= timedelta() else _("in %(amount)s") % words


def amount(span: timedelta) -> str:
    """Write `span`, which is not negative, in the largest sensible unit, as `3 min`."""
    seconds = span.total_seconds()
    for size, unit in ((86_400, _("d")), (3_600, _("h")), (60, _("min"))):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} {_('s')}"
