"""Operators and their roles, in the theme."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from pushes.admin.theme import AdminPasswordChangeForm, ModelAdmin, UserChangeForm, UserCreationForm

if TYPE_CHECKING:

    class BaseUserAdmin(UserAdmin[User]):
        pass
else:
    BaseUserAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class Operators(BaseUserAdmin, ModelAdmin[User]):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "groups")


@admin.register(Group)
class Roles(GroupAdmin, ModelAdmin[Group]):
    pass
