"""The rules of each push type, as one editable table."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes import windows
from pushes.admin.blanks import refuse_blanks
from pushes.admin.desk import Desk
from pushes.admin.theme import ModelForm
from pushes.models import PushTypePolicy
from pushes.names import UnknownPolicy, WindowPolicy

LONGEST_TTL_SECONDS = 30 * 86_400


class PolicyForm(ModelForm[PushTypePolicy]):
    """The rows of the table and the page of one type check alike."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        refuse_blanks(self, "default_title")
        return cleaned

    def clean_window(self) -> str:
        window = str(self.cleaned_data["window"]).strip()
        try:
            if window:
                windows.parse(window)
        except ValueError:
            raise forms.ValidationError(
                _("%(value)r is no delivery window: write it as 08:00-23:00, or off for any hour.") % {"value": window}
            ) from None
        return window

    def clean_ttl_seconds(self) -> int:
        seconds = int(self.cleaned_data["ttl_seconds"])
        if not 1 <= seconds <= LONGEST_TTL_SECONDS:
            raise forms.ValidationError(
                _("A push lives between 1 second and %(most)s seconds (30 days).") % {"most": LONGEST_TTL_SECONDS}
            )
        return seconds

    class Meta:
        model = PushTypePolicy
        fields = (
            "default_title",
            "is_enabled",
            "ttl_seconds",
            "requires_login",
            "respects_do_not_disturb",
            "skips_online",
            "window_policy",
            "window",
            "unknown_policy",
        )


#: The choices in a word each: a column of the table has no room for the sentence that the form shows.
_IN_A_WORD: dict[str, list[tuple[str, Any]]] = {
    "window_policy": [
        (WindowPolicy.HOLD, gettext_lazy("hold")),
        (WindowPolicy.DROP, gettext_lazy("drop")),
        (WindowPolicy.SEND, gettext_lazy("send")),
    ],
    "unknown_policy": [
        (UnknownPolicy.KEEP, gettext_lazy("keep")),
        (UnknownPolicy.RESEND, gettext_lazy("send again")),
    ],
}


class RowForm(PolicyForm):
    """A row of the table."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in _IN_A_WORD.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = choices


@admin.register(PushTypePolicy)
class Policies(Desk[PushTypePolicy]):
    """One row for each of the 16 types, which are fixed: none is added or removed here."""

    form = PolicyForm
    list_display = (
        "type_name",
        "is_enabled",
        "requires_login",
        "respects_do_not_disturb",
        "skips_online",
        "window_policy",
        "window",
        "ttl_seconds",
        "unknown_policy",
    )
    list_editable = list_display[1:]
    list_display_links = ("type_name",)
    list_fullwidth = True
    list_before_template = "console/policies_notice.html"
    sortable_by = ()
    actions = None
    fieldsets = (
        (None, {"fields": ("type_name", ("default_title", "ttl_seconds"), "is_enabled")}),
        (
            gettext_lazy("Who is pushed to"),
            {"fields": ("requires_login", "respects_do_not_disturb", "skips_online")},
        ),
        (gettext_lazy("When"), {"fields": (("window_policy", "window"),)}),
        (gettext_lazy("In doubt"), {"fields": ("unknown_policy",)}),
    )
    readonly_fields = ("type_name",)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return super().get_changelist_form(request, form=RowForm, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {"default_window": settings.DELIVERY_WINDOW, "zone": settings.TIME_ZONE}
        return super().changelist_view(request, context | (extra_context or {}))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PushTypePolicy | None = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("push type"))
    def type_name(self, row: PushTypePolicy) -> str:
        return str(row)
