"""Decide who may change whom: no operator grants a permission without having it, or changes a user with more
permissions."""

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Exists, OuterRef, Q, QuerySet


def may_rule(actor: Any, other: User) -> bool:
    """Whether `actor` may change `other`: the actor, or a user whose permissions the actor has too."""
    if actor.is_superuser or actor.pk == other.pk:
        return True
    # Of somebody who is disabled the permissions count as if they were not: they can be enabled.
    return not other.is_superuser and not _permissions_of(other).exclude(pk__in=_permissions_of(actor)).exists()


def roles_to_give(actor: Any) -> QuerySet[Group]:
    """The roles that `actor` may give, take away and change: roles that allow nothing beyond the actor's
    permissions."""
    every = Group.objects.order_by("pk")
    if actor.is_superuser:
        return every
    beyond = Permission.objects.filter(group=OuterRef("pk")).exclude(pk__in=_permissions_of(actor))
    return every.filter(~Exists(beyond))


def permissions_to_give(actor: Any, offered: QuerySet[Permission]) -> QuerySet[Permission]:
    """Filter the offered permissions: those that `actor` has."""
    return offered if actor.is_superuser else offered.filter(pk__in=_permissions_of(actor))


def _permissions_of(user: Any) -> QuerySet[Permission]:
    return Permission.objects.filter(Q(group__user=user.pk) | Q(user=user.pk))
