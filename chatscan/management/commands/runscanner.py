"""`manage.py runscanner group|private`: push new chat messages until SIGTERM or Ctrl-C."""

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chatscan.messages.config import KINDS
from chatscan.positions import open_scanner
from chatscan.scanning.runner import PASSING, Runner
from pushes.text import notes


def seconds(text: str) -> float:
    """A duration for --interval."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0.05 <= value <= 3600:
        raise ArgumentTypeError(f"{text!r} must lie between 0.05 and 3600 seconds")
    return value


def kind_of_chat(text: str) -> str:
    """`group` or `private`, in our own words where it is neither: argparse's differ between Pythons."""
    if text not in {kind.value for kind in KINDS}:
        raise ArgumentTypeError(f"{text!r} is not a kind of chat; write {' or '.join(kind.value for kind in KINDS)}")
    return text


class Command(BaseCommand):
    help = "Read new chat messages from MongoDB and submit them as pushes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", type=kind_of_chat, metavar="{group,private}")
        parser.add_argument("--once", action="store_true", help="read what is waiting, then exit")
        parser.add_argument(
            "--interval",
            type=seconds,
            default=settings.SCAN_INTERVAL,
            help=f"seconds between polls (default: SCAN_INTERVAL, {settings.SCAN_INTERVAL:g})",
        )
        parser.add_argument("--no-doorbell", action="store_true", help="poll only, without a change stream")

    def handle(self, *args: Any, kind: str, once: bool, interval: float, no_doorbell: bool, **options: Any) -> None:
        if not settings.MONGO_URL:
            raise CommandError("MONGO_URL is not set; set it to the chat database, e.g. mongodb://host:27017/database")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        has_doorbell = settings.CHAT_DOORBELL and not no_doorbell
        try:
            with open_scanner(kind) as (scanner, chats):
                runner = Runner(scanner, chats, stop, interval=interval, has_doorbell=has_doorbell)
                if once:
                    self.stdout.write(f"{kind}: {runner.once()} submitted")
                else:
                    runner.run()
        except PASSING as error:
            raise CommandError(notes.of_error(error)) from None
