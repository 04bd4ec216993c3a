"""What Django's forms and models say, from Django itself: its wording is no promise of ours."""

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.validators import MaxValueValidator

REQUIRED = str(forms.Field.default_error_messages["required"])
#: Up to the value, which Django fills in.
NOT_A_CHOICE = str(forms.ChoiceField.default_error_messages["invalid_choice"]).partition("%")[0]
NOT_JSON = str(forms.JSONField.default_error_messages["invalid"])
TOO_LARGE = str(MaxValueValidator.message)
WRONG_LOGIN = str(AdminAuthenticationForm.error_messages["invalid_login"]).partition("%")[0].strip()
