"""Machines on one machine: Linux network namespaces, each with an address and a host name of its own, on one bridge.

with running_network("app1", "db1") as network:   # and the block itself is on the network, too
    network["app1"].host                           # where a server or a process of that machine runs
    network["app1"].cut_from(network["db1"])       # silently: packets vanish, connections stay open
    network["app1"].heal()

The bridge has a namespace, too, so nothing of the machine's own network changes, and two networks do not meet.
"""

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.clusters.hosts import Host

SUBNET = "10.77.0"
SWITCH_ADDRESS = f"{SUBNET}.254"
PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "unshare": "util-linux"}
COMMAND_SECONDS = 20.0
MAX_NAMESPACES = 200
#: A packet of so many bits takes a slow link's delay.
PACKET_BITS = 1_500 * 8
#: An interface's name is the host's, and Linux takes no longer ones.
MAX_NAME = 15
#: Waits until we are gone, however we ended, and removes the namespaces.
_JANITOR = 'trap "" INT TERM HUP; cat >/dev/null; for name in "$@"; do ip netns del "$name" 2>/dev/null; done'
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Namespace:
    """One machine of a network."""

    name: str
    host: Host
    switch: str

    def cut_from(self, *others: "Namespace") -> None:
        """From now on no packet goes to or comes from these machines, and nobody is told."""
        addresses = ", ".join(other.host.address for other in others)
        self._filter(f"ip saddr {{ {addresses} }} drop", f"ip daddr {{ {addresses} }} drop")

    def cut_off(self) -> None:
        """From now on no packet goes to or comes from any other machine."""
        self._filter("iifname eth0 drop", "oifname eth0 drop")

    def slow(self, *, delay_ms: float, loss_percent: int) -> str:
        """Make this machine's link slow and lossy (0 to 99 per cent), in both directions. Returns what does it:
        `netem`, or where the kernel has none, `nftables + tbf`: that link has so little room that a full packet takes
        the delay to pass."""
        ends = [(self.name, "eth0"), (self.switch, self.host.name)]
        netem = [f"netem delay {delay_ms}ms loss {loss_percent}%"] * 2
        if all(_tries(f"tc -n {name} qdisc add dev {end} root {netem[0]}") for name, end in ends):
            return "netem"
        rate = round(PACKET_BITS / delay_ms * 1_000)
        for name, end in ends:
            _run(f"tc -n {name} qdisc add dev {end} root tbf rate {rate}bit burst 3000 limit 3000000")
        lose = f"numgen random mod 100 < {loss_percent} drop"
        self._filter(f"iifname eth0 {lose}", f"oifname eth0 {lose}")
        return "nftables + tbf"

    def heal(self) -> None:
        """Be connected as at the start."""
        self._nft("flush ruleset")
        for name, end in ((self.name, "eth0"), (self.switch, self.host.name)):
            _tries(f"tc -n {name} qdisc del dev {end} root")

    def kill(self) -> None:
        """SIGKILL to all processes on this machine, as a power cut would. Returns when none is left that runs."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP to all processes on this machine: connections stay open, and are not answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def processes(self) -> list[int]:
        """The ids of the processes on this machine that have not ended."""
        ids = map(int, _run(f"ip netns pids {self.name}").split())
        return [process for process in ids if _state(process) not in ("Z", "X", "")]

    def _signal(self, number: signal.Signals) -> None:
        """One may be born while we look, so we look until all have got it. Raises TimeoutError."""
        deadline, reached = time.monotonic() + COMMAND_SECONDS, ("T", "t") if number == signal.SIGSTOP else ()
        while left := [process for process in self.processes() if _state(process) not in reached]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{number.name} did not reach the processes {left} on {self.host.name}")
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)
            time.sleep(0.01)

    def _filter(self, incoming: str, outgoing: str) -> None:
        for hook, rule in (("input", incoming), ("output", outgoing)):
            self._nft(f"table ip fault {{ chain {hook} {{ type filter hook {hook} priority 0; {rule}; }}; }}")

    def _nft(self, text: str) -> None:
        _run(f"ip netns exec {self.name} nft -f -", text)


def missing() -> str:
    """Why no namespaces can be made here, and what to do; "" if they can."""
    if _LIBC is None:
        return "network namespaces are Linux's: run it on Linux"
    lacking = {f"{program} (Debian: {package})" for program, package in PROGRAMS.items() if not shutil.which(program)}
    if lacking:
        return f"install {', '.join(sorted(lacking))}"
    if os.geteuid() != 0:
        return "only root may make network namespaces: run it as root (sudo)"
    probe = f"higo{os.getpid()}-probe"
    made = _tries(f"ip netns add {probe}") and _tries(f"ip -n {probe} link add probe type bridge")
    _tries(f"ip netns del {probe}")
    return (
        ""
        if made
        else (
            "this machine does not let us make network namespaces and bridges: in a container, start it with "
            "--privileged, or with CAP_NET_ADMIN and CAP_SYS_ADMIN"
        )
    )


@contextlib.contextmanager
def running_network(*names: str) -> Iterator[dict[str, Namespace]]:
    """A machine for each name, by its name; the block, and what it starts, is on the network at SWITCH_ADDRESS. Only
    threads that the block starts follow it there.

    It is gone when the block ends, or when this process does, however it does. Raises ValueError for a name that
    Linux does not take, and RuntimeError where a network cannot be made.
    """
    for name in names:
        if len(name) > MAX_NAME or not name.isalnum():
            raise ValueError(f"a host's name has at most {MAX_NAME} letters and digits, which {name!r} does not")
    if len(set(names)) != len(names) or len(names) > MAX_NAMESPACES:
        raise ValueError(f"up to {MAX_NAMESPACES} different names are wanted, not {names!r}")
    prefix = f"higo{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
    switch = f"{prefix}-switch"
    made = {
        name: Namespace(f"{prefix}-{name}", Host(name, f"{SUBNET}.{number}", _prefix(f"{prefix}-{name}", name)), switch)
        for number, name in enumerate(names, start=1)
    }
    with _janitor(switch, *(machine.name for machine in made.values())):
        _make_switch(switch)
        for machine in made.values():
            _connect(machine)
        with _inside(switch):
            yield made


def _prefix(namespace: str, name: str) -> tuple[str, ...]:
    """What runs a command there. The host name is its own, too: by that, processes tell machines apart."""
    named = f'echo {name} >/proc/sys/kernel/hostname && exec "$@"'
    return ("ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c", named, "sh")


def _make_switch(switch: str) -> None:
    _run(f"ip netns add {switch}")
    _run(f"ip -n {switch} link add bridge type bridge")
    _run(f"ip -n {switch} address add {SWITCH_ADDRESS}/24 dev bridge")
    for device in ("lo", "bridge"):
        _run(f"ip -n {switch} link set {device} up")


def _connect(machine: Namespace) -> None:
    name, end = machine.name, machine.host.name
    _run(f"ip netns add {name}")
    _run(f"ip -n {machine.switch} link add {end} type veth peer name eth0 netns {name}")
    _run(f"ip -n {machine.switch} link set {end} master bridge up")
    _run(f"ip -n {name} address add {machine.host.address}/24 dev eth0")
    for device in ("lo", "eth0"):
        _run(f"ip -n {name} link set {device} up")


@contextlib.contextmanager
def _janitor(*namespaces: str) -> Iterator[None]:
    """Have the namespaces removed at the end, whatever the end is: the kernel closes the pipe."""
    command = ["sh", "-c", _JANITOR, "sh", *namespaces]
    janitor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        janitor.communicate()


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Have this thread, and what it starts, in a network namespace."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{namespace}").open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    """`os.setns`, which Python has from 3.12 on. Raises OSError."""
    if _LIBC is None or _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns failed")


def _state(process: int) -> str:
    """The letter that Linux has for what a process does; "" if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _tries(command: str) -> bool:
    try:
        _run(command)
    except RuntimeError:
        return False
    return True


def _run(command: str, text: str | None = None) -> str:
    """Raises RuntimeError with what the command said."""
    done = subprocess.run(
        shlex.split(command), input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
