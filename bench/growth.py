"""Does it slow down or grow? Throughput and worker memory with 10 k, 100 k and 1 M pushes queued."""

import argparse
import time

from bench import harness
from bench.scene import scene

SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench growth")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="leave out what is larger")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    rows = []
    for size in [size for size in SIZES if size <= chosen.most]:
        with scene(accounts=5_000, latency_ms=0, workers=chosen.workers) as stage:
            stage.push_orders(2_000)
            stage.wait_until_done(seconds=120)
            before = harness.rss_megabytes(stage.machine.running)
            begun = time.monotonic()
            stage.push_orders(size)
            stage.wait_until_done(seconds=3_600)
            rate = size / (time.monotonic() - begun)
            after = harness.rss_megabytes(stage.machine.running)
            rows.append({"queued": size, "pushes/s": rate, "RSS before MB": before, "RSS after MB": after})
            print(rows[-1], flush=True)
    harness.table("growth: all of it queued at once", rows)
    harness.write("growth", rows)


if __name__ == "__main__":
    main()
