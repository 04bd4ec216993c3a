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
        parser.add_argument("name", help="whom or what it is for")
        parser.add_argument(
            "--scope", action="append", choices=ApiToken.SCOPES, required=True, dest="scopes", help="repeat for more"
        )

        parser.add_argument("--days", type=int, help="for how many days it is good; without it, until it is disabled")

    def handle(self, *, name: str, scopes: list[str], days: int | None, **_options: Any) -> None:
        if not name.strip() or len(name) > 64:
            raise CommandError(f"name={name[:80]!r}: 1 to 64 characters are needed.")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days={days}: it must lie between 1 and {MAX_DAYS}.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        try:
            with transaction.atomic():
                _, clear = ApiToken.issue(name.strip(), sorted(set(scopes)), expires_at)
        except IntegrityError as error:
            raise CommandError(f"name={name!r}: there is a token of this name already.") from error
        self.stdout.write(clear)
        self.stderr.write("Keep it now: it cannot be shown again.")
