"""Somebody else's database, attached under the alias that the settings would give it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DEFAULT_DB_ALIAS, connections

from higo_push import database_url
from pushes.people.sql_source import ALIAS


@contextmanager
def attached(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While it lasts, `url` is DIRECTORY_DATABASE_URL."""
    monkeypatch.setenv("DIRECTORY_DATABASE_URL", url)
    defaults = connections.settings[DEFAULT_DB_ALIAS]
    connections.settings[ALIAS] = {**defaults, **database_url.foreign_database("DIRECTORY_DATABASE_URL")}
    # Django's test case lets no connection be opened but to the databases that it made itself.
    connections[ALIAS].alias = DEFAULT_DB_ALIAS
    try:
        yield
    finally:
        connections[ALIAS].close()
        del connections[ALIAS], connections.settings[ALIAS]
