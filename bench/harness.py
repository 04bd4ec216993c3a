"""What the benchmarks share: a database, Redis, the sandbox and our processes; tables and JSON.

A benchmark runs against a MariaDB server (BENCH_DATABASE_URL, a database that it creates and drops), an
embedded Valkey, and a sandbox process. It is a client of those like any other, and counts CPU from the
operating system's own accounting of each process.
"""

import contextlib
import json
import os
import platform
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import MySQLdb
import psutil
from cryptography.fernet import Fernet

from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes

RESULTS = BASE_DIR / "bench" / "results"
DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "mysql://root@127.0.0.1:3306/higo_bench")
ACCESS_ID = 2_100_000_001


@dataclass(slots=True)
class Machinery:
    """Where everything is, and the environment in which our processes see it."""

    environment: dict[str, str]
    redis_url: str
    folder: Path
    running: list["psutil.Process"] = field(default_factory=list)

    def manage(self, *words: str) -> None:
        """Run a management command to its end. Raises CalledProcessError."""
        subprocess.run([sys.executable, "manage.py", *words], cwd=BASE_DIR, env=self.environment, check=True)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database directly, beside our processes."""
        with connected(urlsplit(DATABASE_URL), with_name=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def mariadb(self) -> psutil.Process | None:
        """The database server's process, when it runs on this machine and we may read whose it is."""
        [(datadir, pid_file)] = self.query("SELECT @@datadir, @@pid_file")
        try:
            return psutil.Process(int((Path(datadir) / pid_file).read_text()))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None

    @contextlib.contextmanager
    def process(self, *words: object, module: bool = False, **settings: str) -> Iterator[psutil.Process]:
        """One of our processes (`manage.py …`, or `python -m …`) for the time of a `with`, with settings of its own."""
        command = [sys.executable, *(["-m"] if module else ["manage.py"]), *words]
        log = self.folder / f"{'-'.join(str(word) for word in words)[:60].replace('/', '_')}.log"
        with log.open("ab") as output:
            child = processes.start(command, log=output, environment=self.environment | settings, folder=BASE_DIR)
        found = psutil.Process(child.pid)
        self.running.append(found)
        try:
            yield found
        finally:
            self.running.remove(found)
            processes.stop(child)
            if child.returncode not in (0, -15, -2):
                print(f"{' '.join(map(str, words))} ended with {child.returncode}:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def machinery(**settings: str) -> Iterator[Machinery]:
    """A fresh database, an empty Redis, and the environment that names them; all gone at the end."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(embedded.temporary_folder())
        valkey = stack.enter_context(embedded.running(embedded.Valkey(folder / "valkey")))
        environment = {
            **os.environ,
            "ENV_FILE": os.devnull,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "HTTPS": "off",
            "DELIVERY_WINDOW": "off",
            "LOG_LEVEL": "WARNING",
            "DATABASE_URL": DATABASE_URL,
            "REDIS_URL": valkey.url,
            **settings,
        }
        stack.enter_context(fresh_database())
        machine = Machinery(environment, valkey.url, folder)
        machine.manage("migrate", "--verbosity", "0")
        yield machine


@contextlib.contextmanager
def fresh_database() -> Iterator[None]:
    """The benchmark's own database, empty. A database of this name is dropped."""
    create_database()
    try:
        yield
    finally:
        drop_database()


def create_database() -> None:
    """Empty; a database of this name is dropped."""
    drop_database()
    parts = urlsplit(DATABASE_URL)
    _mysql(parts, f"CREATE DATABASE `{parts.path.lstrip('/')}` COLLATE utf8mb4_bin")


def drop_database() -> None:
    parts = urlsplit(DATABASE_URL)
    name = parts.path.lstrip("/")
    if "bench" not in name:
        raise SystemExit(f"BENCH_DATABASE_URL names the database {name!r}, which would be dropped: put 'bench' in it.")
    _mysql(parts, f"DROP DATABASE IF EXISTS `{name}`")


def _mysql(parts: Any, statements: str) -> None:
    with connected(parts) as connection, connection.cursor() as cursor:
        for statement in statements.split(";"):
            cursor.execute(statement)


@contextlib.contextmanager
def connected(parts: Any, *, with_name: bool = False) -> Iterator[Any]:
    """A plain connection to the server of a `mysql://` URL."""
    named = {"database": parts.path.lstrip("/")} if with_name else {}
    connection = MySQLdb.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
        **named,
    )
    with contextlib.closing(connection):
        yield connection


def cpu_seconds(found: Sequence[psutil.Process]) -> float:
    """User and system time of the processes and their children so far."""
    total = 0.0
    for process in found:
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = member.cpu_times()
                total += times.user + times.system
    return total


def rss_megabytes(found: Sequence[psutil.Process]) -> float:
    """Resident memory of the processes and their children."""
    members = [member for process in found for member in [process, *process.children(recursive=True)]]
    return sum(member.memory_info().rss for member in members) / 2**20


def wait_until(condition: Any, *, seconds: float, every: float = 0.02, what: str = "it") -> float:
    """Poll `condition` until it is true; the time that took. Raises TimeoutError."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(every)
    return time.monotonic() - begun


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print `rows` as columns."""
    names = list(rows[0])
    cells = [[_shown(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    print(f"\n{title}")
    print("  ".join(name.rjust(width) for name, width in zip(names, widths, strict=True)))
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _shown(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:,.0f}"
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else str(value)
    )


def write(name: str, rows: Sequence[Mapping[str, Any]], **facts: Any) -> None:
    """Write the result as JSON under bench/results/."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    found = {"bench": name, "at": datetime.now(timezone.utc).isoformat(), "machine": machine, **facts, "rows": rows}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False, default=str) + "\n")
    print(f"\nwritten: bench/results/{path.name}")


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """`rows` as a table for a document."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def publish(path: Path, name: str, text: str) -> None:
    """Replace what stands between the document's markers of this name. Raises ValueError when it has none."""
    begin, end = f"<!-- bench {name} -->", f"<!-- end of bench {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _old, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{path.name} has no {begin} … {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
