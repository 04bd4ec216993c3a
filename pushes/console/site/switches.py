"""The box `is_enabled` of a form: an unticked box asks on a page of its own; an untouched box changes nothing."""

from typing import Any

from django.utils.functional import cached_property

from pushes.console.site.theme import M, ModelForm


class SwitchForm(ModelForm[M]):
    """A form with a box that switches a row on. With the box unticked, the row stays on until the page that asks is
    answered."""

    asks_to_switch_off = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "is_enabled" in self.fields:
            # What the box was when the page was made: somebody else may have switched the row off since then.
            self.fields["is_enabled"].show_hidden_initial = True

    @cached_property
    def changed_data(self) -> list[str]:
        return [name for name in super().changed_data if name != "is_enabled" or self._is_switched()]

    def _is_switched(self) -> bool:
        """Whether saving switches the row: not off, because that asks first, and not to the row's present state."""
        is_enabled = self.fields["is_enabled"].to_python(self["is_enabled"].data)
        return self.instance._state.adding or bool(is_enabled and not self.initial.get("is_enabled"))

    def clean_is_enabled(self) -> bool:
        row: Any = self.instance
        is_enabled, was = bool(self.cleaned_data["is_enabled"]), bool(row.is_enabled)
        if self._is_untouched():
            return was
        self.asks_to_switch_off = not row._state.adding and was and not is_enabled
        return is_enabled or self.asks_to_switch_off

    def _is_untouched(self) -> bool:
        """Whether the box is as the page showed it, whatever the row's state is now."""
        box = self["is_enabled"]
        return self.data.get(box.html_initial_name) == str(bool(box.data))
