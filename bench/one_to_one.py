"""Distinct system pushes, from the raw list to accepted and recorded, and the original's loop beside it.

Both sides have the same number of processes: ours are the intake and the workers of the system lane, which
record every step; the original's only send.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence

import phpserialize
import redis

from bench import harness, original
from bench.scene import SECRET, Scene, scene

ORIGINAL_SECONDS = 6.0


def ours(stage: Scene, pushes: int) -> tuple[float, float]:
    """Seconds from the first RPUSH to the last recorded acceptance, and CPU seconds of our processes."""
    orders = stage.orders(pushes)  # the original's are made beforehand, too
    begun_cpu, begun = harness.cpu_seconds(stage.machine.running), time.monotonic()
    stage.push(orders)
    stage.wait_until_done(seconds=600)
    return time.monotonic() - begun, harness.cpu_seconds(stage.machine.running) - begun_cpu


def the_original(stage: Scene, processes: int, latency_ms: int) -> tuple[float, int]:
    """Seconds and pushes of the original's loop with `processes` processes."""
    pushes = int(min(ORIGINAL_SECONDS * processes * 1_000 / max(latency_ms + 3, 2), 20_000))
    client = redis.Redis.from_url(stage.machine.redis_url)
    orders = [
        phpserialize.dumps({"token": f"{n:040x}", "title": "新订单", "message": f"您有一个新订单 {n}，请及时处理"})
        for n in range(pushes)
    ]
    client.rpush(original.LIST, *orders)
    before = stage.sandbox.stats()["received"]
    with contextlib.ExitStack() as stack:
        for _ in range(processes):
            words = ("bench.original", stage.machine.redis_url, stage.sandbox.url, SECRET)
            stack.enter_context(stage.machine.process(*words, module=True))
        time.sleep(1.5)
        begun = time.monotonic()
        client.rpush("original_start", *range(processes))
        harness.wait_until(lambda: stage.sandbox.stats()["received"] - before >= pushes, seconds=300)
        return time.monotonic() - begun, pushes


def rows(pushes: int, workers: int, rounds: int, latencies: Sequence[int]) -> Iterator[dict[str, object]]:
    for latency_ms in latencies:
        with scene(accounts=5_000, latency_ms=latency_ms, workers=workers) as stage:
            ours(stage, 2_000)
            for round_number in range(1, rounds + 1):
                seconds, cpu = ours(stage, pushes)
                their_seconds, their_pushes = the_original(stage, workers + 1, latency_ms)
                rate, theirs = pushes / seconds, their_pushes / their_seconds
                yield {
                    "latency ms": latency_ms,
                    "round": round_number,
                    "processes": workers + 1,
                    "ours/s": rate,
                    "original/s": theirs,
                    "ratio": rate / theirs,
                    "our CPU µs/push": cpu / pushes * 1e6,
                }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench one_to_one")
    parser.add_argument("--pushes", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the system lane")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 20, 50], help="of the provider")
    chosen = parser.parse_args()
    found = list(rows(chosen.pushes, chosen.workers, chosen.rounds, chosen.latency_ms))
    harness.table("one to one: raw list → accepted and recorded", found)
    harness.write("one_to_one", found, pushes=chosen.pushes)


if __name__ == "__main__":
    main()
