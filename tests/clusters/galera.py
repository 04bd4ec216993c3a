"""A MariaDB Galera cluster of our own: one server for each host, which may be killed, frozen and cut off."""

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from higo_push.env import BASE_DIR
from higo_push.running import processes
from tests.chaos import databases
from tests.chaos.databases import MariaDb, MariaDbDatabase
from tests.clusters.hosts import Host

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
#: How long a node may take to join, the copy of all data included.
JOIN_SECONDS = 90.0
STEP_SECONDS = 0.1
#: Below the ports that the kernel gives to outgoing connections.
_PORTS = range(20_000, 32_000)
#: What operators start from; each node's own addresses follow it.
SETTINGS = BASE_DIR / "deploy" / "galera.cnf"
#: `<cluster's UUID>:<number of the last transaction>`
_POSITION = re.compile(r"Recovered position:\s*([0-9a-f-]+):(-?\d+)")


class Node(MariaDb):
    """One server of the cluster. `start` lets it join: by the missing transactions, or by a copy of everything."""

    def __init__(self, folder: Path, host: Host, *, settings: Path | None, sst_method: str, options: str) -> None:
        super().__init__(folder, settings)
        self.host = host
        self.port, self.cluster_port, self._ist_port, self._sst_port = _free_ports(host.address, 4)
        self._sst_method, self._options = sst_method, options
        self._file = folder / "node.cnf"

    @property
    def url(self) -> str:
        return f"mysql://root@{self.host.address}:{self.port}"

    def configure(self, cluster_address: str) -> None:
        """Write its settings, with the addresses of all nodes."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        address = self.host.address
        options = f"{self._options};" if self._options else ""
        options += f"gmcast.listen_addr=tcp://{address}:{self.cluster_port};gcache.size=64M"
        options += f";ist.recv_addr={address}:{self._ist_port};ist.recv_bind={address}:{self._ist_port}"
        lines = {
            "datadir": self.folder / "data",
            "socket": self.folder / "socket",
            "port": self.port,
            "bind_address": address,
            "wsrep_cluster_name": "higo_push",
            "wsrep_cluster_address": cluster_address,
            "wsrep_node_name": self.host.name,
            "wsrep_node_address": f"{address}:{self.cluster_port}",
            "wsrep_node_incoming_address": f"{address}:{self.port}",
            "wsrep_sst_method": self._sst_method,
            "wsrep_sst_receive_address": f"{address}:{self._sst_port}",
            "wsrep_sst_auth": "root:",
            "wsrep_log_conflicts": "ON",
            # In quotes: a comment would begin at `;`.
            "wsrep_provider_options": f'"{options}"',
        }
        sizes = () if self.settings else ("innodb_buffer_pool_size=64M", "innodb_log_file_size=32M")
        given = [f"!include {path}" for path in (self.settings, SETTINGS) if path]
        written = [*given, "[mariadbd]", *sizes, *(f"{name}={value}" for name, value in lines.items())]
        self._file.write_text("\n".join([*written, ""]))

    def let_root_in(self) -> None:
        """From any address, without a password. (Without the grant tables no copy of the data can be made.)"""
        sql = "FLUSH PRIVILEGES;\nCREATE USER root@'%';\nGRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
        done = subprocess.run(
            self._command("--bootstrap", "--wsrep-on=OFF"), input=sql, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"no user could be made: {done.stderr[-1_000:]}")

    def start(self, *, is_first: bool = False) -> None:
        """Return when it is synced and serves queries. Raises RuntimeError with the end of its log."""
        self.spawn(is_first=is_first)
        self.wait_until_ready()

    def spawn(self, *, is_first: bool = False) -> None:
        """Begin to start, as the first of a new cluster or to join one; returns at once."""
        self._end_children()
        words = ["--wsrep-new-cluster"] if is_first else []
        # What systemd's unit does after a crash: without it the node would ask for a copy of everything.
        if _seqno(self._saved_state()) == -1 and (position := self._recovered()):
            words.append(f"--wsrep-start-position={position}")
        with (self.folder / "log").open("ab") as log:
            self._process = processes.start(self._command(*words, "--max-connections=200"), log=log)

    def wait_until_ready(self, seconds: float = JOIN_SECONDS) -> None:
        """Raises RuntimeError when it ended, or is not synced in time."""
        if not _is_soon(lambda: self.is_ready() or not self.is_running(), seconds) or not self.is_running():
            log = (self.folder / "log").read_text(errors="replace")
            raise RuntimeError(f"node {self.host.name} is not ready: {log[-2_500:]}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether it serves queries, with every transaction of the others."""
        status = self.status()
        return status.get("wsrep_ready") == "ON" and status.get("wsrep_local_state_comment") == "Synced"

    def status(self) -> dict[str, str]:
        """Its `wsrep_…` status variables; none while it does not answer."""
        if not self.is_running():
            return {}
        with contextlib.suppress(databases.DRIVER.Error):
            return dict(MariaDbDatabase(self.url, "").rows("SHOW GLOBAL STATUS LIKE 'wsrep%'"))
        return {}

    def position(self) -> int:
        """The number of the last transaction that it has; -1 if it has none or that is unknown."""
        if not self.is_running():
            saved = _seqno(self._saved_state())
            return saved if saved != -1 else _seqno(self._recovered())
        return int(self.status().get("wsrep_last_committed", -1))

    def kill(self) -> None:
        """SIGKILL, to a copy that it gives or takes, too."""
        if self._process is not None:
            self._end_children()
            self._process.wait()

    def forget(self) -> None:
        """Lose all data of a node that is not running, as with a new disk."""
        shutil.rmtree(self.folder / "data")
        (self.folder / "data").mkdir()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nobody answers. The others go on without it after some seconds."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def isolate(self, *, is_isolated: bool = True) -> None:
        """Cut it off from the other nodes, or end that; clients still reach it."""
        self.set_provider("gmcast.isolate", str(int(is_isolated)))

    def set_provider(self, name: str, value: str) -> None:
        MariaDbDatabase(self.url, "").change(f"SET GLOBAL wsrep_provider_options = '{name}={value}'")

    def stop(self) -> None:
        if self._process is not None:
            self.thaw()
            processes.stop(self._process)
            self._end_children()

    def allow_bootstrap(self) -> None:
        """Let a node that did not stop as the last one begin a new cluster."""
        path = self.folder / "data" / "grastate.dat"
        path.write_text(path.read_text().replace("safe_to_bootstrap: 0", "safe_to_bootstrap: 1"))

    def _command(self, *words: str) -> list[str]:
        program = databases.find("mariadbd") or "mariadbd"
        given = [f"--defaults-file={self._file}", *databases.as_user(), "--skip-name-resolve"]
        return [*self.host.prefix, program, *given, *words]

    def _saved_state(self) -> str:
        """`<UUID>:<number>` of its last orderly stop, the number -1 after a crash; "" of a node that never ran."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / "data" / "grastate.dat").read_text()
            saved = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            return f"{saved['uuid'].strip()}:{saved['seqno'].strip()}"
        return ""

    def _recovered(self) -> str:
        """The same from the tables themselves; "" if they do not know."""
        log = self.folder / "recovery.log"
        log.unlink(missing_ok=True)
        command = self._command("--wsrep-recover", f"--log-error={log}")
        subprocess.run(command, capture_output=True, timeout=60, check=False)
        found = _POSITION.search(log.read_text(errors="replace")) if log.exists() else None
        return f"{found[1]}:{found[2]}" if found and found[2] != "-1" else ""

    def _signal(self, number: int) -> None:
        if self.is_running() and self._process is not None:
            self._process.send_signal(number)

    def _end_children(self) -> None:
        """Of a copy of the data: rsync and the like are in its session and outlive it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class Galera:
    """A node for each of the hosts, which must be at least three for a quorum that survives the loss of one."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[Host],
        *,
        settings: Path | None = None,
        sst_method: str = "mariabackup",
        options: str = "",
    ) -> None:
        """`settings` is a file of MariaDB's settings for all nodes; `sst_method` how a node is given a copy of
        everything: `mariabackup`, or `rsync` (the giver refuses writes for that time; not as root); `options` are more
        of Galera's own (`wsrep_provider_options`)."""
        ways: dict[str, Any] = {"settings": settings, "sst_method": sst_method, "options": options}
        self.nodes = [Node(folder / host.name, host, **ways) for host in hosts]
        self._is_installed = False

    @staticmethod
    def missing() -> str:
        """What this machine lacks for it; "" if nothing."""
        programs = [name for name in ("mariabackup", "socat") if databases.find(name) is None]
        libraries = [] if PROVIDER.exists() else ["galera-4"]
        return ", ".join([*filter(None, [MariaDb.missing()]), *programs, *libraries])

    def start(self) -> None:
        """Begin the cluster, or begin it again after `stop`; returns when all are synced. Raises RuntimeError."""
        if self._is_installed:
            self.recover()
            return
        others = ",".join(f"{node.host.address}:{node.cluster_port}" for node in self.nodes)
        self.nodes[0].install()
        for node in self.nodes:
            node.configure(f"gcomm://{others}")
        self.nodes[0].let_root_in()
        self._install_others()
        self._is_installed = True
        self.nodes[0].start(is_first=True)
        self._join()

    def _install_others(self) -> None:
        """With the tables and the position of the first, so that none needs a copy over the network (12 s)."""
        first = self.nodes[0]
        first.start(is_first=True)
        first.stop()
        for node in self.nodes[1:]:
            # Neither what the first keeps for others that were away, nor whom it last saw.
            own = shutil.ignore_patterns("galera.cache", "gvwstate.dat")
            shutil.copytree(first.folder / "data", node.folder / "data", dirs_exist_ok=True, ignore=own)

    def recover(self) -> None:
        """Begin a cluster that has lost its quorum again, with the most advanced node first. Raises RuntimeError."""
        best = max(self.nodes, key=Node.position)
        if best.is_running():
            best.set_provider("pc.bootstrap", "YES")
            best.wait_until_ready()
        else:
            for node in self.nodes:
                node.kill()
            best.allow_bootstrap()
            best.start(is_first=True)
        self._join()

    def _join(self) -> None:
        for node in self.nodes:
            if not node.is_running():
                node.spawn()
        for node in self.nodes:
            node.wait_until_ready()

    def url(self, *numbers: int, database: str) -> str:
        """A DATABASE_URL with these nodes in this order; with all of them, if none is named."""
        nodes = [self.nodes[number] for number in numbers] or self.nodes
        return f"mysql://root@{','.join(f'{node.host.address}:{node.port}' for node in nodes)}/{database}"

    def stop(self) -> None:
        """The first node last, so that it may begin again."""
        for node in reversed(self.nodes):
            node.stop()


