"""Chaos for as long as you like: kills, flushes, restarts and provider faults at random, in rounds, each audited.

    python -m bench chaos [--minutes 5] [--seed 1] [--sqlite]

Every round hands over pushes and chat messages of all kinds, does several kinds of harm at moments that the
seed decides, waits until every row is terminal, and has `manage.py audit` compare what was handed over, what
the database says and what the sandbox received. Every third round pushes over JPush, where nothing may end as
unknown or arrive twice. Servers are the bench's own: MariaDB (or SQLite), Valkey, mongod. Prints a table, writes
bench/results/chaos.json, and exits with status 1 when a promise was broken.
"""

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import harness
from higo_push.running import embedded
from tests.chaos.case import Case, Verdict
from tests.chaos.databases import MariaDb, MariaDbDatabase, SqliteDatabase, running_mariadb
from tests.chaos.dumb import DumbProxy, dumb_proxy
from tests.chaos.family import USUAL
from tests.chaos.producers import Plan
from tests.chaos.world import ANDROID_KEY, IOS_KEY, KEYED_KEY, World, running_world

PLAN = Plan(system=1_500, group=60, private=240, seconds=12)
PROFILES = ("error500", "busy503", "throttle", "hang", "hang_after", "cut", "cut_after", "half_after", "garbage")
#: JPush asks whom it throttles for up to a minute's rest, which no round has.
KEYED_PROFILES = tuple(name for name in PROFILES if name != "throttle")
FAULTY_CALLS = 60
HARMS_PER_ROUND, ROUNDS_PER_KEYED = 5, 3


@dataclass(frozen=True, slots=True)
class Stage:
    """The world, and the server that its database lives on if that can be killed."""

    world: World
    mariadb: MariaDb | None
    proxy: DumbProxy | None = None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench chaos")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--sqlite", action="store_true", help="SQLite instead of a MariaDB server of our own")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    faults: dict[str, Any] = {}
    dice, deadline = random.Random(chosen.seed), time.monotonic() + chosen.minutes * 60
    with stage(sqlite=chosen.sqlite) as here:
        while not rows or time.monotonic() < deadline:
            case = make_case(here, len(rows) + 1, dice)
            verdict = case.run()
            rows.append(row(case, verdict))
            print(f"  {rows[-1]}", flush=True)
            if verdict.faults:
                faults[case.name] = verdict.faults
                print(here.world.family.logs(4_000))
                break  # what is left over would confuse the next round
    harness.table("chaos, by round", [{name: str(value) for name, value in line.items()} for line in rows])
    totals = {name: sum(line[name] for line in rows) for name in rows[0] if isinstance(rows[0][name], int)}
    harness.table("chaos, in all", [totals])
    database = "SQLite" if chosen.sqlite else "MariaDB"
    harness.write("chaos", rows, seed=chosen.seed, database=database, totals=totals, faults=faults)
    sys.exit(1 if faults else 0)


@contextlib.contextmanager
def stage(*, sqlite: bool) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        folder: Path = stack.enter_context(embedded.temporary_folder())
        if sqlite:
            yield Stage(stack.enter_context(running_world(folder, SqliteDatabase(folder / "chaos.sqlite3"))), None)
            return
        if MariaDb.missing():
            raise SystemExit(f"missing here: {MariaDb.missing()}. Install it, or use --sqlite.")
        mariadb = stack.enter_context(running_mariadb(folder / "mariadb"))
        proxy = stack.enter_context(dumb_proxy(mariadb.port))
        database = MariaDbDatabase(mariadb.url, "higo_chaos", through=proxy.port)
        database.create()
        yield Stage(stack.enter_context(running_world(folder, database)), mariadb, proxy)


def make_case(here: Stage, number: int, dice: random.Random) -> Case:
    """A round with a handful of harms, none of them twice but the kills."""
    case = Case(here.world, f"round{number:03}", PLAN, dice.randrange(2**32), latency_ms=dice.choice([0, 0, 20]))
    case.is_keyed = number % ROUNDS_PER_KEYED == 0
    profiles = KEYED_PROFILES if case.is_keyed else PROFILES
    harms: list[Callable[[], None]] = [
        *(partial(case.kill, process) for process in USUAL),
        lambda: case.flush_redis(times=2),
        lambda: case.restart_redis(with_data=True, pause_seconds=dice.uniform(0, 2)),
        lambda: case.restart_redis(with_data=False, pause_seconds=dice.uniform(0, 2)),
        lambda: case.refuse_redis(seconds=dice.uniform(0.5, 3)),
        lambda: case.plant_jobs(60, times=2),
        lambda: case.restart_mongod(pause_seconds=dice.uniform(0, 2)),
        *(partial(misbehave, case, profile, dice) for profile in dice.sample(profiles, 3)),
    ]
    if here.mariadb is not None:
        server = here.mariadb
        harms += [lambda: case.restart_mariadb(server, pause_seconds=dice.uniform(0, 3))] * 2
    if here.proxy is not None:
        proxy = here.proxy
        harms.append(lambda: case.go_dumb(proxy, seconds=dice.uniform(1, 6), new_too=dice.random() < 0.5))
    for harm in dice.sample(harms, HARMS_PER_ROUND):
        harm()
    return case


def misbehave(case: Case, profile: str, dice: random.Random) -> None:
    key = KEYED_KEY if case.is_keyed else dice.choice([ANDROID_KEY, ANDROID_KEY, IOS_KEY])
    after = dice.uniform(0, PLAN.seconds - 3)
    case.misbehave(profile, access_id=key, calls=FAULTY_CALLS, after=after, seconds=dice.uniform(0.5, 3))


def row(case: Case, verdict: Verdict) -> dict[str, Any]:
    numbers = verdict.audit.numbers
    return {
        "round": case.name,
        "over JPush": int(case.is_keyed),
        "harm": ", ".join(case.harms),
        "handed over": numbers["submitted"],
        "deliveries": numbers["deliveries"],
        "accepted": numbers.get("accepted", 0),
        "unknown": numbers.get("unknown", 0),
        "cut off": numbers["unknown_cut_off"],
        "at most": case.most_cut_off,
        "resent": numbers["resent"],
        "flushed": verdict.destroyed,
        "restarts": verdict.restarts,
        "faults": len(verdict.faults),
        "s to end": verdict.seconds_to_end,
    }


if __name__ == "__main__":
    main()
