"""CPU that all our processes spend per 1:1 push, beside one bare `requests.Session` call; stage by stage.

The processes' CPU is the operating system's own figure, from the first RPUSH to the last recorded
acceptance, provider latency 0. The stages are measured in one process, each over the same pushes.
"""

import argparse
import subprocess
import sys
import time

import requests

from bench import harness, original
from bench.scene import SECRET, Scene, scene
from higo_push.env import BASE_DIR

CALLS = 2_000


def bare_call(sandbox_url: str) -> float:
    """CPU seconds of one signed push through a kept-alive `requests.Session`, parameters made beforehand."""
    url = f"{sandbox_url}/v2/push/single_device"
    bodies = [
        original.parameters(url, SECRET, f"{number:040x}", "新订单", f"您有一个新订单 {number}，请及时处理")
        for number in range(CALLS)
    ]
    with requests.Session() as session:
        session.post(url, data=bodies[0], timeout=10)
        begun = time.process_time()
        for body in bodies:
            session.post(url, data=body, timeout=10)
        return (time.process_time() - begun) / CALLS


def ours(stage: Scene, pushes: int) -> float:
    """CPU seconds of all our processes per push."""
    begun = harness.cpu_seconds(stage.machine.running)
    stage.push_orders(pushes)
    stage.wait_until_done(seconds=300)
    return (harness.cpu_seconds(stage.machine.running) - begun) / pushes


def stages(stage: Scene) -> None:
    """Print the table of stages, measured in a process that has the scene's settings."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", "from bench import stages; stages.main()"]
    subprocess.run(command, env=stage.machine.environment, cwd=BASE_DIR, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench overhead")
    parser.add_argument("--pushes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    rows = []
    with scene(accounts=5_000, latency_ms=0) as stage:
        ours(stage, 2_000)
        for number in range(1, chosen.rounds + 1):
            bare, per_push = bare_call(stage.sandbox.url), ours(stage, chosen.pushes)
            rows.append(
                {
                    "round": number,
                    "bare requests call µs": bare * 1e6,
                    "our push µs": per_push * 1e6,
                    "multiple": per_push / bare,
                }
            )
    with scene(accounts=5_000, latency_ms=0, lanes=(), intake=False) as stage:
        stages(stage)
    harness.table("overhead: CPU per push, all our processes", rows)
    harness.write("overhead", rows, pushes=chosen.pushes)


if __name__ == "__main__":
    main()
