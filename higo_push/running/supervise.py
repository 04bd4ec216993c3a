"""`./push.sh start|stop|restart|reload|status|logs`: the production process set under supervisord.

Everything goes through supervisord's control socket in var/; no process is ever looked up by its name
or by a number in a file. So a stale pid file harms nobody, and only what we started is stopped.
"""

import argparse
import contextlib
import fcntl
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

from django.core.exceptions import ImproperlyConfigured
from supervisor.xmlrpc import SupervisorTransport

from higo_push import env
from higo_push.env import BASE_DIR
from higo_push.running import preflight, programs, replacement

RUNNING, NOT_ALL_RUNNING, NOT_STARTED = 0, 1, 3
START_SECONDS = 60
STOP_SECONDS = 120
CONFIG, LOCK = programs.VAR / "supervisord.conf", programs.VAR / "supervise.lock"
#: States that supervisord will not leave by itself.
GIVEN_UP = ("FATAL", "EXITED", "STOPPED", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class ProcessState:
    name: str
    state: str
    pid: int
    seconds: int
    detail: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./push.sh")
    parser.add_argument("command", choices=["start", "stop", "restart", "reload", "status", "logs"])
    parser.add_argument("name", nargs="?")
    given = parser.parse_args(arguments)
    try:
        if given.command == "logs":
            return follow_logs(given.name)
        if given.command == "status":
            return status()
        with alone():
            return {"start": start, "stop": stop, "restart": restart, "reload": reload}[given.command]()
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 1


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One command that starts or stops at a time: a second waits until the first is over. The kernel gives the lock
    back however a process ends."""
    try:
        programs.VAR.mkdir(parents=True, exist_ok=True)
        lock = LOCK.open("w")
    except OSError as error:
        raise ImproperlyConfigured(f"{error.filename} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another start, stop, restart or reload is in progress; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start() -> int:
    """Check, start, and wait until every process has stayed up for its first seconds."""
    if states() == [] and not wait_until_gone():
        return NOT_ALL_RUNNING
    if states() is not None:
        print("already started:")
        return status()
    if refuse_for_problems():
        return NOT_ALL_RUNNING
    write_config()
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(CONFIG)]
    # The file's variables are each process's own to read, at its start: after a change a reload is enough.
    own = {name: value for name, value in os.environ.items() if name not in env.FROM_FILE}
    begun = subprocess.run(command, cwd=BASE_DIR, check=False, env=own)
    if begun.returncode != 0:
        print(f"supervisord did not start; see above and {programs.LOGS / 'supervisord.log'}", file=sys.stderr)
        return NOT_ALL_RUNNING
    wait_until_settled()
    return status()


def stop() -> int:
    """Ask supervisord to stop its processes and itself; each gets the time that it may need."""
    if states() is None:
        print("not running; nothing to stop")
        return 0
    # It may be about to end already: told by somebody else, or by systemd.
    with contextlib.suppress(Fault, OSError, http.client.HTTPException):
        control().shutdown()
    if not wait_until_gone():
        return 1
    print("stopped")
    return 0


def wait_until_gone() -> bool:
    """Until supervisord, which is about to end, has ended; False when that takes too long."""
    deadline = time.monotonic() + STOP_SECONDS
    while states() is not None:
        if time.monotonic() > deadline:
            print(f"still stopping after {STOP_SECONDS} s; see ./push.sh status", file=sys.stderr)
            return False
        time.sleep(0.2)
    return True


def restart() -> int:
    """Nothing is stopped when starting would be refused."""
    if refuse_for_problems():
        return NOT_ALL_RUNNING
    return stop() or start()


def reload() -> int:
    """Replace the processes by what is on disk, one after the other; nothing is touched when starting would be
    refused. When one does not come up, the rest stay as they are."""
    if not states():
        print("not started; run ./push.sh start", file=sys.stderr)
        return NOT_STARTED
    if refuse_for_problems():
        return NOT_ALL_RUNNING
    write_config()
    try:
        for said in replacement.replaced(control()):
            print(said, flush=True)
    except (replacement.ReplacementError, Fault) as error:
        print(f"{error}\nwhat comes after it has not been replaced", file=sys.stderr)
        status()
        return NOT_ALL_RUNNING
    return status()


def status() -> int:
    found = states()
    if wrong := preflight.settings_problem():
        print(f"warning: {wrong}", file=sys.stderr)
    if found is None:
        print("not started")
        return NOT_STARTED
    if not found:
        print("stopping")
        return NOT_ALL_RUNNING
    print(f"{'process':<20}{'state':<10}{'pid':>8}  {'up for':<10}")
    for one in found:
        pid = str(one.pid) if one.pid else "-"
        print(f"{one.name:<20}{one.state.lower():<10}{pid:>8}  {duration(one.seconds):<10}{one.detail}".rstrip())
    for text in preflight.clock_warnings():
        print(f"warning: {text}", file=sys.stderr)
    return RUNNING if all(one.state == "RUNNING" for one in found) else NOT_ALL_RUNNING


def follow_logs(name: str | None) -> int:
    """Follow them until Ctrl-C, over rotations."""
    known = ["supervisord", *(program.name for program in programs.programs())]
    files = [file for one in known if name in (None, one) and (file := programs.LOGS / f"{one}.log").exists()]
    if not files:
        print(f"no log of {name or 'any process'} in {programs.LOGS}; known logs: {', '.join(known)}", file=sys.stderr)
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        return subprocess.run(["tail", "-n", "20", "-F", *files], check=False).returncode
    return 0


def refuse_for_problems() -> bool:
    found = list(preflight.problems())
    for text in found:
        print(f"cannot start: {text}", file=sys.stderr)
    for text in [] if found else preflight.advice():
        print(f"advice: {text}", file=sys.stderr)
    return bool(found)


def write_config() -> None:
    for folder in (programs.VAR, programs.LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(programs.supervisor_config(programs.programs()))


def control() -> Any:
    """supervisord's remote interface; its calls raise OSError when nobody listens on the socket."""
    transport = SupervisorTransport(None, None, serverurl=f"unix://{programs.socket_path()}")
    return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def states() -> list[ProcessState] | None:
    """The processes in the order of the table: none while supervisord is ending. None when ours does not run."""
    try:
        answer = cast("list[dict[str, Any]]", control().getAllProcessInfo())
    except (OSError, http.client.HTTPException):
        return None
    except Fault:
        return []
    order = {program.name: place for place, program in enumerate(programs.programs())}
    found = [_state(facts) for facts in answer]
    return sorted(found, key=lambda one: order.get(one.name, len(order)))


def _state(facts: dict[str, Any]) -> ProcessState:
    seconds = facts["now"] - facts["start"] if facts["statename"] == "RUNNING" else 0
    detail = "" if facts["statename"] == "RUNNING" else facts["spawnerr"] or f"see {facts['logfile']}"
    return ProcessState(facts["name"], facts["statename"], facts["pid"], seconds, detail)


def wait_until_settled() -> None:
    """Until all run or one has been given up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = states() or []
        if found and all(one.state == "RUNNING" for one in found):
            return
        if any(one.state in GIVEN_UP for one in found):
            return
        time.sleep(0.3)


def duration(seconds: int) -> str:
    hours, rest = divmod(max(seconds, 0), 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
