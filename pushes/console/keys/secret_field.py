"""Credentials in forms: typed in, or chosen as a file, and never shown again."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy

from pushes.console.site.theme import widgets
from pushes.keys import entry
from pushes.models import AppKey
from pushes.providers.base import CredentialField

MAX_SECRET = 256


class SecretField(forms.CharField):
    """A password field that no browser fills in, and no page repeats."""

    def __init__(self, **options: Any) -> None:
        widget = widgets.UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password", "spellcheck": "false"}, render_value=False
        )
        super().__init__(max_length=MAX_SECRET, strip=True, widget=widget, **options)


class KeyFileWidget(forms.MultiWidget):
    """A place to drop a file or to choose it, and one to paste its text. Neither is filled in again."""

    def __init__(self) -> None:
        file = forms.FileInput(
            attrs={"class": "console-drop", "aria-label": gettext_lazy("Choose the file, or drop it here")}
        )
        pasted = widgets.UnfoldAdminTextareaWidget(
            attrs={
                "rows": 3,
                "spellcheck": "false",
                "autocomplete": "off",
                "aria-label": gettext_lazy("Text of the file"),
                "placeholder": gettext_lazy("Or paste the text of the file here."),
            }
        )
        super().__init__({"file": file, "": pasted})

    def id_for_label(self, id_: str, index: str = "0") -> str:
        """The place for the file: the label leads there, and so does an error's line in the summary."""
        return f"{id_}_{index}" if id_ else id_

    def decompress(self, value: Any) -> list[Any]:
        return [None, None]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class KeyFileField(forms.Field):
    """The text of a key file. A chosen file counts before a pasted text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=KeyFileWidget(), **options)

    def clean(self, value: Any) -> str:
        file, pasted = value or (None, "")
        data = file.read(entry.MAX_FILE_BYTES + 1) if file else (pasted or "").strip().encode()
        if not data and not file:
            return ""
        try:
            return entry.text_of(data)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return any(data or ())


@lru_cache(maxsize=32)
def access_id_of(kind: str) -> Callable[[AppKey], str]:
    """Return the field that shows a key's access id, under the vendor's own word for it."""

    @admin.display(description=lazy(entry.access_id_label, str)(kind))
    def access_id_shown(row: AppKey) -> str:
        return str(row.access_id)

    return access_id_shown


def form_field(field: CredentialField, **options: Any) -> forms.Field:
    """Return the field of a form in which an operator enters this credential."""
    options = {"label": field.label, "help_text": field.help_text, "required": False, **options}
    if field.is_file:
        return KeyFileField(**options)
    if field.is_secret:
        return SecretField(**options)
    widget = widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(max_length=128, widget=widget, **options)
