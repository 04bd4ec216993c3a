"""A real `manage.py runscanner` process."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from higo_push.running import processes

PROJECT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(PROJECT / "manage.py"), "runscanner", *arguments]


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=PROJECT
    )


@contextlib.contextmanager
def running(environment: dict[str, str], log: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A scanner that is killed at the end of the block, if it still runs."""
    with log.open("ab") as output:
        process = processes.start(command(*arguments), log=output, environment=environment, folder=PROJECT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Return once `condition` holds. Raises AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
