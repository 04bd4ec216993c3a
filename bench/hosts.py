"""Several hosts, and what happens to them: cut links, wrong clocks, frozen and killed machines and servers.

    python -m bench hosts [--minutes 10] [--seed 1] [--hosts 2] [--members 3] [--fault NAME …] [--publish]

Hosts are network namespaces of this machine, so it needs root. On each of ours run the workers of every lane, an
intake, a sweeper and the scanners; a MariaDB Galera cluster, a Redis with Sentinels, and a replica set of MongoDB have
three hosts each, the sandbox provider one. Each round hands over pushes and chat messages, lets one thing happen at a
moment that the seed decides, waits until every row is terminal, and has `manage.py audit` compare what was handed
over, what the database says and what the sandbox received. Prints a table, writes bench/results/hosts.json, with
--publish also the table in docs/guarantees.md, and exits with status 1 when a promise was broken or a goal missed.
"""

import argparse
import math
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence

from bench import harness
from higo_push.env import BASE_DIR
from higo_push.running import embedded
from tests.clusters import fleet, namespaces
from tests.clusters.fleet import Fleet, Shape, running_fleet
from tests.clusters.host_faults import FAULTS, Fault, faketime_library
from tests.clusters.trial import Finding, table_of, try_fault

PAGE = BASE_DIR / "docs" / "guarantees.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench hosts")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--hosts", type=int, default=2, help="machines of ours (default: 2)")
    parser.add_argument("--members", type=int, default=3, help="machines of each server (default: 3)")
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/guarantees.md")
    chosen = parser.parse_args()
    refuse_without_means()
    began_load, began = os.getloadavg()[0], time.monotonic()
    findings = run(
        Shape(apps=chosen.hosts, members=chosen.members),
        chosen.fault or list(FAULTS),
        seconds=chosen.minutes * 60,
        dice=random.Random(chosen.seed),
    )
    rows = table_of(findings)
    harness.table("hosts", rows)
    command = f"python -m bench hosts --minutes {chosen.minutes:g} --seed {chosen.seed}"
    load = f"load {began_load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    facts = {"command": command, "load": load, "seconds": round(time.monotonic() - began)}
    harness.write("hosts", rows, **facts, settings=fleet.SETTINGS, findings=list(map(str, findings)))
    if chosen.publish:
        shape = f"{chosen.hosts} hosts of ours, {chosen.members} of each server, {os.cpu_count()} cores in all"
        said = f"`{command}`; {shape}, {load}"
        harness.publish(PAGE, "hosts", f"{said}:\n\n{harness.markdown(rows)}")
    sys.exit(0 if all(finding.is_goal_met for finding in findings) else 1)


def refuse_without_means() -> None:
    """Say what is missing, before anything is begun."""
    if why := namespaces.missing():
        sys.exit(f"bench hosts makes its hosts from network namespaces: {why}")
    if programs := fleet.missing():
        sys.exit(
            f"missing here: {programs}. Debian has them in mariadb-server, mariadb-backup, galera-4, redis-sentinel."
        )
    try:
        faketime_library()
    except FileNotFoundError as error:
        sys.exit(str(error))


def run(shape: Shape, names: Sequence[str], *, seconds: float, dice: random.Random) -> list[Finding]:
    """The faults in turn, in an order that the dice give, for so long; each at least once."""
    findings: list[Finding] = []
    with embedded.temporary_folder() as folder, running_fleet(folder, shape) as made:
        # Their start is no part of it.
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or len(findings) < len(names):
            if len(findings) % len(names) == 0:
                order = dice.sample(list(names), len(names))
            fault = FAULTS[order[len(findings) % len(names)]](made, dice)
            try:
                findings.append(one_round(made, fault, len(findings) + 1, dice))
            except Exception:
                # What is left over would confuse the next round.
                traceback.print_exc()
                findings.append(broken(fault))
                break
    return findings


def broken(fault: Fault) -> Finding:
    """A round that did not get to its end."""
    others: dict[str, object] = {"did not get to its end": 1}
    return Finding(fault.what, "", 0, 0, 0, 0, others, take_over_seconds=math.inf, restarts=0)


def one_round(made: Fleet, fault: Fault, number: int, dice: random.Random) -> Finding:
    name = f"round{number:03}"
    finding = try_fault(made, fault, name, dice)
    print(f"  {finding}", flush=True)
    if not finding.is_goal_met:
        harness.RESULTS.mkdir(exist_ok=True)
        log = harness.RESULTS / f"hosts-{name}.log"
        log.write_text(made.family.logs(30_000))
        print(f"  the goal was missed; the processes' logs are in {log.relative_to(BASE_DIR)}")
    return finding


if __name__ == "__main__":
    main()
