from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, transaction

from pushes.models import ApiToken


class Command(BaseCommand):
    help = "Issue a bearer token for the HTTP API. The token is printed once; only its digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whom or what it is for")
        parser.add_argument(
            "--scope", action="append", choices=ApiToken.SCOPES, required=True, dest="scopes", help="repeat for more"
        )

    def handle(self, *, name: str, scopes: list[str], **_options: Any) -> None:
        if not name.strip() or len(name) > 64:
            raise CommandError(f"name={name[:80]!r}: 1 to 64 characters are needed.")
        try:
            with transaction.atomic():
                _, clear = ApiToken.issue(name.strip(), sorted(set(scopes)))
        except IntegrityError as error:
            raise CommandError(f"name={name!r}: there is a token of this name already.") from error
        self.stdout.write(clear)
        self.stderr.write("Keep it now: it cannot be shown again.")
