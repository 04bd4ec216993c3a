"""What an operator reads before a broadcast leaves: its facts, objections to it, and a fingerprint of what was read."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.broadcasts import canary
from pushes.console.broadcasts import accounts, placeholders
from pushes.console.delivery_log import presentation
from pushes.console.site.pages import Question
from pushes.console.site.theme import when
from pushes.distribution import windows
from pushes.models import AppKey, Broadcast, policies
from pushes.names import App, WindowPolicy
from pushes.storage import clocks

#: What a reader decides about. A draft that differs in any of it has not been looked at.
DECIDED = (
    "title",
    "text",
    "data",
    "presentation",
    "app",
    "platform",
    "audience_kind",
    "tag",
    "accounts",
    "push_type",
    "scheduled_at",
    "expires_at",
    "window_policy",
    "canary_percent",
)


#: So many placeholders are quoted.
SHOWN_PLACEHOLDERS = 10


def fingerprint(broadcast: Broadcast) -> str:
    """A value that changes with everything that a reader decides on."""
    return digest([getattr(broadcast, name) for name in DECIDED])


def digest(value: Any) -> str:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def audience(row: Broadcast) -> str:
    if row.audience_kind == Broadcast.AudienceKind.ACCOUNTS:
        if "accounts" in row.get_deferred_fields():
            return _("a list of accounts")
        return _("a list of %(n)s accounts") % {"n": f"{len(row.accounts):,}"}
    platform = f" ({row.get_platform_display()})" if row.platform else ""
    apps = str(row.get_app_display()) if len(row.apps) > 1 else row.app
    if row.audience_kind == Broadcast.AudienceKind.TAG:
        return _("“%(tag)s” in %(app)s") % {"tag": row.tag, "app": apps} + platform
    return _("everyone in %(app)s") % {"app": apps} + platform


def facts(broadcast: Broadcast, sizes: Mapping[App, int]) -> list[tuple[Any, Any]]:
    """The broadcast's facts. `sizes` are the estimated devices by app."""
    return [
        (_("Title"), broadcast.title),
        (_("Text"), broadcast.text),
        *presentation.facts(broadcast.presentation),
        (_("App"), broadcast.get_app_display()),
        *((_("Devices in %(app)s") % {"app": app}, f"{size:,}") for app, size in sizes.items() if len(sizes) > 1),
        (_("Platform"), broadcast.get_platform_display() or _("all platforms")),
        (_("Audience"), audience(broadcast)),
        *accounts.facts(broadcast),
        (_("Push type"), broadcast.get_push_type_display()),
        (_("Starts"), when(broadcast.scheduled_at) if broadcast.scheduled_at else _("immediately")),
        (_("Expires"), when(broadcast.expires_at) if broadcast.expires_at else _("as set for the push type")),
        (_("Delivery window"), _window(broadcast)),
        (_("Canary"), _canary(broadcast, sum(sizes.values()))),
    ]


def doubts(broadcast: Broadcast, sizes: Mapping[App, int]) -> list[str]:
    """What an operator should know before confirming."""
    found = (
        [_doubts_about_the_keys(broadcast, sizes) or _doubts_about_the_hour(broadcast)] if any(sizes.values()) else []
    )
    if broadcast.scheduled_at is not None and not any(sizes.values()):
        found.append(_("No one would receive this right now: no active device matches the audience."))
    return [doubt for doubt in (*found, _placeholders(broadcast)) if doubt]


def obstacle(broadcast: Broadcast, sizes: Mapping[App, int]) -> str:
    """Why the broadcast cannot be sent now: there is no device. "" if it can; a scheduled broadcast may find devices
    later."""
    if any(sizes.values()) or broadcast.scheduled_at is not None:
        return ""
    return _("No one to send to: no active device matches the audience. Change the audience.")


def _placeholders(broadcast: Broadcast) -> str:
    unfilled = placeholders.found(broadcast.title, broadcast.text, broadcast.data, broadcast.presentation)
    if not unfilled:
        return ""
    shown = " ".join(unfilled[:SHOWN_PLACEHOLDERS]) + (" …" if len(unfilled) > SHOWN_PLACEHOLDERS else "")
    return _("This looks like a placeholder: %(found)s. It is not filled in; everyone would receive it as is.") % {
        "found": shown
    }


