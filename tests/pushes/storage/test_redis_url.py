"""What REDIS_URL may say, and what is said of one that is wrong."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from redis import Redis
from redis.connection import UnixDomainSocketConnection
from redis.sentinel import SentinelManagedSSLConnection

from higo_push import env
from pushes.storage import redis_url, shared_redis

PASSWORD = "s3cr3t-part"


def options(client: Redis) -> dict[str, Any]:
    return client.connection_pool.connection_kwargs


def watchers(client: Redis) -> list[Redis]:
    pool: Any = client.connection_pool
    return list(pool.sentinel_manager.sentinels)


@pytest.mark.parametrize("url", ["redis://h:6379/0", "unix:///run/redis.sock?db=2", "redis+sentinel://a:1,b:2/higo/0"])
def test_every_client_has_bounds(url: str):
    made = options(shared_redis.connect(url))
    assert (made["socket_timeout"], made["socket_connect_timeout"]) == (5, 3)


def test_an_url_has_its_own_bounds_and_a_caller_the_last_word():
    url = "rediss://u:p@h/1?socket_timeout=9"
    assert options(shared_redis.connect(url))["socket_timeout"] == 9
    assert options(shared_redis.connect(url, socket_timeout=2))["socket_timeout"] == 2


def test_a_socket_has_its_path():
    client = shared_redis.connect("unix://:pw@/run/r.sock?db=1")
    assert client.connection_pool.connection_class is UnixDomainSocketConnection
    assert {name: options(client)[name] for name in ("path", "db", "password")} == {
        "path": "/run/r.sock",
        "db": 1,
        "password": "pw",
    }


def test_sentinels_are_asked_for_the_master():
    url = "redis+sentinel://higo_push:p%40ss@10.0.0.1:5000,redis-2,[fd00::3]:5001/shop/2?sentinel_password=w%2Fw"
    found = redis_url.parse(url)
    assert found.sentinels == (("10.0.0.1", 5000), ("redis-2", 26379), ("fd00::3", 5001))
    assert (found.master, found.sentinel_options) == ("shop", {"password": "w/w"})
    client = shared_redis.connect(url)
    login = {"username": "higo_push", "password": "p@ss", "db": 2}
    assert options(client) | login == options(client)
    [first, *_] = watchers(client)
    asked = options(first)
    assert (asked["host"], asked["password"], asked["username"]) == ("10.0.0.1", "w/w", None)
    assert (asked["socket_timeout"], asked["socket_connect_timeout"]) == (1, 1)


def test_by_tls_the_sentinels_are_asked_by_tls_as_well(tmp_path: Path):
    authority = tmp_path / "ca.pem"
    authority.touch()
    client = shared_redis.connect(f"rediss+sentinel://a,b/higo?ssl_ca_certs={authority}")
    assert issubclass(client.connection_pool.connection_class, SentinelManagedSSLConnection)
    for known in (client, *watchers(client)):
        connection: Any = known.connection_pool.make_connection()
        assert connection.ca_certs == str(authority)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("redis+sentinel://:{}@a:1,b:2", "the name of the master is missing, such as /higo/0"),
        ("redis+sentinel://:{}@a:1/", "the name of the master is missing, such as /higo/0"),
        ("redis+sentinel://:{}@a:1/a%20b/0", "and not 'a%20b'"),
        ("redis+sentinel://:{}@a:1/higo/one", "the database is a number, such as 0, and not 'one'"),
        ("redis+sentinel://:{}@a:1/higo/0?colour=red", "an unknown option: colour"),
        ("rediss+sentinel://:{}@a:1/higo?ssl_ca_certs=/no/such.pem", "ssl_ca_certs='/no/such.pem' is not the path"),
        ("redis+sentinel://:{}@a:port/higo", "it is not a URL"),
        ("redis+sentinel://:{}@a,,b/higo", "it is not a URL"),
        ("redis+sentinel://", "it is not a URL"),
        ("redis://:{}@h/one", "the database is a number, such as 0, and not 'one'"),
        ("redis://:{}@h?colour=red", "an unknown option: colour"),
        ("redis://:{}@h?socket_timeout=soon", "'socket_timeout'"),
        ("rediss://:{}@h?ssl_cert_reqs=perhaps", "perhaps"),
        ("sentinel://:{}@h/higo", "or redis+sentinel:// or rediss+sentinel://"),
    ],
)
def test_what_is_wrong_is_told_with_the_setting_and_without_the_password(
    url: str, wrong: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REDIS_URL", url.format(PASSWORD))
    with pytest.raises(ImproperlyConfigured) as caught:
        env.url("REDIS_URL", "", env.REDIS_SCHEMES, shared_redis.fault)
    said = str(caught.value)
    assert said.startswith("REDIS_URL cannot be used: ")
    assert wrong in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost", "redis://:pw@[::1]:6379/0", "rediss://u:p@h:6380/", "unix:///run/r.sock?db=1"),
        *("redis+sentinel://a:1,b:2,c:3/higo/0", "redis+sentinel://u:p@10.0.0.1/my-master.2", "redis:///0"),
    ],
)
def test_what_is_right_is_taken_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", url)
    assert env.url("REDIS_URL", "", env.REDIS_SCHEMES, shared_redis.fault) == url
