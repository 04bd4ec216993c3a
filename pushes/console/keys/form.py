"""The form of an app key, and the one that pauses it."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.keys.secret_field import SecretField
from pushes.console.site.switches import SwitchForm
from pushes.console.site.theme import widgets
from pushes.keys import check
from pushes.models import AppKey
from pushes.providers import hosts

#: With others of these an old secret is of no use, and what the provider said before no longer counts.
OTHER_CREDENTIALS = {"platform", "environment", "provider", "access_id", "endpoint_url"}


class AppKeyForm(SwitchForm[AppKey]):
    """The secret is typed in and never read back: not into the page, not into the history."""

    secret = SecretField(label=gettext_lazy("Secret key"), required=False)

    class Meta:
        model = AppKey
        fields = (
            "app",
            "platform",
            "environment",
            "provider",
            "access_id",
            "rate_per_second",
            "is_enabled",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        self.fields["secret"].help_text = (
            _("Stored encrypted and never shown again.")
            if is_new
            else _(
                "Leave blank to keep the stored secret. A secret entered here replaces all stored ones immediately, "
                "without a check; “Rotate the secret” verifies it first and keeps the old one."
            )
        )

    def clean_access_id(self) -> int:
        access_id = int(self.cleaned_data["access_id"])
        if access_id < 1:
            raise forms.ValidationError(_("Enter the access ID as a positive number, such as 2100047733."))
        return access_id

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        secret, provider = cleaned.get("secret", ""), cleaned.get("provider")
        fault = check.secret_fault(provider, secret) if secret and provider else ""
        if not secret and self.instance._state.adding and "secret" not in self.errors:
            fault = _("Enter the secret of the new key.")
        if "endpoint_url" in cleaned:
            fault = self._endpoint_fault(cleaned) or fault
        if fault:
            self.add_error("secret", fault)
        return cleaned

    def _endpoint_fault(self, cleaned: dict[str, Any]) -> str:
        """Whoever may change the address of a key does not thereby learn what it signs, nor get its pushes: only the
        hosts that this machine allows can be called, and another one than before needs the secret again."""
        cleaned["endpoint_url"] = url = hosts.ascii_url(cleaned["endpoint_url"] or "")
        if url and (fault := hosts.fault(url)):
            self.add_error("endpoint_url", fault)
            return ""
        before: AppKey = self.instance
        if before._state.adding or cleaned.get("secret") or {"secret", "provider"} & self.errors.keys():
            return ""
        now_at = check.place(cleaned["provider"], url)
        is_elsewhere = now_at is None or now_at != check.place(before.provider, before.endpoint_url)
        return _("Enter the secret again: the key will be used at another host.") if is_elsewhere else ""

    def save(self, commit: bool = True) -> AppKey:
        if self.cleaned_data["secret"]:
            self.instance.set_secret(self.cleaned_data["secret"])
        elif not self.instance._state.adding and OTHER_CREDENTIALS & set(self.changed_data):
            self.instance.end_old_credentials()
        return super().save(commit)


class PauseForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Shown next to the key."),
    )
