"""Fixtures that every part's tests share. See `environment` for the servers and the settings."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from django.db import connection
from django.utils import translation
from pymongo import MongoClient
from pymongo.database import Database
from pytest_django import Settings
from whitenoise.middleware import WhiteNoiseMiddleware

from chatscan import recalls
from higo_push.running import embedded
from tests import unclosed
from tests.environment import FOLDER, ends
from tests.jobs import run_all_jobs
from tests.redis_database import empty
from tests.sandbox_process import Sandbox, running_sandbox

DATABASE_FIXTURES = {"db", "transactional_db"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """SQLite's test database is a file, as in production: threads and child processes share it."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(FOLDER / "test.sqlite3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of the database as one: the others are refused it, which saves them a transaction and, on MariaDB,
    their run. A test with `transaction=True` ends by emptying every table: the next one gets the seeded rows back."""
    for item in items:
        mark = item.get_closest_marker("django_db")
        if mark is not None or DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            kwargs = {} if mark is None else mark.kwargs
            item.add_marker(pytest.mark.django_db(**{**kwargs, "serialized_rollback": True}), append=False)


@pytest.fixture(scope="session", autouse=True)
def forgotten_connections_are_reported() -> Iterator[None]:
    with unclosed.watched():
        yield


@pytest.fixture(scope="session", autouse=True)
def static_files_are_found_once() -> Iterator[None]:
    """Each new test client makes the middleware anew, and WhiteNoise would read every static file's name for it."""
    find, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def find_once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            find(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(autouse=True)
def settings_language() -> Iterator[None]:
    """A page that Django's test client was given in Chinese leaves its language to the thread, and to the next test."""
    yield
    translation.deactivate()


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[redis.Redis]:
    """The session's Redis database, emptied."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        empty(client)
        yield client


@pytest.fixture(scope="session")
def mongo_server_url() -> str:
    """A MongoDB replica set: the one at MONGO_URL, or an embedded one that starts now."""
    given = os.environ.get("MONGO_URL")
    return given or ends.enter_context(embedded.running(embedded.Mongod(FOLDER / "mongod"))).url


@pytest.fixture(scope="session")
def standalone_mongo() -> str:
    """The URL of a MongoDB server that is no replica set, and so has no change streams."""
    server = embedded.Mongod(FOLDER / "standalone", is_replica_set=False)
    return ends.enter_context(embedded.running(server)).url


@pytest.fixture
def mongo_db(mongo_server_url: str, settings: Settings) -> Iterator[Database[dict[str, Any]]]:
    """An empty database of its own, named by MONGO_URL while the test runs, and dropped after it."""
    name = f"higo_test_{uuid.uuid4().hex[:12]}"
    settings.MONGO_URL = urlunsplit(urlsplit(mongo_server_url)._replace(path=f"/{name}"))
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_server_url, tz_aware=True)
    with client:
        yield client[name]
        recalls.close()
        client.drop_database(name)


@pytest.fixture(scope="session")
def sandbox_process() -> Sandbox:
    """The sandbox provider, started once; use `sandbox`."""
    return ends.enter_context(running_sandbox())


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """A sandbox provider over real HTTP that has received nothing yet; `add_key` what the test uses."""
    sandbox_process.reset()
    sandbox_process.set_latency(0)
    return sandbox_process


@pytest.fixture
def run_jobs(redis_client: redis.Redis) -> Callable[..., int]:
    """`run_jobs()` runs every pending RQ job here, until none is left; see `run_all_jobs`.

    Jobs are enqueued after commit, so the test needs `django_db(transaction=True)` or
    `django_capture_on_commit_callbacks(execute=True)`.
    """
    return run_all_jobs


@pytest.fixture
def process_environment(transactional_db: None, settings: Settings) -> dict[str, str]:
    """The environment in which a child process sees this test's database, Redis and MongoDB."""
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return {**inherited, "DATABASE_URL": _test_database_url(), "MONGO_URL": settings.MONGO_URL}


def _test_database_url() -> str:
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
