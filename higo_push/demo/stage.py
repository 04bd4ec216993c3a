"""The stage: start and stop all services and processes of the platform on this machine."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from cryptography.fernet import Fernet
from pymongo import MongoClient

from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes
from higo_push.running.programs import Program, programs
from pushes.storage import shared_redis

WEB_PORT, SANDBOX_PORT = 8800, 8700
MAX_DEMOS = 50
MANAGE = str(BASE_DIR / "manage.py")
#: What the demo decides itself; everything else that the settings know has its default.
FIXED = {
    "ENV_FILE": os.devnull,
    "DELIVERY_WINDOW": "off",  # the demo works at night, too
    "HTTPS": "off",
    "LOG_LEVEL": "INFO",
}
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")


class StageError(RuntimeError):
    """The demo cannot be set up, or cannot continue. The message says why."""


@dataclass(slots=True)
class Stage:
    """The running services and processes. Every process has `environment`; `folder` is removed at the end."""

    folder: Path
    environment: dict[str, str]
    servers: tuple[embedded.Server, ...] = ()
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def web_url(self) -> str:
        return f"http://{self.environment['WEB_LISTEN']}"

    @property
    def sandbox_url(self) -> str:
        return self.environment["SANDBOX_URL"]

    def manage(self, *words: str) -> None:
        """Run a management command to its end. Raises StageError with the command's output."""
        command = [sys.executable, MANAGE, *words]
        done = subprocess.run(command, env=self.environment, cwd=BASE_DIR, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StageError(f"manage.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}")

    def start(self, program: Program) -> None:
        with self._log_of(program.name).open("wb") as log:
            self.running[program.name] = processes.start(
                program.command, log=log, environment=self.environment, folder=BASE_DIR
            )

    def start_all(self) -> None:
        port = str(urlsplit(self.sandbox_url).port)
        self.start(Program("sandbox", (MANAGE, "runsandbox", "--port", port)))
        for program in programs(self.environment["WEB_LISTEN"]):
            self.start(program)

    def stop_all(self) -> None:
        """Stop every process: producers of work before its consumers."""
        processes.stop_all(list(self.running.values()))

    def ended(self) -> list[str]:
        """The processes that ended without being asked to."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def log_end(self, name: str, lines: int = 15) -> str:
        text = self._log_of(name).read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextlib.contextmanager
def built(extra: dict[str, str]) -> Iterator[Stage]:
    """Build the stage, with its servers and an empty, migrated database. Raises StageError and EmbeddedServerError."""
    with embedded.services() as services, embedded.temporary_folder() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(own_redis_database(services.redis_url))
        mongo_url = stack.enter_context(own_mongo_database(services.mongo_url))
        ports = {
            "WEB_LISTEN": f"127.0.0.1:{stack.enter_context(own_port(WEB_PORT))}",
            "SANDBOX_URL": f"http://127.0.0.1:{stack.enter_context(own_port(SANDBOX_PORT))}",
        }
        environment = environment_for(folder, services.redis_url, mongo_url) | ports | extra
        stage = Stage(folder, environment, services.servers)
        stage.manage("migrate", "--verbosity", "0")
        stack.callback(stage.stop_all)
        yield stage


def environment_for(folder: Path, redis_url: str, mongo_url: str) -> dict[str, str]:
    """The environment of the processes, with keys that live only as long as the demo."""
    inherited = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return inherited | {
        **FIXED,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite3'}",
        "REDIS_URL": redis_url,
        "MONGO_URL": mongo_url,
    }


@contextlib.contextmanager
def own_redis_database(redis_url: str) -> Iterator[None]:
    """Take an empty Redis database, and empty it again at the end. Raises StageError when the database is in use: the
    demo's invented orders must not mix with real orders."""
    with shared_redis.connect(redis_url, socket_timeout=10) as client:
        if client.dbsize():
            raise StageError(
                "the database at REDIS_URL is not empty, and the demo writes made-up orders into it: name an empty "
                "one (redis://host:6379/15), or unset REDIS_URL and the demo brings its own server"
            )
        try:
            yield
        finally:
            client.flushdb()


@contextlib.contextmanager
def own_mongo_database(mongo_url: str) -> Iterator[str]:
    """The URL of a new database on the server; the database is dropped at the end."""
    name = f"higo_demo_{secrets.token_hex(6)}"
    client: MongoClient[dict[str, object]] = MongoClient(mongo_url)
    with client:
        yield urlunsplit(urlsplit(mongo_url)._replace(path=f"/{name}"))
        client.drop_database(name)


@contextlib.contextmanager
def own_port(first: int) -> Iterator[int]:
    """Reserve the first port from `first` on that no server and no other demo uses: the usual port is easy to remember.
    The reservation lasts to the end, from long before our server listens: the system could otherwise give the port to
    an outgoing connection."""
    for port in range(first, first + MAX_DEMOS):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0higo-demo-{port}")  # Linux's abstract names: no file, and gone with us
            except OSError:
                continue
            if processes.is_free(port):
                yield port
                return
    raise StageError(f"no port from {first} to {first + MAX_DEMOS - 1} is free")
