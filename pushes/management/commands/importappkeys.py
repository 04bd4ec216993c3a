from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import URLValidator

from pushes.keys import ini
from pushes.names import DEFAULT_PROVIDER, ProviderKind
from pushes.providers import hosts


class Command(BaseCommand):
    help = "Import the app keys of the legacy system's ini file. Values are never shown; importing twice is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the ini file, with lines such as android_higo_appid = …")
        parser.add_argument("--endpoint", help="the provider's URL for all of these keys, instead of its own")
        new = f"of all of these keys (new ones: {DEFAULT_PROVIDER.value})"
        parser.add_argument("--provider", choices=ProviderKind.values, help=new)
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")

    def handle(self, *, file: str, endpoint: str | None, provider: str | None, dry_run: bool, **_options: Any) -> None:
        text = _text_of(file)
        endpoint = _checked_endpoint(endpoint)
        kind = ProviderKind(provider) if provider else None
        entries = ini.preview(text, endpoint_url=endpoint, provider=kind)
        self._show(entries)
        if any(entry.state == ini.ERROR for entry in entries):
            raise CommandError("Nothing was imported. Correct the lines above first.")
        if dry_run:
            self.stdout.write("Nothing was imported: this was a dry run.")
            return
        ini.apply(text, endpoint_url=endpoint, provider=kind)
        self.stdout.write("Imported. Check every key with: manage.py checkappkeys")

    def _show(self, entries: list[ini.Entry]) -> None:
        self.stdout.write(f"{'app key':28} {'access id':>12}  {'state':8} detail")
        for entry in entries:
            self.stdout.write(
                f"{entry.scope or '–':28} {entry.access_id or '–':>12}  {entry.state:8} {entry.detail}".rstrip()
            )


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text.") from error


def _checked_endpoint(endpoint: str | None) -> str | None:
    if not endpoint:
        return endpoint
    url = hosts.ascii_url(endpoint)
    # What stands before an @ may be a password.
    shown = f"…@{url.rpartition('@')[2]}" if "@" in url else endpoint
    try:
        URLValidator(schemes=["http", "https"])(url)
    except ValidationError as error:
        raise CommandError(f"--endpoint={shown!r} is no URL: http://… or https://… is needed.") from error
    if fault := hosts.fault(url):
        raise CommandError(f"--endpoint={shown!r}: {fault}")
    return url