def _doubts_about_the_keys(broadcast: Broadcast, sizes: Mapping[App, int]) -> str:
    keys = AppKey.objects.filter(is_enabled=True, app__in=[app for app, size in sizes.items() if size])
    if broadcast.platform:
        keys = keys.filter(platform=broadcast.platform)
    known = {key.app: key for key in keys}
    missing = [app.value for app, size in sizes.items() if size and app not in known]
    if missing and not known:
        return _("No app key is enabled for this audience: every device would be skipped.")
    if missing:
        return _("No app key is enabled for %(apps)s: its devices would be skipped.") % {"apps": ", ".join(missing)}
    if keys.filter(paused_at__isnull=False).exists():
        return _("An app key for this audience is paused: pushes under it wait until it is resumed.")
    return ""


def _rule(broadcast: Broadcast) -> tuple[str, str]:
    """What happens outside which window."""
    rule = policies().get(broadcast.push_type)
    policy = broadcast.window_policy or (rule.window_policy if rule else WindowPolicy.HOLD)
    return policy, rule.window if rule else settings.DELIVERY_WINDOW


def _window(broadcast: Broadcast) -> str:
    policy, window = _rule(broadcast)
    if window == windows.OFF or policy == WindowPolicy.SEND:
        return _("any time")
    return _("%(window)s; outside it: %(policy)s") % {"window": window, "policy": WindowPolicy(policy).label}


def _doubts_about_the_hour(broadcast: Broadcast) -> str:
    policy, window = _rule(broadcast)
    starts_at = max(clocks.now(), broadcast.scheduled_at or clocks.now())
    decision = windows.decide(policy, window, starts_at, ZoneInfo(settings.TIME_ZONE))
    if decision.is_dropped:
        return _("The broadcast would start outside the delivery window and be dropped: no one would receive it.")
    if decision.hold_until is None:
        return ""
    opens = timezone.localtime(decision.hold_until).strftime("%Y-%m-%d %H:%M")
    if broadcast.expires_at and broadcast.expires_at <= decision.hold_until:
        return _(
            "The broadcast would expire before the delivery window opens (%(opens)s): no one would receive it."
        ) % {"opens": opens}
    return _("The broadcast would start outside the delivery window: it waits until %(opens)s.") % {"opens": opens}


def _canary(broadcast: Broadcast, estimate: int) -> str:
    share = canary.share(broadcast, estimate)
    if not share:
        return _("none: sent to everyone at once")
    return _("%(n)s devices (%(percent)s %%) first; the rest follow automatically if those succeed") % {
        "n": f"{max(1, round(estimate * share / canary.WHOLE)):,}",
        "percent": f"{100 * share / canary.WHOLE:g}",
    }


def launch_question(broadcast: Broadcast, sizes: Mapping[App, int], **more: Any) -> Question:
    """The question for an operator who may send alone. `sizes` are the estimated devices by app; `more` goes to the
    question."""
    number, words = sum(sizes.values()), {"n": f"{sum(sizes.values()):,}"}
    send = ngettext("Send to %(n)s device now", "Send to %(n)s devices now", number)
    title = ngettext(
        "Send this broadcast to about %(n)s device?", "Send this broadcast to about %(n)s devices?", number
    )
    return Question(
        title=title % words,
        text=_("Sent messages cannot be recalled. You can pause or cancel the rest at any time."),
        button=send % words if broadcast.scheduled_at is None else _("Schedule broadcast"),
        facts=facts(broadcast, sizes),
        warnings=doubts(broadcast, sizes),
        obstacle=obstacle(broadcast, sizes),
        is_dangerous=True,
        **more,
    )


def approval_question(broadcast: Broadcast, sizes: Mapping[App, int], **more: Any) -> Question:
    """The question before a second person is asked for approval."""
    number = sum(sizes.values())
    title = ngettext(
        "Request approval to send to about %(n)s device?", "Request approval to send to about %(n)s devices?", number
    )
    return Question(
        title=title % {"n": f"{number:,}"},
        text=_(
            "A broadcast to more than %(most)s devices needs the approval of a second person. Once requested, it "
            "can no longer be edited."
        )
        % {"most": f"{settings.BROADCAST_APPROVAL_ABOVE:,}"},
        button=_("Request approval"),
        facts=facts(broadcast, sizes),
        warnings=doubts(broadcast, sizes),
        **more,
    )
