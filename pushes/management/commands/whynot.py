import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from pushes.timeline import Timeline, timeline


class Command(BaseCommand):
    help = "Tell what became of one message for one account, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="the account id")
        parser.add_argument("message", help="the message id, a push as #123, or a dedupe key")
        parser.add_argument("--json", action="store_true", dest="as_json", help="for programs")

    def handle(self, *, account: str, message: str, as_json: bool, **_options: Any) -> None:
        found = timeline(account, message)
        if as_json:
            self.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False, indent=2))
        else:
            self._print(found)

    def _print(self, found: Timeline) -> None:
        self.stdout.write(f"{found.message} for {found.account_id}: {found.outcome}\n\n")
        for step in found.steps:
            at = f"{timezone.localtime(step.at):%Y-%m-%d %H:%M:%S}" if step.at else ""
            self.stdout.write(f"{at:19}  {step.text}")
        self.stdout.write(f"\nNext: {found.next_step}")
