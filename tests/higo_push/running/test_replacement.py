"""What a reload does when supervisord's answers are not those of a good day."""

from xmlrpc.client import Fault

import pytest
from supervisor.states import ProcessStates
from supervisor.xmlrpc import Faults

from higo_push.running import programs, replacement

NAMES = [program.name for program in programs.programs()]


class Supervisor:
    """supervisord's remote interface, as far as a reload calls it. What is `broken` does not come up."""

    def __init__(self, *, added=(), changed=(), removed=(), stopped=(), broken=()) -> None:
        self.differences = [list(added), list(changed), list(removed)]
        self.stopped, self.broken = set(stopped), broken
        self.states = dict.fromkeys({*NAMES, *removed} - set(added), ProcessStates.RUNNING)
        self.calls: list[tuple[str, str]] = []

    def reloadConfig(self):  # noqa: N802
        return [self.differences]

    def getAllProcessInfo(self):  # noqa: N802
        return [{"name": name, "state": state} for name, state in self.states.items()]

    def stopProcess(self, name):  # noqa: N802
        if name in self.stopped:
            raise Fault(Faults.NOT_RUNNING, "NOT_RUNNING")
        self.stopProcessGroup(name)

    def stopProcessGroup(self, name):  # noqa: N802
        self.calls.append(("stop", name))

    def removeProcessGroup(self, name):  # noqa: N802
        self.calls.append(("remove", name))
        del self.states[name]

    def addProcessGroup(self, name):  # noqa: N802
        self.startProcess(name, False)

    def startProcess(self, name, _wait):  # noqa: N802
        self.calls.append(("start", name))
        self.states[name] = ProcessStates.BACKOFF if name in self.broken else ProcessStates.RUNNING

    def signalProcess(self, name, signal):  # noqa: N802
        self.calls.append((signal, name))
        programs.WEB_PID.write_text("2")


@pytest.fixture(autouse=True)
def pid_file(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "WEB_PID", tmp_path / "web.pid")
    programs.WEB_PID.write_text("1")


def test_the_web_server_comes_last_and_the_sweeper_first():
    supervisor = Supervisor()
    list(replacement.replaced(supervisor))
    replaced = [name for what, name in supervisor.calls if what != "stop"]
    assert (replaced[0], replaced[-1]) == ("sweeper", "web")
    assert sorted(replaced) == sorted(NAMES)
    assert ("stop", "web") not in supervisor.calls


def test_a_process_that_does_not_come_up_leaves_the_rest_as_they_are():
    supervisor = Supervisor(broken=["sweeper"])
    with pytest.raises(replacement.ReplacementError, match=r"^sweeper: does not come up"):
        list(replacement.replaced(supervisor))
    assert {name for _what, name in supervisor.calls} == {"sweeper"}


def test_a_web_server_that_does_not_start_is_said(monkeypatch):
    monkeypatch.setattr(replacement, "START_SECONDS", 0)
    supervisor = Supervisor()
    monkeypatch.setattr(supervisor, "signalProcess", lambda _name, _signal: None)
    with pytest.raises(replacement.ReplacementError, match="the old one serves on"):
        list(replacement.replaced(supervisor))


def test_what_the_release_adds_changes_and_no_longer_has_is_followed():
    supervisor = Supervisor(added=["intake"], changed=["web", "workers-group"], removed=["former"], stopped=["sweeper"])
    said = list(replacement.replaced(supervisor))
    assert "former" not in supervisor.states
    assert set(supervisor.states) == set(NAMES)
    for name in ("web", "workers-group"):
        assert [what for what, of in supervisor.calls if of == name] == ["stop", "remove", "start"]
    assert [what for what, of in supervisor.calls if of in ("intake", "sweeper")] == ["start", "start"]
    assert len(said) == len(NAMES) + 1


def test_another_refusal_of_supervisord_is_no_silence(monkeypatch):
    supervisor = Supervisor()

    def refuse(_name):
        raise Fault(Faults.BAD_NAME, "BAD_NAME")

    monkeypatch.setattr(supervisor, "stopProcess", refuse)
    with pytest.raises(Fault):
        list(replacement.replaced(supervisor))
