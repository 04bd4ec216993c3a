"""The optional fields of a broadcast: how it looks on the phone, and what a tap opens."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from pushes.console.delivery_log.presentation import LABELS
from pushes.console.site.theme import widgets
from pushes.names import MAX_WORD
from pushes.text import notes, presentation
from pushes.text.presentation import MAX_ADDRESS, MAX_SUBTITLE
from pushes.values import Presentation


def _field(name: str, most: int, help_text: Any, **attributes: str) -> forms.CharField:
    attributes = {"autocomplete": "off", "spellcheck": "false", "maxlength": str(most), **attributes}
    widget = widgets.UnfoldAdminTextInputWidget(attrs=attributes)
    return forms.CharField(label=LABELS[name], required=False, widget=widget, help_text=help_text)


class PresentationForm(forms.Form):
    """A field for each of `values.Presentation`. What is wrong with one is said by the reading that all doors share."""

    image = _field("image", MAX_ADDRESS, gettext_lazy("The https address of a picture."), inputmode="url")
    link = _field(
        "link",
        MAX_ADDRESS,
        gettext_lazy(
            "What a tap opens: an https address or a page of the app, such as higo://sale/11. Blank: the app."
        ),
        inputmode="url",
    )
    subtitle = _field("subtitle", MAX_SUBTITLE, gettext_lazy("Shown on iPhones, below the title."), spellcheck="true")
    sound = _field(
        "sound", MAX_WORD, gettext_lazy("A sound file of the app, such as ding.caf. Blank: as set for the push type.")
    )
    badge = _field("badge", 5, gettext_lazy("The number on the app's icon; 0 removes it."), inputmode="numeric")
    category = _field(
        "category",
        MAX_WORD,
        gettext_lazy(
            "Blank: MARKETING. Name a service class only if the message is one: vendors punish a wrong class."
        ),
        list="message-classes",
    )
    android_channel = _field("android_channel", MAX_WORD, gettext_lazy("Blank: as set for the push type."))

    def said(self) -> Presentation:
        """Return what the form says. What is wrong becomes the errors of its fields."""
        found: dict[str, Any] = {}
        for name in presentation.FIELDS:
            given = self.cleaned_data.get(name, "")
            try:
                found |= {name: presentation.field(name, given)} if given else {}
            except presentation.PresentationError as error:
                self.add_error(name, notes.words(error.detail))
        return Presentation(**found)
