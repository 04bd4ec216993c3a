"""System checks: settings whose faults would otherwise show only when the first push is distributed, and the servers'
settings that a guarantee rests on, or whose defaults cost the most.

`deploy/mariadb.cnf` has the values that we run and measure with. These checks ignore a server that does not answer: the
code that needs it reports that.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError, connections
from redis import AuthenticationError, RedisError, ResponseError
from redis.exceptions import NoPermissionError

from pushes.providers import hosts
from pushes.storage import bulk, shared_redis

#: Up to three calls may follow each other within a lease: a list, its tokens one by one, and writing the outcomes.
CALLS_PER_LEASE = 3
MIB = 2**20
MIN_BUFFER_POOL, MIN_REDO_LOG = 512 * MIB, 256 * MIB
#: Twice the largest statement that we make, because a client counts the escaped text.
MIN_PACKET = 2 * bulk.MAX_STATEMENT_BYTES
HINT = "See deploy/mariadb.cnf."
ANSWER_SECONDS = 3
#: A queue that does not exist.
NO_QUEUE = "rq:queue:higo-nobody"


def check_directory(**_kwargs: Any) -> list[CheckMessage]:
    """Check the DIRECTORY setting, and the directory's own settings by its `check()`, if it has one."""
    # Not at the top: this module is imported before the models are.
    directories = import_module("pushes.people.directory")
    try:
        chosen = directories.chosen()
    except ImportError as error:
        text = f"DIRECTORY={settings.DIRECTORY!r} cannot be imported: {error}."
        return [Error(text, id="pushes.E001")]
    found: list[CheckMessage] = []
    if new_path := directories.FORMER_PATHS.get(settings.DIRECTORY):
        text = f"DIRECTORY={settings.DIRECTORY!r} has moved: the next release accepts only its new path."
        found.append(Warning(text, hint=f"Set DIRECTORY={new_path}.", id="pushes.W011"))
    problems = chosen.check() if hasattr(chosen, "check") else []
    return found + [Error(f"{problem}.", hint="See docs/directory.md.", id="pushes.E002") for problem in problems]


