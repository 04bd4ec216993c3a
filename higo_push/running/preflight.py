"""What must be true before the production processes start, each failure with what to do about it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import django
import redis
from django.core.checks import ERROR, WARNING, CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.utils.module_loading import import_string
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from higo_push import env
from higo_push.env import BASE_DIR
from higo_push.running import programs
from pushes.storage import shared_redis

REQUIRED = {
    "DATABASE_URL": "mysql://user:password@host:3306/higo_push?…, or sqlite:////path/to/file if you do want SQLite",
    "REDIS_URL": "redis://host:6379/0",
    "MONGO_URL": "mongodb://host:27017/higo",
}
ANSWER_SECONDS = 5
MAX_PORT = 65_535
#: As in `pushes.workers.queues`, which needs Django.
WRITTEN_KEY = "higo:written"
OUR_CHECKS = ("pushes.", "chatscan.")


def problems() -> Iterator[str]:
    """Each thing that is wrong. What depends on an earlier one is not asked when that one failed."""
    unset = [f"{name} is not set (in the environment or in .env), e.g. {hint}" for name, hint in missing().items()]
    if unset:
        yield from unset
        return
    if wrong := settings_problem():
        yield wrong
        return
    asked = (listen_problem, process_problem, database_problem, redis_problem, mongo_problem)
    unusable = [text for ask in asked if (text := ask())]
    yield from unusable
    if not unusable:
        yield from manage_problems()


def settings_problem() -> str:
    """Why the settings cannot be used, in a line; "" when they can, or when some are not set at all."""
    if missing():
        return ""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "higo_push.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        return str(error)
    return ""


def missing() -> dict[str, str]:
    """The required variables that are not set."""
    return {name: hint for name, hint in REQUIRED.items() if not env.plain(name)}


def listen_problem() -> str | None:
    """An address that the web server would refuse, again and again, only after everything else runs."""
    value = env.plain("WEB_LISTEN", "127.0.0.1:8800")
    for address in value.split():
        host, _, port = address.rpartition(":")
        if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
            return f"WEB_LISTEN={value!r} cannot be used: write HOST:PORT, e.g. 127.0.0.1:8800"
    return None


def process_problem() -> str | None:
    """A setting of the process set itself, such as a number of threads, that cannot be used."""
    try:
        programs.supervisor_config(programs.programs())
    except ImproperlyConfigured as error:
        return str(error)
    return None


def database_problem() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"the database at {where('DATABASE_URL')} cannot be used: {error}"
    return None


def redis_problem() -> str | None:
    def ask() -> None:
        with shared_redis.connect(env.plain("REDIS_URL"), socket_timeout=ANSWER_SECONDS) as client:
            # One that answers may still take nothing, and then all work would stand still.
            client.set(WRITTEN_KEY, b"1", ex=60)

    return _problem_of("REDIS_URL", "Redis", ask, (redis.RedisError, OSError, ValueError))


def mongo_problem() -> str | None:
    def ask() -> None:
        url = env.plain("MONGO_URL")
        bound = ANSWER_SECONDS * 1_000
        client: MongoClient[dict[str, object]] = MongoClient(
            url, serverSelectionTimeoutMS=bound, connectTimeoutMS=bound, socketTimeoutMS=bound
        )
        with client:
            client.admin.command("ping")

    return _problem_of("MONGO_URL", "MongoDB", ask, (PyMongoError, ValueError))


def manage_problems() -> Iterator[str]:
    """Django's own checks for production, and migrations that are still to be applied."""
    errors = [message for message in _checked() if message.level >= ERROR]
    if errors:
        yield "\n".join(["manage.py check --deploy found errors:", *map(str, errors)])
        return
    if _manage("migrate", "--check").returncode != 0:
        yield "migrations are not applied; run: .venv/bin/python manage.py migrate"


def advice() -> list[str]:
    """What had better be otherwise, but keeps nothing from starting: our own checks' warnings, because Django's are
    answered by HTTPS=off. To be asked when there are no `problems`."""
    ours = [message for message in _checked() if message.level == WARNING and str(message.id).startswith(OUR_CHECKS)]
    return [" ".join(filter(None, (message.msg, message.hint, f"({message.id})"))) for message in ours]


def _checked() -> list[CheckMessage]:
    """What `manage.py check --deploy --database default` says, without what has been silenced."""
    found = run_checks(include_deployment_checks=True, databases=["default"])
    return [message for message in found if not message.is_silenced()]


def clock_warnings() -> list[str]:
    """What is no reason not to start: clocks that differ. Nothing while the settings or the servers say nothing."""
    if missing() or settings_problem():
        return []
    # By its path: it reads the settings when it is imported.
    found: dict[str, str] = import_string("pushes.storage.clocks.problems")()
    return list(found.values())


def where(variable: str) -> str:
    """Host, port and name of the URL in `variable`, without the password that it may hold."""
    parts = urlsplit(env.plain(variable))
    host = parts.netloc.rpartition("@")[2]
    return f"{variable} ({parts.scheme}://{host}{parts.path})"


def _problem_of(variable: str, name: str, ask: Callable[[], None], errors: tuple[type[Exception], ...]) -> str | None:
    try:
        ask()
    except errors as error:
        # What follows is the driver's whole view of the servers.
        said = str(error).partition(", Topology Description")[0]
        return f"{name} at {where(variable)} does not answer: {said}"
    return None


def _manage(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BASE_DIR / "manage.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=BASE_DIR)
