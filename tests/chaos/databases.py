"""The databases of the chaos suite: servers that may be killed, and a look at the rows from outside.

The observer asks in plain SQL over connections of its own, so that it shares nothing with the code that is
judged and needs no Django.
"""

import contextlib
import importlib
import importlib.util
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from higo_push.running import processes

START_SECONDS = 60.0
DRIVER: Any = importlib.import_module("MySQLdb") if importlib.util.find_spec("MySQLdb") else None


class Database(Protocol):
    """One database of the suite's own. `rows` raises the driver's errors while the server is away."""

    @property
    def url(self) -> str: ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...

    def change(self, sql: str) -> None: ...


class SqliteDatabase:
    """A file, in write-ahead mode like the platform's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with contextlib.closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            connection.execute(sql)


class MariaDbDatabase:
    """A database on a MariaDB server, created when it is missing. The platform reaches it `through` a proxy on that
    port of this machine, the observer directly."""

    def __init__(self, server_url: str, name: str, *, through: int | None = None) -> None:
        parts = urlsplit(server_url)
        self.url = urlunsplit(parts._replace(path=f"/{name}"))
        if through is not None:
            self.url = self.url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{through}")
        self.name = name
        self._at = {"host": parts.hostname, "port": parts.port or 3306, "user": parts.username or "root"}
        self._at |= {"passwd": parts.password or "", "connect_timeout": 5, "read_timeout": 30}

    def create(self) -> None:
        self._ask(f"CREATE DATABASE IF NOT EXISTS {self.name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "")

    def drop(self) -> None:
        self._ask(f"DROP DATABASE IF EXISTS {self.name}", "")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._ask(sql, self.name)

    def change(self, sql: str) -> None:
        self._ask(sql, self.name)

    def _ask(self, sql: str, database: str) -> list[tuple[Any, ...]]:
        connect = DRIVER.connect
        with contextlib.closing(connect(db=database, autocommit=True, **self._at)) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())


class MariaDb:
    """A MariaDB server of our own in `folder`, durable as in production, that may be killed.

    Its settings are those of the file `settings`, or MariaDB's own with a small buffer pool.
    """

    def __init__(self, folder: Path, settings: Path | None = None) -> None:
        self.folder = folder
        self.port = 0
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str:
        """What this machine lacks for it; "" if nothing."""
        programs = [name for name in ("mariadbd", "mariadb-install-db") if find(name) is None]
        return ", ".join(programs + ([] if DRIVER else ["mysqlclient"]))

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}"

    def install(self) -> None:
        """Make the system tables, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [find("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder / 'data'}", *as_user()]
        made = subprocess.run(
            [*map(str, command), "--skip-test-db", "--auth-root-authentication-method=normal"],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {made.stdout[-1_000:]}{made.stderr[-1_000:]}")

    def start(self) -> None:
        """Return when it serves queries. Raises RuntimeError with the end of its log."""
        self.port = self.port or processes.free_port()
        given = [f"--defaults-file={self.settings}"] if self.settings else ["--no-defaults"]
        sizes = [] if self.settings else ["--innodb-buffer-pool-size=64M"]
        words = [find("mariadbd"), *given, f"--datadir={self.folder / 'data'}", *as_user()]
        words += [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self.folder / 'socket'}"]
        words += ["--skip-grant-tables", "--skip-name-resolve", "--max-connections=80", *sizes]
        with (self.folder / "log").open("ab") as log:
            self._process = processes.start([word for word in words if word], log=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(DRIVER.Error):
                MariaDbDatabase(self.url, "mysql").rows("SELECT 1")
                return
            time.sleep(0.05)
        raise RuntimeError(f"mariadbd did not start: {(self.folder / 'log').read_text(errors='replace')[-1_500:]}")

    def kill(self) -> None:
        """SIGKILL, as a crash would; `start` afterwards brings it back with what it had committed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process)


@contextlib.contextmanager
def running_mariadb(folder: Path, settings: Path | None = None) -> Iterator[MariaDb]:
    server = MariaDb(folder, settings)
    server.install()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def find(program: str) -> str | None:
    """The program's path. Debian keeps mariadbd where not every user's PATH looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/libexec:/usr/local/sbin")


def as_user() -> Sequence[str]:
    """Root must say that mariadbd may run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []
