"""How many pushes a second the sandbox carries on one core, signature check and recording included.

    python -m bench sandbox [--requests 60000] [--in-flight 128]

The sandbox is pinned to one core and the client (our own HttpWindow) to the other ones. Beside the rate it
tells what the sandbox spent in CPU per call, and what a million recorded pushes take in memory. Prints a
table, writes bench/results/sandbox.json.
"""

import hashlib
import json
import os
import platform
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import psutil

from higo_push.env import BASE_DIR
from pushes.names import Environment, Platform
from pushes.providers.base import HttpRequest, HttpResponse
from pushes.providers.http import HttpWindow
from pushes.providers.xinge_v2 import XingeV2
from pushes.values import Credentials, Notification
from tests.sandbox_process import Sandbox, running_sandbox

ACCESS_ID = 2_100_000_001
SECRET = "0123456789abcdef0123456789abcdef"
LIST_SIZE = 1000
RECORDED = 1_000_000


@dataclass
class Row:
    what: str
    calls: int
    seconds: float
    calls_per_second: float
    pushes_per_second: float
    sandbox_cpu_us_per_call: float


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=60_000)
    parser.add_argument("--in-flight", type=int, default=128)
    options = parser.parse_args()
    with running_sandbox(keys={ACCESS_ID: SECRET}) as sandbox:
        process = _sandbox_process()
        _pin(process)
        credentials = Credentials(
            "sandbox", str(ACCESS_ID), sandbox.url, Platform.ANDROID, Environment.PRODUCTION, SECRET
        )
        window = HttpWindow(options.in_flight, 30)
        rows = [
            measure("check call", _checks(credentials, options.requests), window, process, 0),
            measure("single_device", _singles(credentials, options.requests), window, process, 1),
        ]
        before = sandbox.stats()
        rows.append(measure("device_list_multiple of 1000", _lists(credentials, window), window, process, LIST_SIZE))
        memory = _memory(sandbox, before)
        window.close()
    _report(rows, memory)


def measure(
    what: str, requests: Iterator[HttpRequest], window: HttpWindow, process: psutil.Process, pushes_per_call: int
) -> Row:
    """Requests are made beforehand, so that the client costs as little as it can."""
    waiting = list(requests)
    calls = len(waiting)
    cpu = _cpu_seconds(process)
    started = time.perf_counter()
    while waiting or window.in_flight:
        while waiting and window.free:
            window.add(None, waiting.pop())
        for _, answer in window.collect(10):
            if not isinstance(answer, HttpResponse) or b'"ret_code":0' not in answer.body:
                raise SystemExit(f"{what}: {answer}")
    seconds = time.perf_counter() - started
    spent = (_cpu_seconds(process) - cpu) / calls * 1e6
    rate = calls / seconds
    return Row(what, calls, round(seconds, 3), round(rate), round(rate * pushes_per_call), round(spent, 1))


def _checks(credentials: Credentials, count: int) -> Iterator[HttpRequest]:
    provider, now = XingeV2(), int(time.time())
    return (provider.check(credentials, now=now) for _ in range(count))


def _singles(credentials: Credentials, count: int) -> Iterator[HttpRequest]:
    """Every push is another message to another token."""
    provider, now = XingeV2(), int(time.time())
    for number in range(count):
        message = provider.prepare(credentials, _notification(number))
        yield provider.to_device(message, token(number), now=now)


def _lists(credentials: Credentials, window: HttpWindow) -> Iterator[HttpRequest]:
    provider, now = XingeV2(), int(time.time())
    message = provider.prepare(credentials, _notification(1))
    window.add(None, provider.create_list(message, now=now))
    ((_, answer),) = window.collect(10)
    push_id = provider.read(answer).push_id
    for first in range(0, RECORDED, LIST_SIZE):
        tokens = [token(number) for number in range(first, first + LIST_SIZE)]
        yield provider.to_list(message, push_id, tokens, now=now)


def token(number: int) -> str:
    """As random as real ones, since the store compresses them."""
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=20).hexdigest()


def _notification(number: int) -> Notification:
    custom = {"type": 5, "order_id": f"20260101{number:08d}", "shop_id": number % 5000}
    return Notification("新订单", f"您有一个新订单，请及时处理。订单号 {number:08d}", custom, 86_400, number + 1)


def _memory(sandbox: Sandbox, before: dict[str, int]) -> dict[str, float]:
    after = sandbox.stats()
    entries = after["received"] - before["received"]
    started = time.perf_counter()
    counts = sandbox.counts(least=2)
    return {
        "entries": after["received"],
        "rss_mb": round(after["rss_bytes"] / 2**20, 1),
        "bytes_per_entry": round((after["rss_bytes"] - before["rss_bytes"]) / entries, 1),
        "stored_bytes_per_entry": round(after["compressed_bytes"] / after["received"], 1),
        "counting_seconds": round(time.perf_counter() - started, 2),
        "counted": counts["entries"],
    }


def _sandbox_process() -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if "runsandbox" in child.cmdline())


def _pin(process: psutil.Process) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        process.cpu_affinity([cores[-1]])
        os.sched_setaffinity(0, cores[:-1])


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _report(rows: list[Row], memory: dict[str, float]) -> None:
    print(f"{'what':32}{'calls':>9}{'calls/s':>10}{'pushes/s':>11}{'CPU µs/call':>13}")
    for row in rows:
        print(
            f"{row.what:32}{row.calls:9}{row.calls_per_second:10.0f}{row.pushes_per_second:11.0f}"
            f"{row.sandbox_cpu_us_per_call:13.1f}"
        )
    print(", ".join(f"{name} {value:,}" for name, value in memory.items()))
    results = BASE_DIR / "bench" / "results"
    results.mkdir(exist_ok=True)
    machine: Callable[[], str] = platform.platform
    content = {"machine": machine(), "cores": os.cpu_count(), "rows": [asdict(row) for row in rows], "memory": memory}
    (results / "sandbox.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
