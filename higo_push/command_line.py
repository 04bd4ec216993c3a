"""Run `manage.py`; when the settings or a service cannot be used, print one line, not a traceback."""

import sys
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError, ProgrammingError
from redis import exceptions as redis_errors

from higo_push import env

#: SQLite's and MariaDB's errors for a missing table or column.
NOT_MIGRATED = ("no such table", "no such column", "(1146,", "(1054,")
#: Their errors for a missing database, or refused access.
NO_DATABASE = (
    "unable to open database",
    *(f"({code}," for code in (1044, 1045, 1049, 2002, 2003, 2005, 2006, 2013)),
)

#: Commands that run as long as the platform does, and must never wait long for one answer.
SERVICES = frozenset({"runintake", "runscanner", "runsandbox", "runserver", "runsweeper", "runworkers"})


def run(arguments: Sequence[str]) -> None:
    """Run the management command; exit with status 1 and an explanation when it cannot run."""
    try:
        env.Process.is_command = not SERVICES.intersection(arguments[1:2])
        execute_from_command_line(list(arguments))
    except Exception as error:
        explained = explanation(error)
        if explained is None or "--traceback" in arguments:
            raise
        sys.exit(f"{arguments[0]}: {explained}")


def explanation(error: Exception) -> str | None:
    """Return an explanation for the user of a command that ended in `error`; None when the error is a bug."""
    if isinstance(error, ImproperlyConfigured):
        return f"{error}"
    if isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)):
        return f"Redis cannot be used: {error}. Check REDIS_URL, and that the server is running."
    if not isinstance(error, (OperationalError, ProgrammingError, InterfaceError)):
        return None
    text = str(error)
    if any(mark in text for mark in NOT_MIGRATED):
        return f"the database has no such table or column: {text}. Apply the migrations with: manage.py migrate"
    if any(mark in text for mark in NO_DATABASE):
        return f"the database cannot be used: {text}. Check DATABASE_URL, and that the server is running."
    return None
