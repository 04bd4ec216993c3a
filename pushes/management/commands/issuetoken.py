from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction
from django.utils import timezone

from pushes.models import ApiToken

MAX_DAYS = ApiToken.LONGEST.days


class Command(BaseCommand):
    help = "Issue a bearer token for the HTTP API. The token is printed once; only its digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who or what uses the token")
        parser.add_argument(
            "--scope",
            action="append",
            choices=ApiToken.SCOPES,
            required=True,
            dest="scopes",
            help="a scope; repeat the option for more",
        )

        parser.add_argument("--days", type=int, help="days until the token expires (default: never)")

    def handle(self, *, name: str, scopes: list[str], days: int | None, **_options: Any) -> None:
        if not name.strip() or len(name) > 64:
            raise CommandError(f"name={name[:80]!r}: it must have 1 to 64 characters.")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days={days}: it must lie between 1 and {MAX_DAYS}.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        try:
            with transaction.atomic():
                _, clear = ApiToken.issue(name.strip(), sorted(set(scopes)), expires_at)
        except IntegrityError as error:
            raise CommandError(f"name={name!r}: a token with this name already exists.") from error
        self.stdout.write(clear)
        self.stderr.write("Save it now: it is not shown again.")
