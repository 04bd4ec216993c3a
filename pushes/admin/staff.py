"""Operators and their roles, in the theme; an administrator takes away a second factor that was lost."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from pushes import secondfactor
from pushes.admin import permissions
from pushes.admin.confirm import Question, RefusedError, ask
from pushes.admin.desk import Desk, page
from pushes.admin.theme import AdminPasswordChangeForm, UserChangeForm, UserCreationForm, badge, when

if TYPE_CHECKING:

    class BaseUserAdmin(UserAdmin[User]):
        pass

    class BaseGroupAdmin(GroupAdmin):
        pass
else:
    BaseUserAdmin = UserAdmin
    BaseGroupAdmin = GroupAdmin

admin.site.unregister(User)
admin.site.unregister(Group)
# The library's own pages show the secrets of every operator.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


@admin.register(User)
class Operators(BaseUserAdmin, Desk[User]):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser", "second_factor", "last_seen")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (gettext_lazy("Personal info"), {"fields": (("first_name", "last_name"), "email")}),
        (gettext_lazy("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        (gettext_lazy("Important dates"), {"fields": (("last_login", "date_joined"),)}),
    )
    readonly_fields = ("last_login", "date_joined")
    actions_detail = ("reset_second_factor_page",)

    @page(
        gettext_lazy("Reset second factor"),
        permission="auth.change_user",
        icon="phonelink_erase",
        variant="danger",
        applies=secondfactor.has_one,
    )
    def reset_second_factor_page(self, request: HttpRequest, user: User) -> HttpResponse:
        question = Question(
            title=_("Take away the second factor of “%(name)s”?") % {"name": user.get_username()},
            text=_("For somebody who has lost phone and backup codes. Make sure that it is they who ask: from then on "
                   "the password alone opens the console, until another second factor is set up."),
            button=_("Reset second factor"),
            is_dangerous=True,
        )  # fmt: skip

        def reset(_data: dict[str, Any]) -> str:
            if not secondfactor.remove(user):
                raise RefusedError(_("%(name)s has no second factor.") % {"name": user.get_username()})
            return _("The second factor of %(name)s is taken away.") % {"name": user.get_username()}

        return ask(self, request, question, reset, row=user)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "groups":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return permissions.checkboxes(Group.objects.order_by("pk"), permissions.role_name, label=_("Roles"))

    @admin.display(description=gettext_lazy("second factor"))
    def second_factor(self, user: User) -> SafeString:
        return badge(_("yes"), "success") if secondfactor.has_one(user) else badge(_("no"))

    @admin.display(description=gettext_lazy("last login"), ordering="last_login")
    def last_seen(self, user: User) -> SafeString | str:
        return when(user.last_login)


@admin.register(Group)
class Roles(BaseGroupAdmin, Desk[Group]):
    list_filter_submit = False
    list_display = ("role",)
    filter_horizontal = ()
    search_help_text = gettext_lazy("Name")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "permissions":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return permissions.checkboxes(permissions.offered(), permissions.permission_name, label=_("This role may"))

    @admin.display(description=gettext_lazy("role"), ordering="name")
    def role(self, group: Group) -> str:
        return permissions.role_name(group)
