"""Roles and permissions in the reader's words, as check-boxes.

Django's own widget is two lists with arrows. The widget is hard to use on a phone and by ear, and offers every
permission of every installed library.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.theme import widgets

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    ChoiceField = forms.ModelMultipleChoiceField[Any]
else:
    ChoiceField = forms.ModelMultipleChoiceField

#: What Django's four permissions of a model let one do; any other has a name of its own.
_VERBS: dict[str, Any] = {
    "view": gettext_lazy("see"),
    "add": gettext_lazy("add"),
    "change": gettext_lazy("change"),
    "delete": gettext_lazy("delete"),
}
#: Other makers' models, by the names that the sidebar gives them.
_DESKS: dict[str, Any] = {
    "user": gettext_lazy("Operators"),
    "group": gettext_lazy("Roles"),
    "dashboard": gettext_lazy("Job queues"),
}


def role_name(role: Group) -> str:
    """The name of a role: translated for the platform's own roles, unchanged for any other group."""
    return _(role.name)


def permission_name(permission: Permission) -> str:
    """The name of a permission, as `Broadcasts: change`."""
    model = permission.content_type.model_class()
    desk = _DESKS.get(permission.content_type.model) or (model._meta.verbose_name_plural if model else "")
    verb, _underscore, rest = permission.codename.partition("_")
    what = str(_VERBS[verb]) if rest == permission.content_type.model and verb in _VERBS else _(permission.name)
    return f"{capfirst(str(desk))}: {what}"


def offered() -> QuerySet[Permission]:
    """The permissions that open something in the console: permissions of models with a desk."""
    types = ContentType.objects.get_for_models(*admin.site._registry, for_concrete_models=False).values()
    return (
        Permission.objects.filter(Q(content_type__in=types))
        .select_related("content_type")
        .order_by("content_type__app_label", "content_type__model", "pk")
    )


class _Checkboxes(ChoiceField):
    worded: Callable[[Any], str]

    def label_from_instance(self, obj: Any) -> str:
        return self.worded(obj)


def checkboxes(queryset: QuerySet[M], worded: Callable[[M], str], **options: Any) -> forms.Field:
    """A field of check-boxes; `worded` names each box."""
    widget = widgets.UnfoldAdminCheckboxSelectMultipleWidget()
    field = _Checkboxes(queryset, required=False, widget=widget, **options)
    field.worded = worded
    return field