class GaleraDatabase:
    """A database on the cluster. The platform reaches any node, the first one first; the observer asks one that is
    ready."""

    def __init__(self, cluster: Galera, name: str) -> None:
        self.url = cluster.url(database=name)
        self._cluster, self._name = cluster, name
        self._on("").change(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._on(self._name).rows(sql)

    def change(self, sql: str) -> None:
        self._on(self._name).change(sql)

    def _on(self, name: str) -> MariaDbDatabase:
        nodes = self._cluster.nodes
        return MariaDbDatabase(next((node for node in nodes if node.is_ready()), nodes[0]).url, name)


@contextlib.contextmanager
def running_galera(folder: Path, hosts: Sequence[Host], **ways: Any) -> Iterator[Galera]:
    """A cluster for the time of a `with`; `ways` are Galera's own arguments."""
    cluster = Galera(folder, hosts, **ways)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _is_soon(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_SECONDS)
    return True


def _seqno(position: str) -> int:
    return int(position.rpartition(":")[2] or -1)


def _free_ports(address: str, number: int) -> list[int]:
    """Ports that nobody has now. On an address of another network namespace they are all taken for free."""
    found: list[int] = []
    for port in random.sample(_PORTS, 200):
        if len(found) == number:
            break
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
        found.append(port)
    return found
