"""The few marks that pages share: badges, links, moments. It imports nothing of the theme, because the theme
renders a template, and with it loads every template library, while it is being imported."""

from datetime import timedelta
from math import ceil
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.history import stored_words
from pushes.history.vitals import KeyState
from pushes.names import BroadcastStatus, DeadLetterStatus, ExportStatus, RecordStatus, Status
from pushes.storage import clocks

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


#: Desks of other makers' models, by the names that the sidebar gives them.
_DESK_NAMES = {
    "admin:auth_user_changelist": gettext_lazy("Operators"),
    "admin:auth_group_changelist": gettext_lazy("Roles"),
    "admin:django_rq_dashboard_changelist": gettext_lazy("Job queues"),
}


def desk_name(address: str) -> Any:
    """What the sidebar calls the list at `address`; nothing when it bears its model's own name."""
    return next((name for view, name in _DESK_NAMES.items() if reverse(view) == address), "")


def badge(text: object, colour: str = "", title: str = "") -> SafeString:
    """A coloured word: success, danger, warning, info, primary, or plain."""
    return format_html('<span class="badge badge-{}" title="{}">{}</span>', colour or "plain", title, text)


def status_badge(value: str, text: object) -> SafeString:
    return badge(text, STATUS_COLOURS.get(value, ""))


def device_badge(is_active: bool, reason: object) -> SafeString:
    """Active, or inactive with the reason spelt out."""
    if is_active:
        return badge(_("active"), "success")
    return format_html("{} {}", badge(_("inactive"), "danger"), reason)


def key_badge(state: KeyState) -> SafeString:
    """How an app key is, and beside it that the key went back to its old secret; the reasons on hover."""
    if not state.has_fallen_back:
        return _key_state(state)
    why = noted(state.key.fell_back_reason, "key")
    return format_html("{} {}", _key_state(state), badge(_("rolled back to the old secret"), "warning", why))


def _key_state(state: KeyState) -> SafeString:
    if not state.key.is_enabled:
        return badge(_("disabled"))
    if state.key.is_paused:
        return badge(_("paused"), "danger", noted(state.key.pause_words, "key"))
    if state.endpoint_fault:
        return badge(_("endpoint refused"), "danger", state.endpoint_fault)
    if state.is_tripped:
        return badge(_("provider failing"), "warning")
    if state.seconds_shut:
        return badge(_("waiting %(s)s s") % {"s": ceil(state.seconds_shut)}, "warning")
    return badge(_("in use"), "success")


def noted(text: str, what: str) -> str:
    """A sentence that was stored in English, in the reader's language."""
    return stored_words.words(text, what)


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
    """`span` in the largest sensible unit, as `3 min ago` or `in 2 h`."""
    words = {"amount": amount(abs(span))}
    return _("%(amount)s ago") % words if span >= timedelta() else _("in %(amount)s") % words


def amount(span: timedelta) -> str:
    """`span`, which is not negative, in the largest sensible unit, as `3 min`."""
    seconds = span.total_seconds()
    for size, unit in ((86_400, _("d")), (3_600, _("h")), (60, _("min"))):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} {_('s')}"
