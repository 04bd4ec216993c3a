"""Forms that ask operators for their own password. Wrong passwords count, and lock, like failed logins."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.theme import AdminOwnPasswordChangeForm, widgets


def is_own(request: HttpRequest, given: str) -> bool:
    """Whether this is the asking user's password, by the login's own check. A lock answers in place of the page."""
    return authenticate(request, username=request.user.get_username(), password=given) == request.user


class PasswordForm(forms.Form):
    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(*args)
        self.request = request

    def clean_password(self) -> str:
        given = str(self.cleaned_data["password"])
        if not is_own(self.request, given):
            raise forms.ValidationError(_("Incorrect password. Try again."))
        return given


class CodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=20,
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false", "autocapitalize": "off"}
        ),
    )


class SetUpForm(CodeForm, PasswordForm):
    """The form that sets up a second factor. It asks for the password too: a stranger at an unlocked screen must not
    bind a phone."""

    field_order = ("code", "password")


class PasswordChangeForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        given = str(self.cleaned_data["old_password"])
        if not is_own(self.request, given):
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return given


class PasswordChange(PasswordChangeView):
    """Change the password, in place of the site's own page: at an open session that page allows guesses at the old
    password."""

    form_class = PasswordChangeForm
    template_name = "registration/password_change_form.html"
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return {**super().get_context_data(**more), **admin.site.each_context(self.request)}
