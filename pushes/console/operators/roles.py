"""The five roles and their permissions. `migrate` (post_migrate) sets the roles; the code is the definition.

Every release sets the permissions of these roles back: for another set, make a group of your own.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_migrate
from django.dispatch import receiver
from django.utils.translation import gettext_noop as _

VIEWER, OPERATOR, APPROVER = _("viewer"), _("operator"), _("approver")
KEY_MANAGER, ADMINISTRATOR = _("key manager"), _("administrator")

_READ = (
    "pushes.view_appkey",
    "pushes.view_account",
    "pushes.view_device",
    "pushes.view_deviceevent",
    "pushes.view_pushtypepolicy",
    "pushes.view_broadcast",
    "pushes.view_pushrecord",
    "pushes.view_deliveryresult",
    "pushes.view_deadletter",
    "chatscan.view_*",
)
_OPERATE = (
    "pushes.add_broadcast",
    "pushes.change_broadcast",
    "pushes.delete_broadcast",
    "pushes.send_broadcast",
    "pushes.change_account",
    "pushes.change_device",
    "pushes.test_device",
    # Whole tokens and the keys' secrets, together enough to push past the platform, are never one role's.
    "pushes.reveal_device",
    "pushes.change_deadletter",
    "pushes.withdraw_pushrecord",
    "pushes.resend_deliveryresult",
    "pushes.export_deliveryresult",
)
_KEYS = (
    "pushes.add_appkey",
    "pushes.change_appkey",
    "pushes.delete_appkey",
    "pushes.verify_appkey",
    "pushes.view_apitoken",
    "pushes.add_apitoken",
    "pushes.change_apitoken",
)
#: Role → permissions; `*` stands for every one with that beginning.
ROLES: dict[str, tuple[str, ...]] = {
    VIEWER: _READ,
    OPERATOR: _READ + _OPERATE,
    APPROVER: (*_READ, "pushes.approve_broadcast", "pushes.send_broadcast"),
    KEY_MANAGER: _READ + _KEYS,
    ADMINISTRATOR: ("pushes.*", "chatscan.*", "auth.*", "django_rq.*", "admin.view_logentry"),
}


@receiver(post_migrate, dispatch_uid="pushes.console.operators.roles")
def install(app_config: Any, using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Receive post_migrate: act once, after the last app, when every model's permissions exist."""
    last = [config for config in apps.get_app_configs() if config.models_module is not None][-1]
    if app_config.label != last.label or using != DEFAULT_DB_ALIAS:
        return
    # Django's own receiver of this signal may come after this one.
    create_permissions(app_config, verbosity=0, using=using)
    every = {f"{p.content_type.app_label}.{p.codename}": p for p in Permission.objects.select_related("content_type")}
    for name, wanted in ROLES.items():
        role, _created = Group.objects.get_or_create(name=name)
        role.permissions.set(every[full_name] for full_name in matching(every, wanted))


def matching(every: Iterable[str], wanted: Iterable[str]) -> set[str]:
    """The permissions that `wanted` names. Raises KeyError for a name that is no permission."""
    names = set(every)
    found: set[str] = set()
    for pattern in wanted:
        if pattern.endswith("*"):
            found |= {name for name in names if name.startswith(pattern[:-1])}
        elif pattern in names:
            found.add(pattern)
        else:
            raise KeyError(f"a role names the permission {pattern!r}, which no model has")
    return found
