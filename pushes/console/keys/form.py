"""The form of an app key, which asks for what its provider needs; and those that choose a provider and pause a key."""

from functools import lru_cache
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.keys.secret_field import form_field
from pushes.console.site.switches import SwitchForm
from pushes.console.site.theme import widgets
from pushes.keys import check, entry
from pushes.models import AppKey
from pushes.names import DEFAULT_PROVIDER, App, Environment, Platform, ProviderKind, label
from pushes.providers import hosts
from pushes.providers.base import CredentialsError, Sealed
from pushes.providers.registry import provider

#: With others of these an old secret is of no use, and what the provider said before no longer counts.
OTHER_CREDENTIALS = {"platform", "environment", "provider", "endpoint_url"}


class AppKeyForm(SwitchForm[AppKey]):
    """The credentials are typed in and never read back: not into the page, not into the history. `form_of` adds the
    fields of a provider."""

    kind: ClassVar[str] = ""
    sealed: Sealed | None = None

    class Meta:
        model = AppKey
        fields = ("app", "platform", "environment", "provider", "rate_per_second", "is_enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        if "provider" in self.fields:
            self.fields["provider"] = _provider_field(self.kind, None if is_new else self.instance)
        for field in entry.fields(self.kind):
            if field.is_access_id and field.name in self.fields and not is_new:
                self.initial[field.name] = self.instance.access_id
        first = self.fields.get(entry.first_secret(self.kind))
        if first is not None:
            first.help_text = " ".join(filter(None, (str(first.help_text), _secret_help(is_new))))

    @property
    def changes_credentials(self) -> bool:
        """Whether saving makes it another key to the provider."""
        return self.sealed is not None or bool(OTHER_CREDENTIALS & set(self.changed_data))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("provider")
        if not kind or kind not in entry.kinds():
            return cleaned
        if {"app", "platform", "environment"} <= cleaned.keys():
            self._check_scope(cleaned, kind)
        names = [field.name for field in entry.fields(self.kind)]
        if not set(names) & self.errors.keys():
            self._seal(kind, {name: str(cleaned.get(name) or "") for name in names})
        if "endpoint_url" in cleaned:
            self._check_endpoint(cleaned)
        return cleaned

    def _check_scope(self, cleaned: dict[str, Any], kind: str) -> None:
        if fault := entry.platform_fault(kind, cleaned["platform"]):
            self.add_error("platform", fault)
            return
        scope = {name: cleaned[name] for name in ("app", "platform", "environment")}
        if fault := entry.scope_fault(AppKey(pk=self.instance.pk, **scope), kind):
            self.add_error(None, fault)

    def _seal(self, kind: str, entered: dict[str, str]) -> None:
        """Have the provider examine what was entered. Left blank, an existing key keeps its own."""
        if not (self.instance._state.adding or set(entered) & set(self.changed_data)):
            return
        try:
            self.sealed = entry.sealed(self.instance, kind, entered)
        except CredentialsError as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))

    def _check_endpoint(self, cleaned: dict[str, Any]) -> None:
        """Check the endpoint. An operator who changes a key's address must not read the key's signatures or receive its
        pushes. So only hosts that this machine allows can be called, and a new host needs the secret again."""
        cleaned["endpoint_url"] = url = hosts.ascii_url(cleaned["endpoint_url"] or "")
        if url and (fault := hosts.fault(url)):
            self.add_error("endpoint_url", fault)
            return
        before: AppKey = self.instance
        asked = {field.name for field in entry.asked_fields(self.kind)}
        if before._state.adding or asked & (set(self.changed_data) | self.errors.keys()):
            return
        now_at = check.place(cleaned["provider"], url)
        if now_at is None or now_at != check.place(before.provider, before.endpoint_url):
            fault = _("Enter the secret again: the key will be used at another host.")
            self.add_error(entry.first_secret(self.kind) or None, fault)

    def save(self, commit: bool = True) -> AppKey:
        key = self.instance
        if self.sealed is not None and (key._state.adding or self.sealed.secret != entry.stored_secret(key)):
            key.set_secret(self.sealed.secret, self.sealed.access_id)
        elif not key._state.adding and self.changes_credentials:
            key.access_id = self.sealed.access_id if self.sealed else key.access_id
            key.end_old_credentials()
        return super().save(commit)


