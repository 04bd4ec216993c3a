"""Secrets in forms: typed in, and never shown again."""

from typing import Any

from django import forms

from pushes.console.site.theme import widgets

MAX_SECRET = 256


class SecretField(forms.CharField):
    """A password field that no browser fills in and no page repeats."""

    def __init__(self, **options: Any) -> None:
        widget = widgets.UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password", "spellcheck": "false"}, render_value=False
        )
        super().__init__(max_length=MAX_SECRET, strip=True, widget=widget, **options)
