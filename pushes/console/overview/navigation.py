"""The sidebar: the daily pages first, and each entry only for users who may open it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from pushes.console.site import attention
from pushes.models import AppKey
from pushes.providers.registry import sandbox_kinds

#: What a badge has room for; beyond it the number says no more.
MAX_SHOWN = 99


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups with the entries that this user may open. (The theme could call a function for each entry: on every
    page it makes a class of each, which takes longer than all entries together.)"""
    groups = _groups(_Entries(request))
    allowed = [group | {"items": [item for item in group["items"] if item is not None]} for group in groups]
    return [group for group in allowed if group["items"]]


def _groups(entry: "_Entries") -> list[dict[str, Any]]:
    return [
        {"items": [entry.to("admin:index", _("Overview"), "dashboard")]},
        {
            "title": _("Pushes"),
            "separator": True,
            "items": [
                entry.desk("broadcast", _("Broadcasts"), "campaign"),
                entry.desk("deliveryresult", _("Delivery log"), "receipt_long"),
                entry.to("admin:pushes_export_changelist", _("Exports"), "download", "pushes.export_deliveryresult"),
                entry.desk("pushrecord", _("Pushes"), "notifications"),
                entry.desk("deadletter", _("Dead letters"), "report"),
            ],
        },
        {
            "title": _("People"),
            "items": [
                entry.desk("account", _("Accounts"), "person"),
                entry.desk("device", _("Devices"), "smartphone"),
            ],
        },
        {
            "title": _("Settings"),
            "items": [
                entry.desk("appkey", _("App keys"), "key"),
                entry.desk("pushtypepolicy", _("Push types"), "tune"),
                entry.desk("apitoken", _("API tokens"), "api"),
            ],
        },
        {
            "title": _("Platform"),
            "items": [
                entry.to(
                    "admin:chatscan_scannerposition_changelist",
                    _("Chat scanners"),
                    "radar",
                    "chatscan.view_scannerposition",
                ),
                entry.to("admin:django_rq_dashboard_changelist", _("Job queues"), "stacks", "django_rq.admin"),
                entry.to("admin:auth_user_changelist", _("Operators"), "group", "auth.view_user"),
                entry.to("admin:auth_group_changelist", _("Roles"), "badge", "auth.view_group"),
                entry.desk("failedlogin", _("Failed logins"), "gpp_bad"),
            ],
        },
    ]


class _Entries:
    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def desk(self, model: str, title: str, icon: str) -> dict[str, Any] | None:
        """Make the entry of a desk. Its badge is the number of matters that wait for this user, the same as on the
        overview."""
        found = self.to(f"admin:pushes_{model}_changelist", title, icon, f"pushes.view_{model}")
        number = attention.at_desk(model, self.request.user) if found else 0
        if found and number:
            found |= {"badge": attention.shown(number, MAX_SHOWN), "badge_variant": "danger"}
        return found

    def to(self, name: str, title: str, icon: str, permission: str = "") -> dict[str, Any] | None:
        """Make an entry in the theme's form; None for a user who may not open it."""
        if permission and not self.request.user.has_perm(permission):
            return None
        return {"title": title, "icon": icon, "link": reverse(name)}


def account(_request: HttpRequest) -> list[dict[str, Any]]:
    """The menu behind the user's name."""
    return [
        {"title": _("My account"), "link": reverse("console:account")},
        {"title": _("Change password"), "link": reverse("admin:password_change")},
    ]


def environment(_request: HttpRequest) -> list[str] | None:
    """Mark the header if a key sends to the sandbox, so that a test system is not mistaken for the real one."""
    if AppKey.objects.filter(is_enabled=True, provider__in=sandbox_kinds()).exists():
        return [_("sandbox"), "warning"]
    return None
