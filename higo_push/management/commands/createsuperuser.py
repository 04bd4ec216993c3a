"""Django's own, which takes any password from DJANGO_SUPERUSER_PASSWORD; here the rules hold for it, too."""

import os
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

VARIABLE = "DJANGO_SUPERUSER_PASSWORD"
#: Which a password must not be like; each may stand in a variable of its own.
PERSONAL = ("username", "email")


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get(VARIABLE)
        if not options["interactive"] and password is not None:
            try:
                validate_password(password, User(**{name: _given(options, name) for name in PERSONAL}))
            except ValidationError as error:
                raise CommandError(f"{VARIABLE}: {' '.join(error.messages)}") from None
        super().handle(*args, **options)


def _given(options: dict[str, Any], name: str) -> str:
    return str(options[name] or os.environ.get(f"DJANGO_SUPERUSER_{name.upper()}", ""))
