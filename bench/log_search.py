"""The console's delivery log on a long table: what an operator waits for, beside a stock ModelAdmin.

    python -m bench log_search [--rows 10000000] [--requests 40] [--stock-requests 2] [--stock-seconds 60]
        [--seed 0] [--load-only] [--reuse] [--keep]

Both are asked through Django's test client, signed in, as a browser would ask: permissions, queries, prefetches and
templates included. The stock admin has the same columns and filters; it counts, skips and searches inside texts, as
Django's does. `--load-only` loads and keeps the database, `--reuse` takes the one that was kept, `--keep` leaves it,
so that loading and measuring can be several runs. Every request asks for something else, so that little of what it
needs is in the database's memory already; give a second run on the same rows another `--seed`, for the same reason.
About 580 MB of disk for a million rows while it is there.
"""

import argparse
import importlib
import os
import random
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import django
from cryptography.fernet import Fernet

from bench import harness, log_rows

GOAL_MS = 150.0
BYTES_PER_ROW = 600
#: A question, made new for every request.
Ask = Callable[[random.Random], dict[str, object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=40, help="of each kind")
    parser.add_argument("--stock-requests", type=int, default=2, help="of each kind; 0 leaves the stock admin out")
    parser.add_argument("--stock-seconds", type=int, default=60, help="a statement that takes longer is cut off")
    parser.add_argument("--seed", type=int, default=0, help="what is asked for")
    parser.add_argument("--load-only", action="store_true", help="load and keep; measure in another run")
    parser.add_argument("--reuse", action="store_true", help="go on with a database that was kept")
    parser.add_argument("--keep", action="store_true", help="do not drop the database at the end")
    options = parser.parse_args()
    if options.rows < 1_000:
        parser.error(f"--rows {options.rows}: at least 1,000")
    if not options.reuse:
        _check_disk(options.rows)
        harness.create_database()
    try:
        desk = _console()
        _prepare(desk, options.rows)
        if not options.load_only:
            _measure(desk, options)
    finally:
        if not (options.keep or options.load_only):
            harness.drop_database()


def _check_disk(rows: int) -> None:
    """Where the server keeps its data may be elsewhere; this is the best guess from here."""
    free = shutil.disk_usage("/").free
    if free < rows * BYTES_PER_ROW:
        raise SystemExit(f"--rows {rows:,} take about {rows * BYTES_PER_ROW >> 30} GB, and {free >> 30} GB are free.")


def _console() -> Any:
    """Django, set up on the benchmark's database, and `bench.log_desk`, which cannot be imported before."""
    os.environ |= {
        "ENV_FILE": os.devnull,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "HTTPS": "off",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": harness.DATABASE_URL,
        "DJANGO_SETTINGS_MODULE": "higo_push.settings",
    }
    django.setup()
    return importlib.import_module("bench.log_desk")


def _prepare(desk: Any, rows: int) -> None:
    """Load what is missing, and note its blocks as the sweeper does."""
    begun = time.monotonic()
    desk.migrate()
    with harness.connected(urlsplit(harness.DATABASE_URL), with_name=True) as connection:
        log_rows.load(connection.cursor(), rows, lambda text: print(f"{time.monotonic() - begun:6.0f} s  {text}"))
    noted = desk.note_blocks()
    print(f"{time.monotonic() - begun:6.0f} s  {noted:,} blocks noted")


def _views(desk: Any, rows: int) -> dict[str, tuple[Ask, Ask]]:
    """What is asked of us, and the same in the stock admin's words, by the name of the question."""

    def number(chance: random.Random) -> int:
        return chance.randint(rows // 10, rows)

    def named(name: str, make: Callable[[random.Random], object], prefix: str = "") -> tuple[Ask, Ask]:
        return lambda chance: {name: f"{prefix}{make(chance)}"}, lambda chance: {name: make(chance)}

    def same(query: Mapping[str, object]) -> tuple[Ask, Ask]:
        return lambda _chance: dict(query), lambda _chance: dict(query)

    def day(chance: random.Random, since: str, until: str) -> dict[str, object]:
        ago = chance.randint(2, log_rows.DAYS - 2)
        return {since: desk.day(ago), until: desk.day(ago - 1)}

    def type_(chance: random.Random) -> dict[str, object]:
        return {"kind__exact": chance.choice(("group", "system")), "push_type__exact": chance.choice((1, 5, 8))}

    def on_a_day(conditions: Ask) -> tuple[Ask, Ask]:
        return (
            lambda chance: conditions(chance) | day(chance, "from", "until"),
            lambda chance: conditions(chance) | day(chance, "created_at__gte", "created_at__lt"),
        )

    def far_down(conditions: Mapping[str, object], one_in: int) -> tuple[Ask, Ask]:
        return (
            lambda chance: {**conditions, "before": number(chance)},
            lambda chance: {**conditions, "p": (rows - number(chance)) // one_in // 50},
        )

    failed, unknown = {"status__exact": "failed"}, {"status__exact": "unknown"}
    records = rows // log_rows.DELIVERIES_PER_RECORD
    return {
        "newest page": same({}),
        "one account": named("q", lambda chance: f"u{chance.randrange(log_rows.ACCOUNTS)}"),
        "one token": named("q", lambda chance: desk.token_of(number(chance))),
        "a token's beginning": named("q", lambda chance: desk.token_of(number(chance))[:12]),
        "chat id": (
            lambda chance: {"q": f"chat:{chance.randrange(log_rows.CONVERSATIONS)}"},
            lambda chance: {"record__conversation": f"group:{chance.randrange(log_rows.CONVERSATIONS)}"},
        ),
        "message id": named("q", lambda chance: f"order-{chance.randint(1, records)}"),
        "provider's push id": named("q", lambda chance: f"9{number(chance)}", "provider:"),
        "kind, type and a day": on_a_day(type_),
        "status failed, 1 in 92": same(failed),
        "status unknown, 1 in 100,000": same(unknown),
        "reason muted, 1 in 5,000": (lambda _chance: {"reason": "muted"}, lambda _chance: {"reason__exact": "muted"}),
        "app key, 1 in 20,000": (lambda _chance: {"key": 8}, lambda _chance: {"app_key_id": 8}),
        "unknown, on one day": on_a_day(lambda _chance: dict(unknown)),
        "page far down": far_down({}, 1),
        "failed, far down": far_down(failed, 92),
    }


def _measure(desk: Any, options: argparse.Namespace) -> None:
    operator = desk.Operator()
    found = []
    for name, (ours, stock) in _views(desk, options.rows).items():
        operator.ask(ours(random.Random(options.seed)))
        seeds = range(options.seed + 1, options.seed + 1 + options.requests)
        mine = [operator.ask(ours(random.Random(seed))) for seed in seeds]
        times = [answer.seconds * 1_000 for answer in mine]
        p95 = harness.percentile(times, 0.95)
        found.append(
            {
                "view": name,
                "p50 ms": harness.percentile(times, 0.5),
                "p95 ms": p95,
                "rows": statistics.median(answer.rows for answer in mine),
                "cut short": sum(answer.is_cut for answer in mine),
                "stock s": _stock(operator, stock, options),
                "goal": "met" if p95 < GOAL_MS else "NOT met",
            }
        )
        print(", ".join(f"{key} {value}" for key, value in found[-1].items()), flush=True)
    facts = desk.server_facts()
    harness.table(f"the delivery log at {options.rows:,} rows, {facts}", found)
    harness.write("log_search", found, table_rows=options.rows, requests=options.requests, server=facts)


def _stock(operator: Any, ask: Ask, options: argparse.Namespace) -> str:
    seeds = range(options.seed + 1, options.seed + 1 + options.stock_requests)
    times = [operator.ask_stock(ask(random.Random(seed)), options.stock_seconds) for seed in seeds]
    if not times:
        return "–"
    known = [seconds for seconds in times if seconds is not None]
    return f"{statistics.median(known):.2f}" if len(known) == len(times) else f"> {options.stock_seconds}"
