import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from pushes.history.answers import Timeline
from pushes.history.around import around
from pushes.history.timeline import timeline
from pushes.text import ids


class Command(BaseCommand):
    help = "Tell what became of one message for one account, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="the account id")
        parser.add_argument("message", nargs="?", help="the message id, a push as #123, or a dedupe key")
        parser.add_argument("--at", metavar="TIME", help="instead of a message: about when, as 2026-05-01T08:00")
        parser.add_argument("--json", action="store_true", dest="as_json", help="for programs")

    def handle(self, *, account: str, message: str | None, at: str | None, as_json: bool, **_options: Any) -> None:
        if (message is None) == (at is None):
            raise CommandError("give either a MESSAGE or --at TIME")
        given, account = account, ids.typed(account)
        if not account:
            raise CommandError(f"ACCOUNT {ids.shown(given)} is no account id")
        found = timeline(account, message) if message is not None else around(account, _moment(at or ""))
        if as_json:
            self.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False, indent=2))
        else:
            self._print(found)

    def _print(self, found: Timeline) -> None:
        subject = f"{found.message} for {found.account_id}" if found.message else found.account_id
        self.stdout.write(f"{subject}: {found.outcome.value}\n\n")
        for step in found.steps:
            at = f"{timezone.localtime(step.at):%Y-%m-%d %H:%M:%S}" if step.at else ""
            self.stdout.write(f"{at:19}  {step.text}")
        self.stdout.write(f"\nNext: {found.next_step}")


def _moment(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"--at {text!r}: is no time; write it as 2026-05-01T08:00")
    return found if timezone.is_aware(found) else timezone.make_aware(found)
