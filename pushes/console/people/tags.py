"""The page on which an operator adds and removes tags: of one device, or of all devices of an account."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.site import account_list
from pushes.console.site.pages import Question, RefusedError
from pushes.console.site.theme import TextFilter, widgets
from pushes.models import Account, Device, DeviceTag
from pushes.names import App
from pushes.people import tags
from pushes.text import characters

MAX_TYPED = 1_000


class TagsForm(forms.Form):
    """Tags to add and to remove. `has` are the tags that can be removed."""

    add = forms.CharField(
        label=gettext_lazy("Add"),
        required=False,
        max_length=MAX_TYPED,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Tags, separated by spaces or commas: letters, digits, Chinese characters, or _ - . :"),
    )
    remove = forms.MultipleChoiceField(
        label=gettext_lazy("Remove"), required=False, widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget
    )

    def __init__(self, *args: Any, has: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        remove: Any = self.fields["remove"]
        remove.choices = [(tag, tag) for tag in has]
        if not has:
            del self.fields["remove"]

    def clean_add(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_cleaned(word) for word in account_list.words(self.cleaned_data["add"])))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        both = set(cleaned.get("add", ())) & set(cleaned.get("remove", ()))
        if both:
            self.add_error("add", _("“%(tag)s” cannot be both added and removed.") % {"tag": sorted(both)[0]})
        elif not self.errors and not (cleaned["add"] or cleaned.get("remove")):
            self.add_error("add", _("Enter a tag to add, or choose one to remove."))
        return cleaned


def _cleaned(word: str) -> str:
    try:
        return tags.clean(word)
    except tags.InvalidTagError:
        raise forms.ValidationError(
            _("“%(tag)s” is not a valid tag. Use 1 to %(most)s letters, digits, Chinese characters, or _ - . :")
            % {"tag": characters.shorten(word, 60), "most": tags.MAX_TAG}
        ) from None


def of_device(device: Device) -> Question:
    return _question([device.pk], _("Tags of the device %(token)s") % {"token": device.masked_token})


def of_account(account: Account) -> Question:
    active = list(account.devices.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    return _question(active, _("Tags of all active devices of %(account)s") % {"account": account})


def _question(device_ids: Sequence[int], title: str) -> Question:
    found = DeviceTag.objects.filter(device_id__in=device_ids).order_by("tag").values_list("tag", flat=True)
    has = list(dict.fromkeys(found))
    return Question(
        title=title,
        text=_("Broadcasts can be sent to a tag. Other tags stay unchanged."),
        button=_("Save"),
        act=lambda data: _change(device_ids, data["add"], data.get("remove", ())),
        facts=[(_("Devices"), len(device_ids)), (_("Tags"), ", ".join(has) or "–")],
        form=partial(TagsForm, has=has),
    )


def _change(device_ids: Sequence[int], added: Sequence[str], removed: Sequence[str]) -> str:
    try:
        changed = tags.change(device_ids, add=added, remove=removed)
    except tags.InvalidTagError:
        # The form has examined each tag.
        raise RefusedError(
            _("Nothing was changed: a device can have at most %(most)s tags.") % {"most": tags.MAX_TAGS}
        ) from None
    if not changed:
        raise RefusedError(_("Nothing was changed: the tags are already like this."))
    done = ngettext(
        "Tags of %(n)s device changed. Added: %(added)s. Removed: %(removed)s.",
        "Tags of %(n)s devices changed. Added: %(added)s. Removed: %(removed)s.",
        changed,
    )
    return done % {"n": changed, "added": ", ".join(added) or "–", "removed": ", ".join(removed) or "–"}


class TagFilter(TextFilter):
    """Filter devices by a tag, through the index of every app's tags."""

    title = gettext_lazy("tag")
    parameter_name = "tag"

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        tag = tags.spelled(self.value() or "")
        if not tag:
            return None
        return queryset.filter(pk__in=DeviceTag.objects.filter(app__in=App.values, tag=tag).values("device_id"))
