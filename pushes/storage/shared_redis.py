"""The Redis clients of the platform: every one is made here, with time-outs, and knows Sentinels."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import BaseCache
from redis import ConnectionPool, Redis, RedisError
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool

from pushes.storage import redis_url, sentinels

#: Seconds, as redis-py names them. A URL may have others.
BOUNDS = {"socket_timeout": 5.0, "socket_connect_timeout": 3.0}
#: Options that name a file.
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
DEFAULT_URL = "redis://127.0.0.1:6379/0"


def connect(address: str, **options: Any) -> Redis:
    """Return a new client with a pool of its own, which has not connected yet. `options` are redis-py's for
    connections and take precedence over the URL's. Raises ValueError for an invalid URL."""
    asked = redis_url.parse(address)
    options = BOUNDS | asked.options | options
    if not asked.sentinels:
        return Redis.from_pool(ConnectionPool(**options))
    by_tls = options.pop("connection_class", None) is SSLConnection
    watchers = sentinels.Watchers(asked.sentinels, sentinel_kwargs=sentinels.BOUNDS | asked.sentinel_options)
    return Redis.from_pool(sentinels.pool(watchers, asked.master, by_tls=by_tls, **options))


def fault(address: str) -> str:
    """Say what is wrong with the URL, without a password; "" if nothing."""
    try:
        with connect(address) as made:
            made.connection_pool.make_connection()
            options = made.connection_pool.connection_kwargs
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        return f"it has an unknown option: {unknown[1]}" if unknown else str(error)
    except (ValueError, RedisError) as error:
        return str(error)
    missing = [f"{name}={options[name]!r}" for name in FILES if name in options and not Path(options[name]).is_file()]
    return f"{missing[0]} is not the path of a file" if missing else ""


def is_watched(made: Redis) -> bool:
    """Whether sentinels say which server the client speaks to."""
    return isinstance(made.connection_pool, SentinelConnectionPool)


def host(address: str) -> str:
    """Return the host of the server, which sentinels are asked for; "" for a unix socket. Raises redis.RedisError."""
    with connect(address) as made:
        if is_watched(made):
            return str(made.connection_pool.get_master_address()[0])
        options = made.connection_pool.connection_kwargs
        return "" if "path" in options else str(options.get("host", "localhost"))


@lru_cache(maxsize=4)
def client(address: str) -> Redis:
    return connect(address)


def url() -> str:
    """Return the URL of the platform's Redis."""
    return settings.REDIS_URL or DEFAULT_URL


def connection() -> Redis:
    """Return the process's Redis client for short commands. Every command may raise `redis.RedisError`."""
    return client(url())


class QueueConnection(BaseCache):
    """What django-rq's pages get their connection from (`USE_REDIS_CACHE`). It caches nothing."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get_master_client(self) -> Redis:
        return connection()
