"""From RPUSH to the provider: p50, p95 and p99 on an idle system and at half of what it can carry."""

import argparse
import time

import phpserialize
import redis

from bench import harness
from bench.scene import RAW_LIST, Scene, scene


def push_at(stage: Scene, rate: float, seconds: float) -> list[float]:
    """Push at `rate` a second and return the latencies in milliseconds, by the sandbox's clock (the same)."""
    client = redis.Redis.from_url(stage.machine.redis_url)
    stage.sandbox.reset()
    count, begun, sent = int(rate * seconds), time.monotonic(), {}
    raws = stage.orders(count)
    for position, raw in enumerate(raws):
        delay = begun + position / rate - time.monotonic()
        if delay > 0.001:
            time.sleep(delay)
        number = phpserialize.loads(raw)[b"data"][b"order_id"]
        sent[number] = time.time()
        client.rpush(RAW_LIST, raw)
    stage.expected += count
    stage.wait_until_done(seconds=120)
    return [(entry["time"] - sent[int(entry["custom"]["order_id"])]) * 1_000 for entry in stage.sandbox.received()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench latency")
    parser.add_argument("--capacity", type=float, default=3_000, help="pushes a second that the machine can carry")
    parser.add_argument("--latency-ms", type=float, default=0)
    chosen = parser.parse_args()
    rows = []
    with scene(accounts=5_000, latency_ms=chosen.latency_ms) as stage:
        push_at(stage, 10, 2)
        for name, rate, seconds in (("idle", 5.0, 40.0), ("half load", chosen.capacity / 2, 20.0)):
            found = push_at(stage, rate, seconds)
            shares = {f"p{int(share * 100)} ms": harness.percentile(found, share) for share in (0.5, 0.95, 0.99)}
            rows.append({"load": name, "pushes/s": rate, "pushes": len(found), **shares})
    harness.table("latency: RPUSH → provider", rows)
    harness.write("latency", rows, provider_latency_ms=chosen.latency_ms)


if __name__ == "__main__":
    main()
