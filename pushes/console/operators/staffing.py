"""A role makes staff: a user with a role may log in, and a user without one may not.

This holds at every door: the operator's page, a shell, a seed. A role that was given past Django's signals makes staff
at the login.
"""

from typing import Any

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, pre_delete, pre_save
from django.dispatch import receiver
from django.utils.translation import gettext as _

from pushes.console.site.theme import AuthenticationForm


def settle(users: Q) -> None:
    """Make staff of those of `users` who have a role or are superusers, and take it from the rest of `users`."""
    chosen = User.objects.filter(users)
    may = Q(groups__isnull=False) | Q(is_superuser=True)
    new = list(chosen.filter(may, is_staff=False).values_list("pk", flat=True))
    gone = list(chosen.filter(is_staff=True, is_superuser=False, groups__isnull=True).values_list("pk", flat=True))
    User.objects.filter(pk__in=new).update(is_staff=True)
    User.objects.filter(pk__in=gone).update(is_staff=False)


@receiver(m2m_changed, sender=User.groups.through, dispatch_uid="pushes.console.operators.staffing.roles_changed")
def roles_changed(instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **_signal: Any) -> None:
    """Receive a change of a user's roles, or (`reverse`) of a role's users."""
    if action == "pre_clear" and reverse:
        instance.people_before = list(instance.user_set.values_list("pk", flat=True))
    if not action.startswith("post_"):
        return
    if not reverse:
        settle(Q(pk=instance.pk))
        # Who goes on to save this object must not take it back.
        instance.refresh_from_db(fields=["is_staff"])
    else:
        settle(Q(pk__in=instance.people_before if action == "post_clear" else pk_set or ()))


@receiver(pre_delete, sender=Group, dispatch_uid="pushes.console.operators.staffing.role_goes")
def role_goes(instance: Any, **_signal: Any) -> None:
    instance.people_before = list(instance.user_set.values_list("pk", flat=True))


@receiver(post_delete, sender=Group, dispatch_uid="pushes.console.operators.staffing.role_is_gone")
def role_is_gone(instance: Any, **_signal: Any) -> None:
    settle(Q(pk__in=instance.people_before))


@receiver(pre_save, sender=User, dispatch_uid="pushes.console.operators.staffing.superuser")
def superusers_are_staff(instance: Any, **_signal: Any) -> None:
    instance.is_staff = instance.is_staff or instance.is_superuser


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    def confirm_login_allowed(self, user: User) -> None:
        """Say what is missing: the password was right, so the login page may tell."""
        if not user.is_staff:
            settle(Q(pk=user.pk))
            user.refresh_from_db(fields=["is_staff"])
        if user.is_active and not user.is_staff:
            raise ValidationError(_("Your account has no role yet. Ask an administrator for one."), code="no_role")
        super().confirm_login_allowed(user)
