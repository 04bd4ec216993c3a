"""Take away the second factor of an operator who has lost it: for when no administrator can log in any more."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pushes.console.login import second_factor


class Command(BaseCommand):
    help = "Remove the second factor of an operator who has lost both phone and backup codes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **_options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no operator named {username!r}.")
        if not second_factor.remove(user):
            raise CommandError(f"{username!r} has no second factor.")
        self.stdout.write(f"Removed the second factor of {username}; the password alone is enough to log in now.")
