"""The platform's processes as children: started like the supervisor starts them, killed, and started again."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from higo_push.env import BASE_DIR
from higo_push.running import processes

#: What a supervisor waits before it starts a process again.
RESTART_SECONDS = 0.5
COMMANDS = {
    "intake": ("runintake",),
    "workers-system": ("runworkers", "system"),
    "workers-system-2": ("runworkers", "system"),
    "workers-group": ("runworkers", "group"),
    "workers-private": ("runworkers", "private"),
    "scanner-group": ("runscanner", "group"),
    "scanner-private": ("runscanner", "private"),
    "sweeper": ("runsweeper",),
}
#: One of each: what a world has, unless it says otherwise.
USUAL = tuple(name for name in COMMANDS if not name.endswith("-2"))
SENDERS = tuple(name for name in USUAL if name.startswith("workers-"))
#: As for `./push.sh reload`.
REPLACEMENT_ORDER = ("sweeper", *SENDERS, "intake", "scanner-group", "scanner-private")
STOP_SECONDS = 60


def is_sender(name: str) -> bool:
    """Whether the process calls providers, also one of several, or on a host whose name comes first."""
    return "workers-" in name


@dataclass(slots=True)
class Child:
    process: subprocess.Popen[bytes]
    restart_at: float = 0.0


class Family:
    """Call `tend` often: it starts again what has ended, whether we killed it or it gave up by itself."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        names: tuple[str, ...],
        own: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
        prefix: Sequence[str] = (),
        home: Path = BASE_DIR,
    ) -> None:
        """`own` are variables that only the named children have; `prefix` comes before each command: see
        `tests.clusters.hosts.Host`. `home` is where their code is."""
        self.names = names
        #: Where the code of each is.
        self.homes = dict.fromkeys(names, home)
        self._own = own
        self.restarts = 0
        #: What the processes that start from now on see.
        self.environment = dict(environment)
        self._prefix = prefix
        self._folder = folder
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

    def replace(self, name: str, home: Path) -> float:
        """Ask it to stop, as the supervisor does, and start the code that is in `home`. Returns the seconds that it
        took to stop. Raises AssertionError when it did not end well."""
        process, began = self._children[name].process, time.monotonic()
        process.terminate()
        code = process.wait(timeout=STOP_SECONDS)
        seconds = time.monotonic() - began
        assert code == 0, f"{name} ended with {code}\n{self.logs()}"
        self.homes[name] = home
        self._children[name] = Child(self._launch(name))
        return seconds

    def pid(self, name: str) -> int:
        return self._children[name].process.pid

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

    def restart(self) -> None:
        """Stop all in order, and start them again."""
        processes.stop_all([child.process for child in self._children.values()])
        self.start()

    def logs(self, characters: int = 1_500) -> str:
        """The end of each child's log, for a failure's report."""
        ends = [(name, self._log(name).read_text(errors="replace")[-characters:]) for name in self.names]
        return "\n".join(f"--- {name}\n{end}" for name, end in ends)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        home = self.homes[name]
        command = [*self._prefix, sys.executable, home / "manage.py", *COMMANDS[name]]
        with self._log(name).open("ab") as log:
            environment = {**self.environment, **self._own.get(name, {})}
            return processes.start(command, log=log, environment=environment, folder=home)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
