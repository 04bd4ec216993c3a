"""Ask the provider of every app key whether it accepts the key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pushes.keys import check
from pushes.models import AppKey

COLUMNS = ("app", "platform", "environment", "provider", "access id", "verdict")


class Command(BaseCommand):
    help = "Verify every app key with a signed, harmless provider call. Exits with 1 when a key is not accepted."

    def handle(self, *_args: Any, **_options: Any) -> None:
        keys = list(AppKey.objects.all())
        if not keys:
            self.stdout.write("There are no app keys. Add them in the console, or with importappkeys.")
            return
        outcomes = check.check_all(keys)
        rows = [self._row(key, check.explain(outcome)) for key, outcome in zip(keys, outcomes, strict=True)]
        self._print([COLUMNS, *rows])
        bad = sum(not check.is_good(outcome) for outcome in outcomes)
        if bad:
            raise CommandError(f"{bad} of {len(keys)} app keys were not accepted.")

    def _row(self, key: AppKey, verdict: str) -> tuple[str, ...]:
        note = "" if key.is_enabled else " [disabled]"
        return (key.app, key.platform, key.environment, key.provider, str(key.access_id), verdict + note)

    def _print(self, rows: list[tuple[str, ...]]) -> None:
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
        for row in rows:
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            self.stdout.write("  ".join([*padded, row[-1]]))
