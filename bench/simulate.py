"""Run schedules of the simulation (tests/simulation), as many as you like, or one again.

    python -m bench simulate [--schedules 10000] [--seed 1] [--processes 2]
    python -m bench simulate --seed 4711 --schedules 1 --trace

Prints the rate. Where a promise is broken it prints the seed, what was broken, the trace of the schedule and the
command that runs it again, and exits with status 1. It needs no server: SQLite in memory, and no network.
"""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import django
from cryptography.fernet import Fernet

#: Schedules that a process runs before it reports.
BLOCK = 50
ENVIRONMENT = {
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "simulated" * 6,
    "HTTPS": "off",
    "DELIVERY_WINDOW": "off",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DATABASE_URL": "sqlite:///:memory:",
    "DJANGO_SETTINGS_MODULE": "higo_push.settings",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench simulate")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the first; each schedule has the next one")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="print every schedule's trace")
    chosen = parser.parse_args()
    if chosen.schedules < 1 or chosen.processes < 1:
        parser.error(f"--schedules={chosen.schedules}, --processes={chosen.processes}: both must be at least 1")
    began, run, broken = time.monotonic(), 0, 0
    end = chosen.seed + chosen.schedules
    blocks = [range(first, min(first + BLOCK, end)) for first in range(chosen.seed, end, BLOCK)]
    with multiprocessing.get_context("spawn").Pool(min(chosen.processes, len(blocks)), prepare) as pool:
        for number, found in pool.imap_unordered(run_block, [(block, chosen.trace) for block in blocks]):
            run += number
            for seed, words, lines in found:
                broken += bool(words)
                show(seed, words, lines)
    seconds = time.monotonic() - began
    rate = f"{run / seconds:.1f} a second with {chosen.processes} processes"
    print(f"{run} schedules from seed {chosen.seed} in {seconds:.0f} s, {rate}; {broken} broke a promise")
    sys.exit(1 if broken else 0)


def show(seed: int, broken: list[str], trace: list[str]) -> None:
    print("\n".join([*trace, f"seed {seed}:", *(f"  {words}" for words in broken)]))
    if broken:
        print(f"again: python -m bench simulate --seed {seed} --schedules 1 --trace", flush=True)


def prepare() -> None:
    """Set this process up, and have it leave its long-lived objects out of garbage collection."""
    os.environ.update(ENVIRONMENT, ENCRYPTION_KEYS=Fernet.generate_key().decode())
    django.setup()
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_block(task: tuple[range, bool]) -> tuple[int, list[tuple[int, list[str], list[str]]]]:
    """Run the schedules of these seeds. Returns how many, and of those that broke a promise (or of all, for their
    traces) the seed, the broken promises and the trace."""
    seeds, wants_trace = task
    return len(seeds), [(one.seed, one.broken, one.trace) for one in results(seeds) if one.broken or wants_trace]


def results(seeds: range) -> Iterator[Any]:
    # It reads Django's settings, which are there only now.
    from tests.simulation.world import simulator

    with simulator() as here:
        for seed in seeds:
            yield here.run(seed)


if __name__ == "__main__":
    main()
