"""The platform on a three-node Galera cluster: everything on one node, and then each process on a node of its own.

Only the ratio counts: on one machine, three servers share its cores in both cases.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from bench import harness
from bench.scene import scene
from higo_push.running import embedded
from tests.clusters.galera import Galera, running_galera
from tests.clusters.hosts import loopback

NAME = "higo_bench"
CONFLICTS = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
#: The nodes of intake, both worker processes, and sweeper.
PLACES = {"one node": (0, 0, 0, 0), "three nodes": (1, 0, 1, 2)}


def conflicts(cluster: Galera) -> int:
    """How often a transaction met another node's so far."""
    return sum(int(node.status().get(name, 0)) for node in cluster.nodes for name in CONFLICTS)


def measured(cluster: Galera, places: tuple[int, ...], pushes: int) -> tuple[float, int]:
    """Pushes a second from the first RPUSH to the last recorded acceptance, and conflicts."""
    urls = [cluster.url(number, database=NAME) for number in places]
    intake, *workers, sweeper = urls
    harness.DATABASE_URL = sweeper
    with scene(accounts=5_000, latency_ms=5, lanes=(), intake=False) as stage, contextlib.ExitStack() as stack:
        stack.enter_context(stage.machine.process("runintake", DATABASE_URL=intake))
        for url in workers:
            stack.enter_context(stage.machine.process("runworkers", "system", DATABASE_URL=url))
        stage.push_orders(1_000)
        stage.wait_until_done(seconds=120)
        orders, before, begun = stage.orders(pushes), conflicts(cluster), time.monotonic()
        stage.push(orders)
        stage.wait_until_done(seconds=600)
        return pushes / (time.monotonic() - begun), conflicts(cluster) - before


def rows(folder: Path, pushes: int, rounds: int) -> Iterator[dict[str, object]]:
    with running_galera(folder, loopback(3)) as cluster:
        for number in range(1, rounds + 1):
            rates: dict[str, float] = {}
            for name, places in PLACES.items():
                rates[name], met = measured(cluster, places, pushes)
                ratio = rates[name] / rates["one node"]
                yield {"round": number, "on": name, "pushes/s": rates[name], "ratio": ratio, "conflicts": met}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench galera")
    parser.add_argument("--pushes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if missing := Galera.missing():
        raise SystemExit(f"{missing} is missing (Debian: mariadb-server galera-4 mariadb-backup socat).")
    with embedded.temporary_folder() as folder:
        found = list(rows(folder, chosen.pushes, chosen.rounds))
    harness.table("galera: pushes a second", found)
    harness.write("galera", found, pushes=chosen.pushes)


if __name__ == "__main__":
    main()
