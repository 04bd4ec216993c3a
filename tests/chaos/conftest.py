"""The world that the chaos suite hurts. It lives as long as the suite's tests run, and costs nothing after."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from higo_push import embedded
from tests.chaos.databases import Database, MariaDb, MariaDbDatabase, SqliteDatabase, running_mariadb
from tests.chaos.world import World, running_world
from tests.needs import needs

NAME = f"higo_chaos_{os.getpid()}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suite comes last and in a row, in whatever order: with another test in between, its world is made anew."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


def is_mariadb_run() -> bool:
    return os.environ["DATABASE_URL"].startswith("mysql:")


@pytest.fixture(scope="package")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB server that may be killed."""
    needs("mariadbd")
    with embedded.temporary_folder() as folder, running_mariadb(folder / "mariadb") as server:
        yield server


@pytest.fixture(scope="package")
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """SQLite, or MariaDB where the whole run is on MariaDB: on a server of our own if there can be one."""
    if not is_mariadb_run():
        with embedded.temporary_folder() as folder:
            yield SqliteDatabase(folder / "chaos.sqlite3")
        return
    url = os.environ["DATABASE_URL"] if MariaDb.missing() else request.getfixturevalue("mariadb").url
    own = MariaDbDatabase(url, NAME)
    own.create()
    yield own
    own.drop()


@pytest.fixture(scope="package")
def world(database: Database) -> Iterator[World]:
    """The whole platform."""
    with embedded.temporary_folder() as folder, running_world(folder, database) as made:
        yield made


@pytest.fixture(scope="package")
def mariadb_world(request: pytest.FixtureRequest, mariadb: MariaDb) -> Iterator[World]:
    """A world on a MariaDB server that may be killed: the same one in a MariaDB run, else one of system pushes."""
    if is_mariadb_run():
        yield request.getfixturevalue("world")
        return
    own = MariaDbDatabase(mariadb.url, NAME)
    own.create()
    system = ("intake", "workers-system", "sweeper")
    with embedded.temporary_folder() as folder, running_world(folder, own, processes=system) as made:
        yield made


@pytest.fixture
def seed() -> int:
    """Decides the moments of harm. The random order's own seed decides it, so --randomly-seed repeats it."""
    return random.randrange(2**32)
