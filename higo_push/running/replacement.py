"""The running processes are replaced by what is on disk, in parts, so that there is always somebody who takes pushes.

The sweeper comes first: it stands still at the least cost, and when it does not come up nothing else would. The
web process does not end: it replaces its server itself (`higo_push.running.web`), unless its command has changed.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any
from xmlrpc.client import Fault

from supervisor.states import ProcessStates
from supervisor.xmlrpc import Faults

from higo_push.running import programs

START_SECONDS = 60.0
LOOK_SECONDS = 0.2
#: By the beginnings of the names; what is none of these comes after them.
PARTS = ("sweeper", "workers", "intake", "scanner")
COMES_UP = (ProcessStates.STARTING, ProcessStates.RUNNING)


class ReplacementError(Exception):
    """A process of the new release does not come up."""


def replaced(supervisor: Any) -> Iterator[str]:
    """Replace them; `supervisor` is supervisord's remote interface. Yields a line for every process. Raises
    ReplacementError, and then the rest are as they were, and Fault when supervisord refuses."""
    added, changed, removed = supervisor.reloadConfig()[0]
    for name in removed:
        yield _removed(supervisor, name)
    for names in parts([program.name for program in programs.programs()]):
        for name in names:
            if name == programs.WEB and name not in added + changed:
                yield _renewed(supervisor)
            elif name in added:
                supervisor.addProcessGroup(name)
                yield f"{name}: new"
            else:
                yield _restarted(supervisor, name, is_changed=name in changed)
        _wait_until_up(supervisor, names)


def parts(names: Sequence[str]) -> list[list[str]]:
    """The names in the order of replacement: those of one part are replaced before one waits until all of it is up."""
    found = [[name for name in names if name.startswith(part)] for part in PARTS]
    rest = [name for name in names if name != programs.WEB and not name.startswith(PARTS)]
    web = [name for name in names if name == programs.WEB]
    return [part for part in (*found, rest, web) if part]


def _removed(supervisor: Any, name: str) -> str:
    supervisor.stopProcessGroup(name)
    supervisor.removeProcessGroup(name)
    return f"{name}: removed"


def _restarted(supervisor: Any, name: str, *, is_changed: bool) -> str:
    began = time.monotonic()
    _stop(supervisor, name)
    stopped_after = time.monotonic() - began
    if is_changed:
        supervisor.removeProcessGroup(name)
        supervisor.addProcessGroup(name)
    else:
        supervisor.startProcess(name, False)
    return f"{name}: stopped within {stopped_after:.1f} s, started again"


def _stop(supervisor: Any, name: str) -> None:
    try:
        supervisor.stopProcess(name)
    except Fault as fault:
        if fault.faultCode != Faults.NOT_RUNNING:
            raise


def _renewed(supervisor: Any) -> str:
    """The web process replaces its server, and notes the new one's number once that accepts requests."""
    began, before = time.monotonic(), _web_pid()
    supervisor.signalProcess(programs.WEB, "HUP")
    while _web_pid() == before:
        if time.monotonic() - began > START_SECONDS:
            raise ReplacementError(f"{programs.WEB}: the new server does not start; the old one serves on")
        time.sleep(LOOK_SECONDS)
    return f"{programs.WEB}: the new server accepts after {time.monotonic() - began:.1f} s"


def _web_pid() -> str:
    return programs.WEB_PID.read_text() if programs.WEB_PID.exists() else ""


def _wait_until_up(supervisor: Any, names: Sequence[str]) -> None:
    """Until all have stayed up for their first seconds."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        states = {one["name"]: one["state"] for one in supervisor.getAllProcessInfo() if one["name"] in names}
        if all(state == ProcessStates.RUNNING for state in states.values()):
            return
        # One whose group has just been added has not been started yet.
        waits = (*COMES_UP, ProcessStates.STOPPED)
        fallen = sorted(name for name, state in states.items() if state not in waits)
        if fallen or time.monotonic() > deadline:
            raise ReplacementError(f"{', '.join(fallen or names)}: does not come up; see ./push.sh logs")
        time.sleep(LOOK_SECONDS)
