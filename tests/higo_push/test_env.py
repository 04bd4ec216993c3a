"""Somebody else's database, as the settings describe it."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from redis import Redis

from higo_push import env
from tests.foreign import attached

VARIABLE = "DIRECTORY_DATABASE_URL"


@pytest.mark.django_db(transaction=True)
def test_it_is_read_and_never_written(process_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Our own test database stands for it, on whichever server the tests run."""
    with attached(process_environment["DATABASE_URL"], monkeypatch), connections["directory"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pushes_device")
        assert cursor.fetchone() == (0,)
        with pytest.raises(DatabaseError, match=r"(?i)read.?only"):
            cursor.execute("DELETE FROM pushes_device")


def test_a_file_is_opened_by_its_whole_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/a b.sqlite3")
    assert env.foreign_database(VARIABLE)["NAME"] == f"file://{tmp_path}/a%20b.sqlite3?mode=ro"


def test_a_server_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "mysql://reader:secret@10.0.0.5:3306/higo")
    config = env.foreign_database(VARIABLE)
    options = config["OPTIONS"]
    assert isinstance(options, dict)
    assert (config["HOST"], config["NAME"], config["USER"]) == ("10.0.0.5", "higo", "reader")
    assert (options["connect_timeout"], options["read_timeout"]) == (5, 15)


def test_another_kind_of_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "postgres://reader:secret@10.0.0.5/higo")
    with pytest.raises(ImproperlyConfigured, match=r"DIRECTORY_DATABASE_URL='postgres:…'") as caught:
        env.foreign_database(VARIABLE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "bounded"),
    [
        ("redis://h:6379/0", "redis://h:6379/0?socket_timeout=5&socket_connect_timeout=3"),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock?socket_timeout=5&socket_connect_timeout=3&db=2"),
        ("rediss://u:p@h/1?socket_timeout=9", "rediss://u:p@h/1?socket_timeout=9&socket_connect_timeout=3"),
    ],
)
def test_every_redis_client_has_bounds(url: str, bounded: str):
    assert env.with_redis_bounds(url) == bounded
    kwargs = Redis.from_url(bounded).connection_pool.connection_kwargs
    assert kwargs["socket_timeout"] in (5, 9)
    assert kwargs["socket_connect_timeout"] == 3


@pytest.mark.parametrize("is_command", [False, True])
def test_a_service_never_waits_long_and_a_command_may(monkeypatch: pytest.MonkeyPatch, is_command: bool):
    monkeypatch.setenv("DATABASE_URL", "mysql://u@h/d")
    monkeypatch.setattr(env.Process, "is_command", is_command)
    options: Any = env.database("DATABASE_URL", "", env.Waits(5, 20, 8, 7_200))["OPTIONS"]
    assert (options["connect_timeout"], options["read_timeout"]) == (5, 7_200 if is_command else 20)
    assert options["write_timeout"] == options["read_timeout"]
    assert "innodb_lock_wait_timeout=8, lock_wait_timeout=8" in options["init_command"]
    assert ("idle_transaction_timeout=30" in options["init_command"]) is not is_command