@lru_cache(maxsize=32)
def form_of(kind: str) -> type[AppKeyForm]:
    """Return the form of keys of this kind."""
    fields = {field.name: form_field(field) for field in entry.fields(kind)}
    return type("AppKeyForm", (AppKeyForm,), {**fields, "kind": kind})


def _provider_field(kind: str, key: AppKey | None) -> forms.ChoiceField:
    """The choice that is left: a new key's was made before, and a stored key keeps its channel and its credentials."""
    others = [one for one in entry.kinds() if key and key.channel == provider(one).channel]
    same = [one for one in others if entry.fields(one) == entry.fields(key.provider)] if key else []
    kinds = same or [one for one in entry.kinds() if one == kind]
    refused = entry.channel_fault
    return ProviderField(key, [(one.value, one.label) for one in kinds], refused)


class ProviderField(forms.ChoiceField):
    """One of the providers that a key may have; what it cannot have is refused with the reason."""

    def __init__(self, key: AppKey | None, choices: list[tuple[str, Any]], refused: Any) -> None:
        self.key, self.refused = key, refused
        super().__init__(
            label=gettext_lazy("Provider"), choices=choices, widget=widgets.UnfoldAdminSelectWidget(choices=choices)
        )

    def validate(self, value: str) -> None:
        if self.key is not None and value in ProviderKind.values and (fault := self.refused(self.key, value)):
            raise forms.ValidationError(fault)
        super().validate(value)


def _secret_help(is_new: bool) -> str:
    if is_new:
        return _("Stored encrypted and never shown again.")
    return _(
        "Leave blank to keep the stored secret. A secret entered here replaces all stored ones immediately, "
        "without a check; “Rotate the secret” verifies it first and keeps the old one."
    )


class KindForm(forms.Form):
    """The first step of a new key: for what, and over which provider. The second asks for its credentials."""

    app = forms.ChoiceField(label=gettext_lazy("App"), choices=App.choices)
    platform = forms.ChoiceField(label=gettext_lazy("Platform"), choices=Platform.choices)
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), choices=Environment.choices)
    provider = forms.ChoiceField(label=gettext_lazy("Provider"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"].choices = [(kind.value, _reach(kind)) for kind in entry.kinds()]  # type: ignore[attr-defined]
        for field in self.fields.values():
            choices = field.choices  # type: ignore[attr-defined]
            field.widget = widgets.UnfoldAdminSelectWidget(choices=choices)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        kind = cleaned["provider"]
        if fault := entry.platform_fault(kind, cleaned["platform"]):
            self.add_error("provider", fault)
            return cleaned
        scope = {name: cleaned[name] for name in ("app", "platform", "environment")}
        if fault := entry.scope_fault(AppKey(**scope), kind):
            self.add_error("provider", fault)
        return cleaned


def first_guess(chosen: dict[str, str]) -> dict[str, str]:
    """Return what was chosen so far, with a provider that reaches the platform and has no key there yet."""
    scope: dict[str, Any] = {name: chosen[name] for name in ("app", "platform", "environment") if name in chosen}
    free = (
        kind
        for kind in entry.kinds()
        if not entry.platform_fault(kind, scope.get("platform", "")) and not entry.scope_fault(AppKey(**scope), kind)
    )
    return {"provider": next(free, DEFAULT_PROVIDER).value, **scope}


def _reach(kind: ProviderKind) -> str:
    """The provider with the platforms that it reaches."""
    platforms = (label(Platform, one) for one in Platform if one in provider(kind).platforms)
    return f"{kind.label} – {', '.join(platforms)}"


class PauseForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Shown next to the key."),
    )
