"""Probe a database over a separate, short-lived connection with short time-outs, independently of the process's other
connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


@contextmanager
def cursor(alias: str = DEFAULT_DB_ALIAS, *, seconds: int) -> Iterator[Any]:
    """Open a cursor. Connecting and each answer may take `seconds`. Raises django.db.Error."""
    connection: BaseDatabaseWrapper = connections[alias].copy()
    if connection.vendor == "mysql":
        bounds = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
        connection.settings_dict["OPTIONS"].update(bounds)
    try:
        with connection.cursor() as made:
            yield made
    finally:
        connection.close()


def ask(alias: str = DEFAULT_DB_ALIAS, *, seconds: int) -> None:
    """Ask the database for any answer. Raises django.db.Error when it does not answer."""
    with cursor(alias, seconds=seconds) as made:
        made.execute("SELECT 1")
        made.fetchone()
