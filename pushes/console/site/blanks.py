"""Refuse invisible titles and texts in every form: they are treated like an empty field."""

from django import forms

from pushes.text import characters


def refuse_blanks(form: forms.BaseForm, *names: str) -> None:
    """Report each of the fields that shows nothing as missing. Call this once the fields are clean."""
    for name in names:
        value = form.cleaned_data.get(name)
        if isinstance(value, str) and characters.is_blank(value) and form.fields[name].required:
            form.add_error(name, forms.ValidationError(form.fields[name].error_messages["required"], code="required"))
