"""What a Redis URL says: `redis://…`, `rediss://…`, `unix://…`, or Sentinels and the name of a master that they watch,
`redis+sentinel://user:password@host:port,host:port/MASTER/DB`.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.connection import SSLConnection, parse_url

SENTINEL_PORT = 26379
_SUFFIX = "+sentinel"
#: What Sentinel takes for a master's name.
_MASTER = re.compile(r"[\w.-]+", re.ASCII)
#: Of the sentinels, which have users of their own.
_SENTINEL_OPTIONS = {"sentinel_username": "username", "sentinel_password": "password"}


class RedisUrl(NamedTuple):
    """`options` are those of a connection to the server; without `sentinels` they say where it is."""

    options: dict[str, Any]
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_options: dict[str, Any] = {}


def parse(url: str) -> RedisUrl:
    """Raises ValueError, which says what is wrong and shows no password."""
    scheme, _, rest = url.partition("://")
    if not scheme.lower().endswith(_SUFFIX):
        return RedisUrl(_options(url))
    authority, path, query = re.fullmatch(r"([^/?]*)/?([^?]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    login, at, hosts = authority.rpartition("@")
    master, _, database = path.partition("/")
    if not _MASTER.fullmatch(master):
        raise ValueError(
            f"after the sentinels comes the name of the master, such as /higo/0, and not {master!r}"
            if master
            else "after the sentinels the name of the master is missing, such as /higo/0"
        )
    options = _options(f"{scheme.lower().removesuffix(_SUFFIX)}://{login}{at}sentinel/{database}{query}")
    del options["host"]
    own = {name: options.pop(word) for word, name in _SENTINEL_OPTIONS.items() if word in options}
    if options.get("connection_class") is SSLConnection:
        own |= {"ssl": True} | {name: value for name, value in options.items() if name.startswith("ssl_")}
    return RedisUrl(options, tuple(map(_address, hosts.split(","))), master, own)


def _options(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path, re.ASCII):
        raise ValueError(f"the database is a number, such as 0, and not {parts.path.removeprefix('/')!r}")
    options: dict[str, Any] = parse_url(url)
    return options


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("the list of sentinels has an empty place")
    return parts.hostname, parts.port or SENTINEL_PORT
