"""The page on which an operator mutes conversations or blocks senders for one account."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.console.site.pages import Question, RefusedError
from pushes.console.site.theme import widgets
from pushes.models import Account
from pushes.people import mutes
from pushes.people.mutes import InvalidEntryError, ListChange
from pushes.text import characters

OWN_DIRECTORY = "pushes.people.directory.TableDirectory"
ROWS = 5
#: The history names so many entries; the page of the account shows all.
SHOWN_ENTRIES = 5


class LinesField(forms.CharField):
    """A text with one entry a line. The cleaned value is the list of entries, each once, in `read`'s spelling."""

    widget = widgets.UnfoldAdminTextareaWidget

    def __init__(self, read: Callable[[str], str], **more: Any) -> None:
        super().__init__(required=False, max_length=mutes.MAX_ENTRIES * 160, **more)
        self.widget.attrs["rows"] = ROWS
        self._read = read

    def clean(self, value: Any) -> Any:
        lines = [line for line in super().clean(value).splitlines() if line.strip()]
        if len(lines) > mutes.MAX_ENTRIES:
            raise forms.ValidationError(
                _("%(n)s lines are too many: an account can have at most %(most)s.")
                % {"n": len(lines), "most": mutes.MAX_ENTRIES}
            )
        return tuple(dict.fromkeys(map(self._entry, lines)))

    def _entry(self, line: str) -> str:
        try:
            return self._read(line)
        except InvalidEntryError:
            raise forms.ValidationError(
                _("“%(value)s” is not valid. Nothing was changed.") % {"value": characters.shorten(line.strip(), 60)}
            ) from None


class PreferencesForm(forms.Form):
    muted = LinesField(
        mutes.conversation,
        label=gettext_lazy("Muted conversations"),
        help_text=gettext_lazy("One per line: group:7 for a group, private:12:34 for a chat between two accounts."),
    )
    blocked = LinesField(
        mutes.account,
        label=gettext_lazy("Blocked accounts"),
        help_text=gettext_lazy("One account ID per line. Their messages are not pushed to this account."),
    )


def question(row: Account) -> Question:
    """Show both lists, and store the changed lists."""
    muted, blocked = mutes.lists(row)

    def store(data: dict[str, Any]) -> str:
        # What the page showed is what the operator changed: entries that came meanwhile stay.
        changes = (_difference(muted, data["muted"]), _difference(blocked, data["blocked"]))
        if not any(changes):
            raise RefusedError(_("Nothing was changed."))
        try:
            mutes.change(row.pk, *changes)
        except InvalidEntryError:
            # The form has examined each entry; what came meanwhile counts, too.
            raise RefusedError(
                _("Nothing was changed: a list can have at most %(most)s entries.") % {"most": mutes.MAX_ENTRIES}
            ) from None
        return _said(*changes)

    return Question(
        title=_("Mute and block for %(account)s") % {"account": row.account_id},
        text=_(
            "Chat pushes from a muted conversation or a blocked account are skipped with that reason; the messages can "
            "still be read in the app. Orders and payments are not affected."
        ),
        button=_("Save"),
        act=store,
        form=PreferencesForm,
        initial={"muted": "\n".join(muted), "blocked": "\n".join(blocked)},
        warnings=_foreign_warning(),
    )


def _foreign_warning() -> list[str]:
    if settings.DIRECTORY == OWN_DIRECTORY:
        return []
    return [_("Accounts are read from another database (DIRECTORY): settings saved here have no effect.")]


def _difference(before: Any, after: Any) -> ListChange:
    return ListChange(
        add=tuple(entry for entry in after if entry not in before),
        remove=tuple(entry for entry in before if entry not in after),
    )


def _said(muted: ListChange, blocked: ListChange) -> str:
    parts = (
        (_("muted: %(list)s"), muted.add),
        (_("no longer muted: %(list)s"), muted.remove),
        (_("blocked: %(list)s"), blocked.add),
        (_("no longer blocked: %(list)s"), blocked.remove),
    )
    return "; ".join(text % {"list": _listed(entries)} for text, entries in parts if entries)


def _listed(entries: tuple[str, ...]) -> str:
    more = len(entries) - SHOWN_ENTRIES
    shown = ", ".join(entries[:SHOWN_ENTRIES])
    return _("%(list)s and %(n)s more") % {"list": shown, "n": more} if more > 0 else shown
