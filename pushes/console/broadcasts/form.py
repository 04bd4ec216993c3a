"""What an operator fills in for a broadcast, checked as a whole before anything is stored."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site import account_list
from pushes.console.site.account_list import MAX_ACCOUNTS, AccountList
from pushes.console.site.blanks import refuse_blanks
from pushes.console.site.theme import ModelForm, widgets
from pushes.models import Broadcast
from pushes.people import tags
from pushes.providers.registry import max_message_bytes
from pushes.storage import clocks
from pushes.text.exact_json import Decoder

SHOWN_BAD_LINES = 20
#: A longer list is not put back into the text box; uploading or typing another replaces it.
MAX_TYPED = 2_000
#: Django takes no more than 2.5 MB of fields in a request (files apart), and answers without a form what is more.
MAX_TYPED_BYTES = 2_000_000
#: The web server before us takes requests of 16 MiB (deploy/nginx.conf).
MAX_UPLOAD = 15_000_000


class BroadcastForm(ModelForm[Broadcast]):
    accounts_typed = forms.CharField(
        label=gettext_lazy("Account IDs"),
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "One per line, or separated by commas or spaces. Up to 2 MB; upload a longer list as a file."
        ),
    )
    accounts_file = forms.FileField(
        label=gettext_lazy("… or a CSV file"),
        required=False,
        widget=widgets.UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
        help_text=gettext_lazy(
            "The column headed account_id (or 账号) holds the account IDs; without a heading, the first column. "
            "Up to 200,000 lines, 15 MB. Replaces what is typed above."
        ),
    )

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
        text, most = str(self.cleaned_data["text"]).strip(), max_message_bytes()
        if len(text.encode()) > most:
            raise forms.ValidationError(
                _(
                    "%(size)s bytes is too long: the provider accepts at most %(most)s, title and payload included. "
                    "Shorten the text."
                )
                % {"size": len(text.encode()), "most": most}
            )
        return text

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

    def clean_accounts_typed(self) -> str:
        typed = str(self.cleaned_data["accounts_typed"])
        if len(typed.encode()) > MAX_TYPED_BYTES:
            raise forms.ValidationError(
                _("The list is longer than %(mb)s MB. Upload it as a CSV file.") % {"mb": MAX_TYPED_BYTES // 1_000_000}
            )
        return typed

    def clean_accounts_file(self) -> "UploadedFile[bytes] | None":
        upload: UploadedFile[bytes] | None = self.cleaned_data["accounts_file"]
        if upload is not None and (upload.size or 0) > MAX_UPLOAD:
            raise forms.ValidationError(
                _("The file is %(size)s MB; at most %(mb)s MB is allowed. Keep only the column with account IDs.")
                % {"size": f"{(upload.size or 0) / 1_000_000:.1f}", "mb": MAX_UPLOAD // 1_000_000}
            )
        return upload

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        refuse_blanks(self, "title", "text")
        self._check_times(cleaned)
        if cleaned.get("audience_kind") != Broadcast.AudienceKind.ACCOUNTS:
            self.instance.accounts = []
        elif "accounts_file" in cleaned and "accounts_typed" in cleaned:
            self._take_accounts(cleaned)
        return cleaned

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
        field = "accounts_file" if cleaned.get("accounts_file") else "accounts_typed"
        try:
            listed = _listed(cleaned.get("accounts_file"), cleaned.get("accounts_typed", ""))
        except ValueError as error:
            self.add_error(field, str(error))
            return
        if listed is None:
            self.instance.accounts = self.instance.accounts or self._accounts_of(cleaned.get("accounts_of"))
            if self.instance.accounts:
                return
        fault = _fault(listed)
        if listed is None or fault:
            self.add_error(field, fault)
            return
        # The box shows each of a draft's accounts once: saved again, the draft's number of repetitions stays.
        if listed.repeated or listed.ids != self.instance.accounts:
            self.instance.accounts, self.instance.repeated = listed.ids, listed.repeated

    @staticmethod
    def _accounts_of(original: Any) -> list[str]:
        found = Broadcast.objects.filter(pk=original).values_list("accounts", flat=True).first() if original else None
        return list(found or [])


def _listed(upload: "UploadedFile[bytes] | None", typed: str) -> AccountList | None:
    """What was given, or None when nothing was. Raises ValueError for a file that is no text."""
    if upload:
        return account_list.parse_csv(account_list.decode(upload.read()))
    return account_list.parse(typed) if typed.strip() else None


def _fault(listed: AccountList | None) -> str | list[str]:
    if listed is None:
        return _("Enter account IDs, or upload a file.")
    if listed.bad:
        more = len(listed.bad) - SHOWN_BAD_LINES
        lines = [str(line) for line in listed.bad[:SHOWN_BAD_LINES]]
        return [
            _("Nothing was imported. Fix these lines:"),
            *lines,
            *([_("… and %(n)s more") % {"n": more}] if more > 0 else []),
        ]
    if not listed.ids:
        return _("The list contains no account IDs.")
    if len(listed.ids) > MAX_ACCOUNTS:
        return _("%(n)s accounts are too many: a broadcast can have at most %(most)s. Split the list.") % {
            "n": len(listed.ids),
            "most": MAX_ACCOUNTS,
        }
    return ""
