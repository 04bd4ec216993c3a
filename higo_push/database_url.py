"""Django's connection settings from a URL: SQLite, a MariaDB server, or the nodes of a cluster."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from higo_push import env

MARIADB_PORT = 3_306
#: A session whose client has silently gone keeps its locks until the server ends it: MariaDB does so after this time
#: between two statements of a transaction, MySQL cannot.
_REST = " /*M!100300 , idle_transaction_timeout={seconds} */"
MIN_REST_SECONDS = 5


class Waits(NamedTuple):
    """How many seconds the platform waits for MariaDB: to connect, for one answer, for another session's lock; and how
    long a management command waits for one answer."""

    connect: int
    answer: int
    lock: int
    command_answer: int


def database(name: str, default: str, waits: Waits) -> dict[str, object]:
    """Return Django's connection settings for `sqlite:///path` or `mysql://user:password@host:port/name`, which may
    have several `host:port` with commas between them: the nodes of a cluster, the preferred one first."""
    value, nodes = _nodes(name, default)
    config: dict[str, object] = dict(environ.Env.db_url_config(value))
    config["CONN_MAX_AGE"] = None
    config["CONN_HEALTH_CHECKS"] = True
    if urlsplit(value).scheme == "sqlite":
        config["OPTIONS"] = {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        return config
    config["ENGINE"] = "higo_push.mariadb"
    answer = waits.command_answer if env.Process.is_command else waits.answer
    config["OPTIONS"] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "init_command": "SET sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', "
        f"innodb_lock_wait_timeout={waits.lock}, lock_wait_timeout={waits.lock}"
        f"{'' if env.Process.is_command else _REST.format(seconds=max(answer, MIN_REST_SECONDS))}",
        "connect_timeout": waits.connect,
        "read_timeout": answer,
        "write_timeout": answer,
        "nodes": nodes,
    }
    config["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}
    return config


def _nodes(name: str, default: str) -> tuple[str, list[tuple[str, int]]]:
    """Return the URL with its first host alone, and all hosts with their ports if there are several."""
    value = env.plain(name, default)
    scheme, _, rest = value.partition("://")
    end = min((place for mark in "/?#" if (place := rest.find(mark)) >= 0), default=len(rest))
    user, at, hosts = rest[:end].rpartition("@")
    if scheme.lower() != "mysql" or "," not in hosts:
        return env.url(name, default, ("sqlite", "mysql")), []
    if "" in hosts.split(","):
        raise ImproperlyConfigured(f"{name} cannot be used: a host is missing between the commas of {hosts!r}.")
    nodes = [_node(name, f"{scheme}://{user}{at}{host}{rest[end:]}") for host in hosts.split(",")]
    if len(set(nodes)) < len(nodes):
        raise ImproperlyConfigured(f"{name} cannot be used: it names a host twice in {hosts!r}.")
    return f"{scheme}://{user}{at}{hosts.partition(',')[0]}{rest[end:]}", nodes


def _node(name: str, value: str) -> tuple[str, int]:
    config = environ.Env.db_url_config(env.checked(name, value, ("mysql",)))
    return str(config["HOST"]), int(config["PORT"] or MARIADB_PORT)


def foreign_database(name: str) -> dict[str, object]:
    """Return connection settings for a foreign database: opened read-only, never changed, and with shorter time-outs
    than our own."""
    value = env.url(name, "", ("sqlite", "mysql"))
    config: dict[str, object] = dict(environ.Env.db_url_config(value))
    config["CONN_MAX_AGE"] = None
    config["CONN_HEALTH_CHECKS"] = True
    if urlsplit(value).scheme == "sqlite":
        # mode=ro also prevents that a missing file is created.
        config["NAME"] = f"{Path(str(config['NAME'])).resolve().as_uri()}?mode=ro"
        config["OPTIONS"] = {"timeout": 5}
        return config
    config["OPTIONS"] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "init_command": "SET SESSION TRANSACTION READ ONLY",
        "connect_timeout": 5,
        "read_timeout": 15,
        "write_timeout": 15,
    }
    return config
