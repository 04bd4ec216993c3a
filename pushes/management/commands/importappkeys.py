from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pushes.keys import ini
from pushes.management import endpoint as endpoint_url
from pushes.names import DEFAULT_PROVIDER, ProviderKind


class Command(BaseCommand):
    help = "Import app keys from the legacy system's ini file. Secrets are never shown; importing twice is harmless."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the ini file, with lines such as android_higo_appid = …")
        parser.add_argument("--endpoint", help="endpoint URL for all of these keys, instead of the provider's own")
        new = f"of all of these keys (new ones: {DEFAULT_PROVIDER.value})"
        parser.add_argument("--provider", choices=ProviderKind.values, help=new)
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")

    def handle(self, *, file: str, endpoint: str | None, provider: str | None, dry_run: bool, **_options: Any) -> None:
        text = _text_of(file)
        endpoint = endpoint_url.checked(endpoint) if endpoint else endpoint
        kind = ProviderKind(provider) if provider else None
        entries = ini.preview(text, endpoint_url=endpoint, provider=kind)
        self._show(entries)
        if any(entry.state == ini.ERROR for entry in entries):
            raise CommandError("Nothing was imported. Fix the lines above first.")
        if dry_run:
            self.stdout.write("Nothing was imported: this was a dry run.")
            return
        ini.apply(text, endpoint_url=endpoint, provider=kind)
        self.stdout.write("Imported. Verify every key with: manage.py checkappkeys")

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