def check_lease(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a claim outlives its calls, or the sweeper would requeue pushes during their calls."""
    lease, call = settings.LEASE_SECONDS, settings.CALL_TIMEOUT_SECONDS
    if lease >= CALLS_PER_LEASE * call:
        return []
    text = f"LEASE_SECONDS={lease!r} is too short for CALL_TIMEOUT_SECONDS={call!r}: pushes could be sent twice."
    return [Error(text, hint=f"Make it at least {CALLS_PER_LEASE * call:g}.", id="pushes.E005")]


def check_endpoints(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Find app keys whose endpoint this machine may not call: their pushes wait."""
    if "default" not in (databases or ()):
        return []
    try:
        keys = apps.get_model("pushes", "AppKey")._default_manager.exclude(endpoint_url="")
        faults = {str(key): hosts.fault(key.endpoint_url) for key in keys}
    except DatabaseError:  # no table yet
        return []
    return [
        Warning(
            f"The app key {key} cannot send: {fault}", hint="See PROVIDER_HOSTS in docs/settings.md.", id="pushes.W010"
        )
        for key, fault in faults.items()
        if fault
    ]


def check_mariadb(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Check the MariaDB (or MySQL) server of the default database, if that is among `databases`."""
    if "default" not in (databases or ()) or connections["default"].vendor != "mysql":
        return []
    names = ("innodb_buffer_pool_size", "innodb_log_file_size", "innodb_flush_log_at_trx_commit", "max_allowed_packet")
    listed = ", ".join(f"'{name}'" for name in names)
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
            found = {str(name): int(value) for name, value in cursor.fetchall()}
            cursor.execute("SELECT @@collation_database")
            [collation] = cursor.fetchone()
    except DatabaseError:
        return []
    return [*comparison(collation), *durability(found), *sizes(found)]


def comparison(collation: str) -> list[CheckMessage]:
    """Check the collation: under another one `u1` and `U1` would be the same account, and share pushes."""
    if collation.endswith("_bin"):
        return []
    text = f"The database's collation is {collation}: ids and tokens that differ only in case would be equal."
    hint = "Create it with deploy/database.sql; or, while it has no tables, ALTER DATABASE name COLLATE utf8mb4_bin."
    return [Error(text, hint=hint, id="pushes.E006")]


def durability(found: Mapping[str, int]) -> list[CheckMessage]:
    written = found.get("innodb_flush_log_at_trx_commit", 1)
    if written == 1:
        return []
    text = f"MariaDB's innodb_flush_log_at_trx_commit is {written}: a crash may lose a second of accepted pushes."
    return [Warning(text, hint=f"Set it to 1. {HINT}", id="pushes.W001")]


def sizes(found: Mapping[str, int]) -> list[CheckMessage]:
    wanted = {
        "innodb_buffer_pool_size": (
            MIN_BUFFER_POOL,
            "with a large delivery log, the same pages are read from disk again and again",
        ),
        "innodb_log_file_size": (MIN_REDO_LOG, "under load, MariaDB is busy flushing pages"),
        "max_allowed_packet": (MIN_PACKET, "a batch of pushes with long texts is refused"),
    }
    return [
        Warning(
            f"MariaDB's {name} is {found[name] / MIB:g} MiB: {consequence}.",
            hint=f"Set it to at least {least // MIB} MiB. {HINT}",
            id="pushes.W002",
        )
        for name, (least, consequence) in wanted.items()
        if found.get(name, least) < least
    ]


def check_redis(**_kwargs: Any) -> list[CheckMessage]:
    """Check that Redis does not evict keys when it is full: it would discard the producers' messages."""
    client: Any = shared_redis.connection()
    try:
        policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except RedisError:
        return []
    if policy == "noeviction":
        return []
    text = f"Redis's maxmemory-policy is {policy}: when its memory is full, it discards waiting messages."
    return [Warning(text, hint="Set it to noeviction.", id="pushes.W003")]


def check_redis_replicas(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a master behind Sentinel takes no writes without a replica: once it is cut off it may be a former one,
    and what it took would be discarded."""
    client: Any = shared_redis.connection()
    if not shared_redis.is_watched(client):
        return []
    try:
        facts = client.info("replication")
    except RedisError:
        return []
    if "min_slaves_good_slaves" in facts:
        return []
    text = (
        "Redis's min-replicas-to-write is 0: a master that is cut off from its replicas takes messages that are lost."
    )
    return [Warning(text, hint="See deploy/redis-replicas.conf.", id="pushes.W013")]


def check_redis_users(**_kwargs: Any) -> list[CheckMessage]:
    """Find a Redis that other machines can reach, and that lets anyone write into the queues."""
    url = str(settings.REDIS_URL)
    if not url or is_of_this_machine(url) or not takes_anybody(url):
        return []
    text = "Redis can be reached from other machines and needs no password: anyone who reaches it can send pushes"
    text += " and block all work."
    hint = "Give the platform and the producers their own users: see deploy/redis-users.acl and docs/operations.md."
    return [Warning(text, hint=hint, id="pushes.W012")]


def is_of_this_machine(url: str) -> bool:
    """Whether only this machine can reach the server: through a unix socket or a loopback address."""
    try:
        host = shared_redis.host(url)
        return host in ("", "localhost") or ipaddress.ip_address(host).is_loopback
    except (ValueError, RedisError):
        return False


def takes_anybody(url: str) -> bool:
    """Whether a client without name and password may write into the queues: it appends to a missing queue, which does
    nothing. False also when the server does not answer."""
    bounds = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    with shared_redis.connect(url, username=None, password=None, **bounds) as client:
        try:
            client.rpushx(NO_QUEUE, "x")
        except (AuthenticationError, NoPermissionError):
            return False
        except ResponseError:
            return True  # refused for another reason, such as a full memory: access itself is open
        except RedisError:
            return False
    return True
