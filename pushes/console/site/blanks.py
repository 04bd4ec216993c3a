"""What shows nothing is no title and no text, in every form: it is answered like an empty field."""

from django import forms

from pushes.text import characters


def refuse_blanks(form: forms.BaseForm, *names: str) -> None:
    """To be called when the fields are clean: those of them that show nothing are missing."""
    for name in names:
        value = form.cleaned_data.get(name)
        if isinstance(value, str) and characters.is_blank(value) and form.fields[name].required:
            form.add_error(name, forms.ValidationError(form.fields[name].error_messages["required"], code="required"))
