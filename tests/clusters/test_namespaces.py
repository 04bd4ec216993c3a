"""Machines of a network: who reaches whom, what a slow link costs, and that nothing stays behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from higo_push.running import processes
from tests.clusters import namespaces
from tests.clusters.namespaces import Namespace, running_network
from tests.environment import PROJECT
from tests.needs import needs

PORT = 7_000
#: Answers every connection with the host's name, and stays.
SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 7000))
while True:
    with listener.accept()[0] as found:
        found.sendall(socket.gethostname().encode() + b"x" * 20_000)
"""


@pytest.fixture(scope="module")
def network() -> Iterator[dict[str, Namespace]]:
    needs("namespaces")
    with running_network("app1", "db1", "db2") as made, contextlib.ExitStack() as stack:
        for name in made:
            server = processes.start([*made[name].host.prefix, sys.executable, "-c", SERVER])
            stack.callback(server.wait)
            stack.callback(server.kill)
        for name in made:
            until_answered(made[name])
        yield made


@pytest.fixture(autouse=True)
def _healed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "network" in request.fixturenames:
        for machine in request.getfixturevalue("network").values():
            machine.heal()


def ask(machine: Namespace, seconds: float = 0.5) -> str:
    """What the server there answers. Raises OSError."""
    with socket.create_connection((machine.host.address, PORT), timeout=seconds) as connection:
        answer = b""
        while data := connection.recv(65_536):
            answer += data
        return answer.decode().rstrip("x")


def reaches(machine: Namespace, other: Namespace) -> bool:
    code = f"import socket; socket.create_connection(({other.host.address!r}, {PORT}), timeout=0.5)"
    return subprocess.run([*machine.host.prefix, sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def until_answered(machine: Namespace) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            ask(machine)
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {machine.host.name}")


def test_machines_have_names_and_reach_each_other(network: dict[str, Namespace]):
    assert [ask(machine) for machine in network.values()] == ["app1", "db1", "db2"]
    assert reaches(network["app1"], network["db1"])


def test_a_machine_is_cut_from_some_and_reaches_the_rest(network: dict[str, Namespace]):
    network["app1"].cut_from(network["db1"])
    assert not reaches(network["app1"], network["db1"])
    assert not reaches(network["db1"], network["app1"])
    assert reaches(network["app1"], network["db2"])
    assert ask(network["db1"]) == "db1"
    network["app1"].heal()
    assert reaches(network["app1"], network["db1"])


def test_a_machine_is_cut_off_from_all(network: dict[str, Namespace]):
    network["db1"].cut_off()
    assert not reaches(network["app1"], network["db1"])
    with pytest.raises(TimeoutError):
        ask(network["db1"])


def test_a_slow_link_delays_and_one_that_loses_nearly_all_carries_nothing(network: dict[str, Namespace]):
    began = time.monotonic()
    assert ask(network["db1"]) == "db1"
    quick = time.monotonic() - began
    assert network["db1"].slow(delay_ms=40, loss_percent=0) in ("netem", "nftables + tbf")
    began = time.monotonic()
    assert ask(network["db1"], seconds=10) == "db1"
    assert time.monotonic() - began > quick + 0.08
    network["db1"].heal()
    network["db1"].slow(delay_ms=1, loss_percent=99)
    with pytest.raises(TimeoutError):
        ask(network["db1"])


def test_frozen_processes_wake_with_their_connections(network: dict[str, Namespace]):
    network["db2"].freeze()
    with socket.create_connection((network["db2"].host.address, PORT), timeout=0.3) as connection:
        with pytest.raises(TimeoutError):
            connection.recv(1)
        network["db2"].thaw()
        assert connection.recv(1) == b"d"


def test_a_killed_machine_has_no_processes():
    needs("namespaces")
    with running_network("app1") as network:
        process = processes.start([*network["app1"].host.prefix, "sleep", "60"])
        while network["app1"].processes() != [process.pid]:
            time.sleep(0.01)
        network["app1"].kill()
        assert process.wait() == -signal.SIGKILL
        assert network["app1"].processes() == []


def where() -> str:
    """The network that this thread is on."""
    return str(Path("/proc/thread-self/ns/net").readlink())


def namespaces_of(pid: int) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"higo{pid}-")]


def test_a_network_leaves_nothing_and_gives_the_thread_back():
    needs("namespaces")
    before, there = where(), namespaces_of(os.getpid())
    with contextlib.suppress(KeyboardInterrupt), running_network("app1"):
        assert len(namespaces_of(os.getpid())) == len(there) + 2
        assert where() != before
        raise KeyboardInterrupt
    assert namespaces_of(os.getpid()) == there
    assert where() == before


def test_the_namespaces_of_a_killed_process_are_removed():
    needs("namespaces")
    code = "import time\nfrom tests.clusters.namespaces import running_network\n"
    code += "with running_network('app1'):\n    print('made', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"made\n"
        assert len(namespaces_of(child.pid)) == 2
        child.kill()
    deadline = time.monotonic() + 10
    while namespaces_of(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert namespaces_of(child.pid) == []


def test_who_may_not_make_namespaces_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda name: f"/sbin/{name}")
    assert "root" in namespaces.missing()
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert "Debian: nftables" in namespaces.missing()


@pytest.mark.parametrize("names", [("app-1",), ("a" * 16,), ("db1", "db1")])
def test_a_name_that_linux_does_not_take_is_refused(names: tuple[str, ...]):
    with pytest.raises(ValueError, match=names[0]), running_network(*names):
        pass


def test_threads_that_were_there_stay_outside():
    needs("namespaces")
    outside, asked, answered = list[str](), threading.Event(), threading.Event()

    def look() -> None:
        asked.wait()
        outside.append(where())
        answered.set()

    thread = threading.Thread(target=look)
    thread.start()
    before = where()
    with running_network("app1"):
        asked.set()
        answered.wait()
    thread.join()
    assert outside == [before]
