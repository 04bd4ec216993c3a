"""What is said of the servers' own settings, to the real servers that the tests run on."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import OperationalError, connection, connections
from redis import RedisError

from pushes.checks import (
    MIB,
    MIN_BUFFER_POOL,
    MIN_REDO_LOG,
    check_mariadb,
    check_redis,
    comparison,
    durability,
    sizes,
)
from pushes.storage import shared_redis
from tests.needs import needs

pytestmark = pytest.mark.mariadb


@pytest.fixture
def redis_policy() -> Iterator[Any]:
    """A function that sets the policy of the tests' own server."""
    client: Any = shared_redis.connection()
    former = client.config_get("maxmemory-policy")["maxmemory-policy"]
    yield lambda policy: client.config_set("maxmemory-policy", policy)
    client.config_set("maxmemory-policy", former)


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "latin1_swedish_ci"])
def test_a_database_that_takes_two_accounts_for_one_is_refused(collation: str):
    [error] = comparison(collation)
    assert (error.id, error.is_serious()) == ("pushes.E006", True)
    assert f"collation is {collation}" in error.msg
    assert "utf8mb4_bin" in str(error.hint)


def test_a_database_that_compares_bytes_is_not():
    assert comparison("utf8mb4_bin") == []


@pytest.mark.parametrize("written", [0, 2, 3])
def test_a_commit_that_may_be_lost_is_told(written: int):
    [warning] = durability({"innodb_flush_log_at_trx_commit": written})
    assert warning.id == "pushes.W001"
    assert f"innodb_flush_log_at_trx_commit is {written}" in warning.msg
    assert str(warning.hint).startswith("Set it to 1.")


def test_a_durable_commit_is_not():
    assert durability({"innodb_flush_log_at_trx_commit": 1}) == []


def test_small_memories_are_told_with_what_they_are_and_should_be():
    found = sizes(
        {"innodb_buffer_pool_size": 128 * MIB, "innodb_log_file_size": 96 * MIB, "max_allowed_packet": MIB // 2}
    )
    assert {warning.id for warning in found} == {"pushes.W002"}
    assert [warning.msg.partition(":")[0] for warning in found] == [
        "MariaDB's innodb_buffer_pool_size is 128 MiB",
        "MariaDB's innodb_log_file_size is 96 MiB",
        "MariaDB's max_allowed_packet is 0.5 MiB",
    ]
    assert [str(warning.hint).partition(". ")[0] for warning in found] == [
        "Set it to at least 512 MiB",
        "Set it to at least 256 MiB",
        "Set it to at least 1 MiB",
    ]


def test_memories_of_the_wanted_size_are_not():
    assert sizes({"innodb_buffer_pool_size": MIN_BUFFER_POOL, "innodb_log_file_size": MIN_REDO_LOG}) == []


@pytest.mark.django_db
def test_the_server_that_the_tests_use_is_read():
    needs("mariadb")
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@innodb_buffer_pool_size, @@innodb_log_file_size, @@innodb_flush_log_at_trx_commit")
        pool, log, written = cursor.fetchone()
    expected = (pool < MIN_BUFFER_POOL) + (log < MIN_REDO_LOG) + (written != 1)
    found = [message.id for message in run_checks(databases=["default"])]
    assert sum(one in ("pushes.W001", "pushes.W002") for one in found) == expected
    assert "pushes.E006" not in found


@pytest.mark.django_db
@pytest.mark.parametrize("databases", [None, [], ["directory"]])
def test_a_database_that_is_not_ours_is_not_asked(databases: list[str] | None):
    assert check_mariadb(databases=databases) == []


def test_a_database_that_is_away_is_no_matter_of_the_check(monkeypatch: pytest.MonkeyPatch):
    def away() -> None:
        raise OperationalError(2002, "Can't connect")

    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "vendor", "mysql")
        patch.setattr(connections["default"], "cursor", away)
        assert check_mariadb(databases=["default"]) == []


@pytest.mark.django_db
def test_a_redis_that_evicts_is_told(redis_policy: Any):
    redis_policy("allkeys-lru")
    [warning] = check_redis()
    assert (warning.id, "maxmemory-policy is allkeys-lru" in warning.msg) == ("pushes.W003", True)
    assert "pushes.W003" in {message.id for message in run_checks(databases=["default"])}


def test_a_redis_that_keeps_everything_is_not(redis_policy: Any):
    redis_policy("noeviction")
    assert check_redis() == []


def test_a_redis_that_is_away_is_no_matter_of_the_check(monkeypatch: pytest.MonkeyPatch):
    class Away:
        def info(self, _section: str) -> dict[str, str]:
            raise RedisError("away")

    monkeypatch.setattr(shared_redis, "connection", Away)
    assert check_redis() == []
