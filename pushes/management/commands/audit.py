"""`manage.py audit`: has every promise been kept? Exits with status 1 when one was broken."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from pushes.history import audit
from pushes.history.audit import Evidence, Receipt, RecordFact, Report
from pushes.storage import clocks

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_SECONDS = 3_650 * UNITS["d"]
PAGE = 50_000


class Command(BaseCommand):
    help = (
        "Look for pushes that were lost, doubled, stuck or late. By default the rows alone are asked, and what is "
        "under way is left in peace; with --finished everything must be over, and the producers' and the sandbox's "
        "side can be compared too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", default="1h", metavar="WHEN", help="e.g. 90m, 24h or 7d, or an ISO time (default: 1h)"
        )
        parser.add_argument(
            "--grace", default="5m", metavar="TIME", help="how long a step may be overdue (default: 5m)"
        )
        parser.add_argument(
            "--finished", action="store_true", help="the run is over: report anything still in progress"
        )
        parser.add_argument(
            "--submitted", type=Path, metavar="FILE", help="file of submitted message ids, one per line"
        )
        parser.add_argument("--sandbox", metavar="URL", help="URL of a sandbox; compare with what it received")
        parser.add_argument(
            "--most-cut-off", type=int, metavar="N", help="how many unknown rows killed processes may explain"
        )
        parser.add_argument(
            "--most-unanswered", type=int, metavar="N", help="how many unknown rows lost answers may explain"
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clocks.now()
        since = _instant(options["since"], now)
        if options["finished"]:
            report = _whole(since, options)
        elif any(options[name] is not None for name in ("submitted", "sandbox", "most_cut_off", "most_unanswered")):
            raise CommandError("--submitted, --sandbox and --most-… compare a run that is over: add --finished")
        else:
            report = audit.check_rows(since, now, grace=_duration("--grace", options["grace"]))
        self.stdout.write(json.dumps(asdict(report)) if options["json"] else _text(report))
        if report.faults:
            raise SystemExit(1)


def _whole(since: datetime, options: dict[str, Any]) -> Report:
    records, deliveries = audit.load(since)
    evidence = Evidence(
        records,
        deliveries,
        submitted=_submitted(options["submitted"]) if options["submitted"] else None,
        receipts=_received(options["sandbox"], records, since) if options["sandbox"] else None,
        most_cut_off=options["most_cut_off"],
        most_unanswered=options["most_unanswered"],
        call_seconds=settings.CALL_TIMEOUT_SECONDS,
    )
    return audit.compare(evidence)


def _submitted(path: Path) -> frozenset[str]:
    try:
        return frozenset(line for line in path.read_text().splitlines() if line)
    except OSError as error:
        raise CommandError(f"--submitted {str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"--submitted {str(path)!r} is not UTF-8 text") from None


def _received(url: str, records: list[RecordFact], since: datetime) -> list[Receipt]:
    try:
        return audit.receipts(_entries(url), records, since)
    except (requests.RequestException, KeyError) as error:
        raise CommandError(f"--sandbox {url!r} cannot be read: {error}") from None


def _entries(url: str) -> Iterator[dict[str, Any]]:
    """Everything that the sandbox received, oldest first. Raises requests.RequestException."""
    after = 0
    while True:
        asked = {"after": after, "limit": PAGE}
        answer = requests.get(f"{url}/_sandbox/received", params=asked, timeout=60)
        answer.raise_for_status()
        entries = answer.json()["entries"]
        if not entries:
            return
        yield from entries
        after = entries[-1]["seq"]


def _instant(text: str, now: datetime) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        return now - _duration("--since", text)
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _duration(option: str, text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (number.isascii() and number.isdigit()):
        raise CommandError(f"{option} {text!r}: write a number and a unit, e.g. 90s, 15m, 24h or 7d")
    seconds = int(number) * UNITS[unit]
    if seconds > MAX_SECONDS:
        raise CommandError(f"{option} {text!r}: at most {MAX_SECONDS // UNITS['d']}d")
    return timedelta(seconds=seconds)


def _text(report: Report) -> str:
    numbers = ", ".join(f"{name} {number}" for name, number in report.numbers.items())
    lines = [numbers, *(f"FAULT {finding}" for finding in report.faults)]
    return "\n".join([*lines, "every promise kept" if not report.faults else f"{len(report.faults)} promises broken"])
