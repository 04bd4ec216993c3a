import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from pushes.people import device_csv
from pushes.text.spreadsheets import SheetError, decode

MAX_SHOWN = 50
EVENTS = ("registered", "moved", "corrected", "reactivated", "unchanged")


class Command(BaseCommand):
    help = (
        "Import devices from a CSV file: account_id,app,platform,environment,token[,login_status,push_status,tags,"
        "channel,installation_id]. A first line with these names, in English or Chinese, may put them in any order."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the CSV file; - for standard input")
        parser.add_argument("--skip-bad", action="store_true", help="import the good lines and skip the bad ones")

    def handle(self, *, file: str, skip_bad: bool, **_options: Any) -> None:
        parsed = self._parse(file)
        self._show(parsed.bad)
        if parsed.bad and not skip_bad:
            raise CommandError(
                f"{len(parsed.bad)} bad lines; nothing was imported. Fix them, or skip them with --skip-bad."
            )
        try:
            counts = device_csv.store(parsed.rows)
        except IntegrityError as error:
            raise CommandError(
                f"Nothing was imported: some of these devices registered in the meantime. Run it again. ({error})"
            ) from error
        events = ", ".join(f"{counts[event]} {event}" for event in EVENTS)
        self.stdout.write(
            f"{len(parsed.rows)} devices: {events}; {counts['accounts']} accounts created, "
            f"{counts['tagged']} devices retagged, {len(parsed.bad)} bad lines skipped"
        )

    def _parse(self, file: str) -> device_csv.Parsed:
        try:
            return device_csv.parse_text(_text(file))
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        except SheetError as error:
            raise CommandError(
                f"{'standard input' if file == '-' else file}: {error}. Nothing was imported."
            ) from error

    def _show(self, bad: list[device_csv.BadLine]) -> None:
        for line in bad[:MAX_SHOWN]:
            self.stderr.write(str(line))
        if len(bad) > MAX_SHOWN:
            self.stderr.write(f"… and {len(bad) - MAX_SHOWN} more")


def _text(file: str) -> str:
    """Raises OSError and SheetError."""
    if file != "-":
        return decode(Path(file).read_bytes())
    # A stream that somebody has put in the place of standard input may have text alone.
    raw = getattr(sys.stdin, "buffer", None)
    return decode(raw.read()) if raw is not None else sys.stdin.read()
