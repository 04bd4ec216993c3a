"""The theme's classes under the names and types of Django's own, and the marks that pages share.

The theme has no type hints, so type checkers see the Django classes that the theme subclasses.
"""

from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin
from django.db.models import Model
from unfold import widgets
from unfold.enums import ActionVariant

from pushes.console.site.marks import amount, badge, device_badge, link, status_badge, when

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    class ModelAdmin(admin.ModelAdmin[M]):
        pass

    class ModelForm(forms.ModelForm[M]):
        pass

    class TabularInline(admin.TabularInline[Any, Any]):
        pass

    class TextFilter(admin.SimpleListFilter):
        pass

    class DropdownFilter(admin.SimpleListFilter):
        pass

    action: Any
    ChoicesDropdownFilter: Any
    AdminOwnPasswordChangeForm: Any
    AdminPasswordChangeForm: Any
    AuthenticationForm: Any
    UserChangeForm: Any
    UserCreationForm: Any
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin
    from unfold.admin import TabularInline
    from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, TextFilter
    from unfold.decorators import action
    from unfold.forms import (
        AdminOwnPasswordChangeForm,
        AdminPasswordChangeForm,
        AuthenticationForm,
        UserChangeForm,
        UserCreationForm,
    )
    from unfold.views import ChangeList

    class ModelAdmin(UnfoldModelAdmin):
        def __class_getitem__(cls, _model: object) -> type:
            return cls

    class ModelForm(forms.ModelForm):
        def __class_getitem__(cls, _model: object) -> type:
            return cls


__all__ = [
    "ActionVariant",
    "AdminOwnPasswordChangeForm",
    "AdminPasswordChangeForm",
    "AuthenticationForm",
    "ChangeList",
    "ChoicesDropdownFilter",
    "DropdownFilter",
    "ModelAdmin",
    "ModelForm",
    "TabularInline",
    "TextFilter",
    "UserChangeForm",
    "UserCreationForm",
    "action",
    "amount",
    "badge",
    "device_badge",
    "link",
    "status_badge",
    "when",
    "widgets",
]
