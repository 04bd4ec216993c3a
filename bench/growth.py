"""Does it slow down or grow? Throughput and worker memory with 10 k, 100 k and 1 M pushes queued.

The sizes are run upwards and then downwards again, each in a database of its own, so that a slow spell of the machine
does not look like growth. The sandbox does the same for every push: its CPU per push is the measure of how
fast the machine just was.
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench import harness
from bench.scene import Scene, scene

SIZES = (10_000, 100_000, 1_000_000)
WARM_UP = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds so far of our processes, MariaDB (NaN where its process cannot be found) and the sandbox."""

    ours: float
    mariadb: float
    sandbox: float

    def since(self, earlier: "Reading", pushes: int) -> dict[str, float]:
        """CPU in µs a push."""
        spent = {name: getattr(self, name) - getattr(earlier, name) for name in ("ours", "mariadb", "sandbox")}
        found = {f"{name} µs": seconds / pushes * 1e6 for name, seconds in spent.items()}
        return {**found, "of sandbox's": (spent["ours"] + spent["mariadb"]) / spent["sandbox"]}


def read(stage: Scene) -> Reading:
    server = stage.machine.mariadb()
    return Reading(
        harness.cpu_seconds(stage.machine.running),
        harness.cpu_seconds([server]) if server else math.nan,
        harness.cpu_seconds([psutil.Process(stage.sandbox.pid)]),
    )


def measured(size: int, workers: int) -> dict[str, float]:
    """One size, in a scene of its own."""
    with scene(accounts=5_000, latency_ms=0, workers=workers) as stage:
        stage.push_orders(WARM_UP)
        stage.wait_until_done(seconds=120)
        orders = stage.orders(size)  # made beforehand, so that all of it is queued at once
        memory, before, begun = harness.rss_megabytes(stage.machine.running), read(stage), time.monotonic()
        stage.push(orders)
        del orders
        stage.wait_until_done(seconds=3_600)
        seconds = time.monotonic() - begun
        after = harness.rss_megabytes(stage.machine.running)
        cpu = read(stage).since(before, size)
        return {"queued": size, "pushes/s": size / seconds, **cpu, "RSS before MB": memory, "RSS after MB": after}


def verdicts(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The mean rate of each size, beside that of the smallest, as it was and at the same speed of the machine."""
    by_size: dict[float, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        by_size[row["queued"]].append(row)
    means = {
        size: {name: sum(row[name] for row in found) / len(found) for name in ("pushes/s", "of sandbox's")}
        for size, found in by_size.items()
    }
    first = means[min(means)]
    return [
        {
            "queued": size,
            "pushes/s": mean["pushes/s"],
            "rate, of the smallest's": mean["pushes/s"] / first["pushes/s"],
            "CPU, of the smallest's": mean["of sandbox's"] / first["of sandbox's"],
        }
        for size, mean in means.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench growth")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="leave out what is larger")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    sizes = [size for size in SIZES if size <= chosen.most]
    if not sizes:
        parser.error(f"--most {chosen.most}: at least {SIZES[0]}")
    rows = []
    for size in [*sizes, *sizes[-2::-1]]:
        rows.append(measured(size, chosen.workers))
        print(rows[-1], flush=True)
    harness.table("growth: all of it queued at once", rows)
    harness.table("growth: beside the smallest", verdicts(rows))
    harness.write("growth", rows)


if __name__ == "__main__":
    main()
