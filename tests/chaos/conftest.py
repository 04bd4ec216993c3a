"""The world that the chaos suite hurts. It lives as long as the suite's tests run, and costs nothing after."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from higo_push.running import embedded
from tests.chaos.databases import Database, MariaDb, MariaDbDatabase, SqliteDatabase, running_mariadb
from tests.chaos.dumb import DumbProxy, dumb_proxy
from tests.chaos.world import Clusters, World, running_world
from tests.clusters.hosts import loopback
from tests.clusters.replica_set import ReplicaSet
from tests.clusters.sentinel import Sentinels
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
    if MariaDb.missing():
        own = MariaDbDatabase(os.environ["DATABASE_URL"], NAME)
    else:
        server, proxy = request.getfixturevalue("mariadb"), request.getfixturevalue("mariadb_proxy")
        own = MariaDbDatabase(server.url, NAME, through=proxy.port)
    own.create()
    yield own
    own.drop()


@pytest.fixture(scope="package")
def world(database: Database) -> Iterator[World]:
    """The whole platform."""
    with embedded.temporary_folder() as folder, running_world(folder, database) as made:
        yield made


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """A Redis that Sentinels watch and a replica set of MongoDB, of three servers each."""
    needs("redis-sentinel")
    with embedded.temporary_folder() as folder, contextlib.ExitStack() as stack:
        sentinels, replica_set = Sentinels(folder / "redis", loopback(3)), ReplicaSet(folder / "mongo", loopback(3))
        stack.callback(sentinels.stop)
        sentinels.start()
        stack.callback(replica_set.stop)
        replica_set.start()
        yield Clusters(sentinels, replica_set)


@pytest.fixture(scope="module")
def cluster_world(clusters: Clusters) -> Iterator[World]:
    """The whole platform on those clusters, and on SQLite: the database is not what fails here."""
    with embedded.temporary_folder() as folder:
        database = SqliteDatabase(folder / "chaos.sqlite3")
        with running_world(folder, database, clusters=clusters) as made:
            yield made


@pytest.fixture(scope="package")
def mariadb_proxy(mariadb: MariaDb) -> Iterator[DumbProxy]:
    """What the platform reaches that server through."""
    with dumb_proxy(mariadb.port) as proxy:
        yield proxy


@pytest.fixture(scope="package")
def mariadb_world(request: pytest.FixtureRequest, mariadb: MariaDb, mariadb_proxy: DumbProxy) -> Iterator[World]:
    """A world on a MariaDB server that may be killed: the same one in a MariaDB run, else one of system pushes."""
    if is_mariadb_run():
        yield request.getfixturevalue("world")
        return
    own = MariaDbDatabase(mariadb.url, NAME, through=mariadb_proxy.port)
    own.create()
    system = ("intake", "workers-system", "sweeper")
    with embedded.temporary_folder() as folder, running_world(folder, own, processes=system) as made:
        yield made


@pytest.fixture
def seed() -> int:
    """Decides the moments of harm. The random order's own seed decides it, so --randomly-seed repeats it."""
    return random.randrange(2**32)
