"""Operators and their roles, in the theme. An administrator removes a lost second factor."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from pushes.console.login.second_factor import has_one as has_second_factor
from pushes.console.login.second_factor import remove as remove_second_factor
from pushes.console.operators import authority, permissions, staffing
from pushes.console.site.desk import Desk
from pushes.console.site.pages import Question, RefusedError, page
from pushes.console.site.theme import AdminPasswordChangeForm, UserChangeForm, UserCreationForm, badge, when
from pushes.models import SecondFactor

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
admin.site.login_form = staffing.LoginForm


@admin.register(User)
class Operators(BaseUserAdmin, Desk[User]):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "role_list", "state", "second_factor", "last_seen")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password_state")}),
        (gettext_lazy("Personal info"), {"fields": (("first_name", "last_name"), "email")}),
        (gettext_lazy("Permissions"), {"fields": ("is_active", "is_superuser", "groups")}),
        (gettext_lazy("Dates"), {"fields": (("last_login", "date_joined"),)}),
    )
    readonly_fields = ("password_state", "last_login", "date_joined")
    actions_detail = ("reset_second_factor_page",)

    @page(
        gettext_lazy("Reset second factor"),
        permission="auth.change_user",
        icon="phonelink_erase",
        variant="danger",
        applies=has_second_factor,
    )
    def reset_second_factor_page(self, request: HttpRequest, user: User) -> Question:
        if not self.has_change_permission(request, user):
            raise PermissionDenied
        name = {"name": user.get_username()}

        def reset(_data: dict[str, Any]) -> str:
            if not remove_second_factor(user):
                raise RefusedError(_("%(name)s has no second factor.") % name)
            return _("The second factor of %(name)s is reset.") % name

        return Question(
            title=_("Reset the second factor of “%(name)s”?") % name,
            text=_("For someone who has lost both phone and backup codes. Verify who is asking: until a new second "
                   "factor is set up, the password alone is enough to log in."),
            button=_("Reset second factor"),
            act=reset,
            is_dangerous=True,
        )  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_rule(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_rule(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Send operators to the page that asks for the old password, if the password is their own."""
        if str(request.user.pk) == id and self.has_change_permission(request):
            return HttpResponseRedirect(reverse("admin:password_change"))
        return super().user_change_password(request, id, form_url)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Leave out the box that makes a superuser, unless the reader is a superuser: a missing field is not read from
        a POST."""
        found = super().get_fieldsets(request, obj)
        if obj is None or request.user.is_superuser:
            return found
        return [(title, {**options, "fields": _without_superuser(options["fields"])}) for title, options in found]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        factors = SecondFactor.objects.filter(user=OuterRef("pk"))
        return super().get_queryset(request).prefetch_related("groups").annotate(has_factor=Exists(factors))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "groups":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        words = {"label": _("Roles"), "help_text": _("Operators with a role can log in.")}
        return permissions.checkboxes(authority.roles_to_give(request.user), permissions.role_name, **words)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Keep the roles that this administrator may neither give nor take away."""
        user = form.instance
        kept = list(user.groups.exclude(pk__in=authority.roles_to_give(request.user))) if change else []
        if "groups" in form.cleaned_data:
            form.cleaned_data["groups"] = [*form.cleaned_data["groups"], *kept]
        super().save_related(request, form, formsets, change)
        staffing.settle(Q(pk=user.pk))
        user.refresh_from_db(fields=["is_staff"])
        if user.is_active and not user.is_staff:
            words = _("%(name)s cannot log in yet: choose a role.")
            messages.warning(request, words % {"name": user.get_username()})

    @admin.display(description=gettext_lazy("password"))
    def password_state(self, user: User) -> SafeString | str:
        """Whether the operator has a password; no part of the stored password is shown."""
        words = _("set") if user.has_usable_password() else _("not set: cannot log in with a password")
        way = '{} · <a class="console-link" href="../password/">{}</a>'
        return format_html(way, words, _("Set a new password"))

    @admin.display(description=gettext_lazy("name"))
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @admin.display(description=gettext_lazy("roles"))
    def role_list(self, user: User) -> str:
        names = [permissions.role_name(group) for group in user.groups.all()]
        return ", ".join([_("superuser")] * user.is_superuser + names) or "–"

    @admin.display(description=gettext_lazy("state"))
    def state(self, user: User) -> SafeString:
        if not user.is_active:
            return badge(_("disabled"), "danger")
        return badge(_("can log in"), "success") if user.is_staff else badge(_("no role"), "warning")

    @admin.display(description=gettext_lazy("second factor"))
    def second_factor(self, user: Any) -> SafeString:
        return badge(_("yes"), "success") if user.has_factor else badge(_("no"))

    @admin.display(description=gettext_lazy("last login"), ordering="last_login")
    def last_seen(self, user: User) -> SafeString | str:
        return when(user.last_login)


def _may_rule(request: HttpRequest, user: User | None) -> bool:
    return user is None or authority.may_rule(request.user, user)


def _may_give(request: HttpRequest, role: Group | None) -> bool:
    return role is None or authority.roles_to_give(request.user).filter(pk=role.pk).exists()


def _without_superuser(fields: Any) -> tuple[Any, ...]:
    return tuple(field for field in fields if field != "is_superuser")


@admin.register(Group)
class Roles(BaseGroupAdmin, Desk[Group]):
    list_filter_submit = False
    list_display = ("role",)
    filter_horizontal = ()
    search_help_text = gettext_lazy("Name")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_give(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_give(request, obj)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "permissions":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        allowed = authority.permissions_to_give(request.user, permissions.offered())
        return permissions.checkboxes(allowed, permissions.permission_name, label=_("This role may"))

    @admin.display(description=gettext_lazy("role"), ordering="name")
    def role(self, group: Group) -> str:
        return permissions.role_name(group)
