"""The form of a broadcast: checked as a whole before anything is stored."""

from typing import Any

import orjson
from django import forms
from django.conf import settings
from django.utils.translation import gettext as _

from pushes.console.broadcasts.given_accounts import AccountsForm, Given
from pushes.console.broadcasts.presentation_form import PresentationForm
from pushes.console.site.blanks import refuse_blanks
from pushes.console.site.theme import ModelForm, widgets
from pushes.models import AppKey, Broadcast
from pushes.names import ProviderKind
from pushes.people import tags
from pushes.providers.registry import max_message_bytes
from pushes.storage import clocks
from pushes.text import presentation
from pushes.text.exact_json import Decoder
from pushes.values import Presentation

#: A longer list is not put back into the text box; uploading or typing another replaces it.
MAX_TYPED = 2_000


def most_bytes() -> int:
    """Return how large a message may be that no provider of the app keys has to cut."""
    kinds = AppKey.objects.order_by().values_list("provider", flat=True).distinct()
    return max_message_bytes(set(kinds).intersection(ProviderKind.values))


class BroadcastForm(ModelForm[Broadcast], AccountsForm, PresentationForm):
    #: What the desk has read of the list of accounts, before the transaction of this save began.
    given = Given()
    #: Whose list a copy takes over, when that is too long to be put into the text box.
    accounts_of = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Broadcast
        fields = (
            "title",
            "text",
            "app",
            "platform",
            "audience_kind",
            "tag",
            "push_type",
            "data",
            "scheduled_at",
            "expires_at",
            "window_policy",
            "canary_percent",
        )
        widgets = {
            "text": widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5}),
            "data": widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
            "tag": widgets.UnfoldAdminTextInputWidget(attrs={"list": "known-tags", "autocomplete": "off"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        data = self.fields.get("data")
        if isinstance(data, forms.JSONField):  # it is not there for who may only look
            data.decoder = Decoder
        for name, words in {"platform": _("all platforms"), "window_policy": _("as set for the push type")}.items():
            if name in self.fields:  # not for who may only look
                field: Any = self.fields[name]
                field.choices = [("", words), *(choice for choice in field.choices if choice[0])]
                field.help_text = ""
        for name, value in (self.instance.presentation or {}).items():
            self.initial.setdefault(name, value)
        kept = self.instance.accounts or self._accounts_of(self.initial.get("accounts_of"))
        if "canary_percent" in self.fields:  # not for who may only look
            self.fields["canary_percent"].help_text = _(
                "Send to this share first; stop automatically if too many fail. Blank: %(percent)s %% above %(most)s "
                "devices. 0: none."
            ) % {
                "percent": settings.BROADCAST_CANARY_PERCENT,
                "most": f"{settings.BROADCAST_CANARY_ABOVE:,}",
            }
        if kept and len(kept) <= MAX_TYPED:
            self.fields["accounts_typed"].initial = "\n".join(kept)
        elif kept:
            self.fields["accounts_typed"].help_text = _(
                "%(n)s accounts are saved. Enter or upload a new list to replace them."
            ) % {"n": len(kept)}

    def clean_text(self) -> str:
        return str(self.cleaned_data["text"]).strip()

    def clean_data(self) -> dict[str, Any]:
        data = self.cleaned_data["data"]
        if data in (None, ""):
            return {}
        if not isinstance(data, dict):
            raise forms.ValidationError(_('Enter a JSON object such as {"goods_id": "42"}, or leave the field blank.'))
        return data

    def clean_tag(self) -> str:
        tag = str(self.cleaned_data["tag"])
        if self.cleaned_data.get("audience_kind") != Broadcast.AudienceKind.TAG:
            return ""
        if not tag:
            raise forms.ValidationError(_("Enter the tag of the devices."))
        try:
            return tags.clean(tag)
        except tags.InvalidTagError:
            raise forms.ValidationError(
                _("“%(tag)s” is not a valid tag. Use 1 to %(most)s letters, digits, Chinese characters, or _ - . :")
                % {"tag": tag, "most": tags.MAX_TAG}
            ) from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        refuse_blanks(self, "title", "text")
        said = self.said()
        self.instance.presentation = presentation.as_stored(said)
        self._check_size(cleaned, said)
        self._check_times(cleaned)
        if cleaned.get("audience_kind") != Broadcast.AudienceKind.ACCOUNTS:
            self.instance.accounts = []
        elif "accounts_file" in cleaned and "accounts_typed" in cleaned:
            self._take_accounts(cleaned)
        return cleaned

    def _check_size(self, cleaned: dict[str, Any], said: Presentation) -> None:
        """Refuse what a provider of our keys would have to cut. Counted as the page counts while one types."""
        texts = [cleaned.get("title"), cleaned.get("text"), *said]
        data = orjson.dumps(cleaned.get("data") or None).decode()
        size, most = sum(len(str(text).encode()) for text in (*texts, data) if text not in (None, "null")), most_bytes()
        if size > most:
            self.add_error(
                "text",
                _(
                    "%(size)s bytes is too long: the provider accepts at most %(most)s, title and payload included. "
                    "Shorten the text."
                )
                % {"size": size, "most": most},
            )

    def _check_times(self, cleaned: dict[str, Any]) -> None:
        starts, ends = cleaned.get("scheduled_at"), cleaned.get("expires_at")
        now = clocks.now()
        if starts and starts <= now:
            self.add_error(
                "scheduled_at",
                _("This time has passed. Choose a later time, or leave the field blank to send immediately."),
            )
        if ends and ends <= (starts or now):
            self.add_error("expires_at", _("The broadcast would expire before it is sent."))
        if ends and (ends - now).days > settings.RETENTION_DAYS:
            self.add_error(
                "expires_at",
                _("Choose a time within %(n)s days: pushes are not kept longer.") % {"n": settings.RETENTION_DAYS},
            )

    def _take_accounts(self, cleaned: dict[str, Any]) -> None:
        given, kept = self.given, self.instance
        if given.fault:
            self.add_error(given.field, given.fault)
        elif given.listed is None:
            kept.accounts = kept.accounts or self._accounts_of(cleaned.get("accounts_of"))
            if not kept.accounts:
                self.add_error(given.field, _("Enter account IDs, or upload a file."))
        # The box shows each of a draft's accounts once: saved again, the draft's number of repetitions stays.
        elif given.listed.repeated or given.listed.ids != kept.accounts:
            kept.accounts, kept.repeated = given.listed.ids, given.listed.repeated

    @staticmethod
    def _accounts_of(original: Any) -> list[str]:
        found = Broadcast.objects.filter(pk=original).values_list("accounts", flat=True).first() if original else None
        return list(found or [])
