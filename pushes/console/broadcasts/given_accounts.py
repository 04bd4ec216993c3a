"""Read the list of accounts that an operator types or uploads for a broadcast.

Reading a long list takes seconds. So the desk reads the list before it opens the transaction of a save: the server ends
a transaction that idles too long, and the transaction's locks make others wait.
"""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site import account_list
from pushes.console.site.account_list import MAX_ACCOUNTS, AccountList
from pushes.console.site.theme import widgets
from pushes.models import Broadcast

SHOWN_BAD_LINES = 20
#: Django takes no more than 2.5 MB of fields in a request (files apart), and answers without a form what is more.
MAX_TYPED_BYTES = 2_000_000
#: The web server before us takes requests of 16 MiB (deploy/nginx.conf).
MAX_UPLOAD = 15_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """The result of reading: `listed` is None if no list was given. `fault` says why a broadcast cannot have the list,
    and `field` names the field."""

    listed: AccountList | None = None
    field: str = "accounts_typed"
    fault: str | list[str] = ""


class AccountsForm(forms.Form):
    """The two fields for a list of accounts."""

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


def read(data: Any, files: Any) -> Given:
    """Read the list from the fields of a broadcast's form. A list that `AccountsForm` refuses is not read: the
    broadcast's form shows that fault itself."""
    fields = AccountsForm(data, files)
    if data.get("audience_kind") != Broadcast.AudienceKind.ACCOUNTS or not fields.is_valid():
        return Given()
    upload, typed = fields.cleaned_data["accounts_file"], fields.cleaned_data["accounts_typed"]
    field = "accounts_file" if upload else "accounts_typed"
    try:
        listed = _listed(upload, typed)
    except ValueError as error:
        return Given(None, field, str(error))
    return Given(listed, field, _fault(listed) if listed else "")


def _listed(upload: "UploadedFile[bytes] | None", typed: str) -> AccountList | None:
    """Parse the given list; None if there is none. Raises ValueError for a file that is not text."""
    if upload:
        return account_list.parse_csv(account_list.decode(upload.read()))
    return account_list.parse(typed) if typed.strip() else None


def _fault(listed: AccountList) -> str | list[str]:
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
