"""The process set: what runs, in one table, for production (under supervisord) and for the demo."""

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from higo_push import env
from higo_push.env import BASE_DIR
from higo_push.running import web
from higo_push.web import patience
from pushes import lanes

#: Where supervisord keeps its control socket and pid file, and where the processes' logs go.
VAR = Path(env.text("RUN_FOLDER", str(BASE_DIR / "var")))
LOGS = Path(env.text("LOG_FOLDER", str(BASE_DIR / "logs")))
WEB = "web"
#: The number of the process that accepts requests: another one after a reload.
WEB_PID = VAR / "web.pid"
#: Unix sockets have a limit of 108 bytes, and supervisord makes a longer name beside it first.
SOCKET_PATH_LIMIT = 90
MAX_PROCESSES = 64
#: With a second more between any two of them, these are thousands of years.
MAX_RETRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Program:
    """One long-running process. `stop_seconds` is how long it may finish what it has begun."""

    name: str
    arguments: tuple[str, ...]
    stop_seconds: int = 15

    @property
    def command(self) -> list[str]:
        """The command line, by which the process ends when its supervisor is gone, even killed."""
        return [sys.executable, "-m", "higo_push.running.processes", sys.executable, *self.arguments]


def programs(listen: str = "") -> list[Program]:
    """Few processes that each serve several queues: the whole set stays small when idle. `listen` is the web
    server's address and port, WEB_LISTEN without it."""
    noted = () if listen else (f"{web.PID_FILE}{WEB_PID}",)
    return [
        Program(WEB, (*web_arguments(listen), *noted)),
        _manage("intake", "runintake"),
        _manage("scanner-group", "runscanner", "group"),
        _manage("scanner-private", "runscanner", "private"),
        *(_workers(lane, processes) for lane, processes in worker_processes().items()),
        _manage("sweeper", "runsweeper"),
    ]


def worker_processes() -> dict[str, int]:
    """How many worker processes each lane has on this machine."""
    return {
        lanes.SYSTEM: env.integer("WORKERS_SYSTEM", 1, least=1, most=MAX_PROCESSES),
        lanes.GROUP: env.integer("WORKERS_GROUP", 1, least=1, most=MAX_PROCESSES),
        lanes.PRIVATE: env.integer("WORKERS_PRIVATE", 1, least=1, most=MAX_PROCESSES),
        lanes.BROADCAST: env.integer("WORKERS_BROADCAST", 1, least=1, most=MAX_PROCESSES),
    }


def _workers(lane: str, processes: int) -> Program:
    more = ("--processes", str(processes)) if processes > 1 else ()
    return _manage(f"workers-{lane}", "runworkers", lane, *more, stop_seconds=60)


def _manage(name: str, *words: str, stop_seconds: int = 15) -> Program:
    return Program(name, (str(BASE_DIR / "manage.py"), *words), stop_seconds)


def web_arguments(listen: str = "") -> tuple[str, ...]:
    words = [f"--listen={listen or env.plain('WEB_LISTEN', '127.0.0.1:8800')}"]
    words.append(f"--threads={env.integer('WEB_THREADS', 8, least=1, most=256)}")
    if env.boolean("BEHIND_PROXY", False):
        # Waitress drops what an unknown sender says about the original request.
        words += [f"--trusted-proxy={env.text('TRUSTED_PROXY', '127.0.0.1')}"]
        words += ["--trusted-proxy-headers=x-forwarded-for x-forwarded-proto", "--trusted-proxy-count=1"]
    words += patience.limits(env.integer("WEB_CONNECTIONS", 1_000, least=50, most=10_000))
    return ("-m", "higo_push.running.web", *words, "higo_push.wsgi:application")


def socket_path() -> Path:
    """supervisord's control socket: in var/, or in the temporary folder where the path would be too long."""
    path = VAR / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"higo-push-{os.getuid()}-{crc32(os.fsencode(VAR)):08x}.sock"


def supervisor_config(table: Sequence[Program]) -> str:
    """supervisord's configuration. It holds no secrets: the processes read the environment themselves."""
    sections = [
        _section("unix_http_server", file=str(socket_path()), chmod="0700"),
        _section(
            "supervisord",
            logfile=str(LOGS / "supervisord.log"),
            logfile_maxbytes="10MB",
            logfile_backups="3",
            pidfile=str(VAR / "supervisord.pid"),
            childlogdir=str(LOGS),
            directory=str(BASE_DIR),
            umask="027",
        ),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        _section("supervisorctl", serverurl=f"unix://{socket_path()}"),
        *(_program_section(program) for program in table),
    ]
    return "\n".join(sections)


def _program_section(program: Program) -> str:
    return _section(
        f"program:{program.name}",
        command=shlex.join(program.command),
        directory=str(BASE_DIR),
        autorestart="true",
        # Imports take a second or two, so five seconds of life count as started; a process that dies sooner is
        # tried again, more and more slowly, and never given up: what was away may be back any time.
        startsecs="5",
        startretries=str(MAX_RETRIES),
        stopsignal="TERM",
        stopwaitsecs=str(program.stop_seconds),
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=str(LOGS / f"{program.name}.log"),
        stdout_logfile_maxbytes=f"{env.integer('LOG_MEGABYTES', 20, least=1)}MB",
        stdout_logfile_backups="5",
    )


def _section(name: str, **values: str) -> str:
    # supervisord expands %(…)s.
    lines = [f"{key}={value.replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])
