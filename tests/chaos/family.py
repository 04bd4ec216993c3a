"""The platform's processes as children: started like the supervisor starts them, killed, and started again."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from higo_push.env import BASE_DIR
from higo_push.running import processes

#: What a supervisor waits before it starts a process again.
RESTART_SECONDS = 0.5
COMMANDS = {
    "intake": ("runintake",),
    "workers-system": ("runworkers", "system"),
    "workers-group": ("runworkers", "group"),
    "workers-private": ("runworkers", "private"),
    "scanner-group": ("runscanner", "group"),
    "scanner-private": ("runscanner", "private"),
    "sweeper": ("runsweeper",),
}
SENDERS = ("workers-system", "workers-group", "workers-private")


@dataclass(slots=True)
class Child:
    process: subprocess.Popen[bytes]
    restart_at: float = 0.0


class Family:
    """Call `tend` often: it starts again what has ended, whether we killed it or it gave up by itself."""

    def __init__(self, folder: Path, environment: Mapping[str, str], names: tuple[str, ...]) -> None:
        self.names = names
        self.restarts = 0
        self._folder, self._environment = folder, environment
        self._children: dict[str, Child] = {}

    def start(self) -> None:
        for name in self.names:
            self._children[name] = Child(self._launch(name))

    def kill(self, name: str) -> bool:
        """SIGKILL. Returns whether there was anything to kill."""
        process = self._children[name].process
        if process.poll() is not None:
            return False
        process.kill()
        process.wait()
        return True

    def tend(self) -> None:
        for name, child in self._children.items():
            if child.process.poll() is None:
                continue
            if not child.restart_at:
                child.restart_at = time.monotonic() + RESTART_SECONDS
            elif time.monotonic() >= child.restart_at:
                self._children[name] = Child(self._launch(name))
                self.restarts += 1

    def stop(self) -> None:
        for child in self._children.values():
            if child.process.poll() is None:
                child.process.kill()
        for child in self._children.values():
            child.process.wait()

    def logs(self, characters: int = 1_500) -> str:
        """The end of each child's log, for a failure's report."""
        ends = [(name, self._log(name).read_text(errors="replace")[-characters:]) for name in self.names]
        return "\n".join(f"--- {name}\n{end}" for name, end in ends)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, BASE_DIR / "manage.py", *COMMANDS[name]]
        with self._log(name).open("ab") as log:
            return processes.start(command, log=log, environment=self._environment, folder=BASE_DIR)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
