"""Secrets in forms: typed in, never shown again, and refused when they cannot be one."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from pushes.console.site.theme import widgets
from pushes.names import ProviderKind

MAX_SECRET = 256
XINGE_SECRET_LENGTH = 32


class SecretField(forms.CharField):
    """A password field that no browser fills in and no page repeats."""

    def __init__(self, **options: Any) -> None:
        widget = widgets.UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password", "spellcheck": "false"}, render_value=False
        )
        super().__init__(max_length=MAX_SECRET, strip=True, widget=widget, **options)


def secret_fault(secret: str, provider: str | None) -> str:
    """What shows that `secret` was not copied whole; "" when nothing does. It never repeats the secret."""
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        return _("The secret contains spaces or characters that no provider uses. Copy it again.")
    if provider == ProviderKind.XINGE_V2 and len(secret) != XINGE_SECRET_LENGTH:
        words = {"want": XINGE_SECRET_LENGTH, "have": len(secret)}
        return _("Xinge secrets have %(want)s characters; this one has %(have)s.") % words
    return ""
