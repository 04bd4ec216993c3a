"""Ways in which a Redis server that runs refuses, as real ones do, and how each of them ends.

`REFUSALS` has them by the word that the server says; each refuses at once and returns what ends it.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from higo_push.running.embedded import Valkey
from higo_push.running.processes import free_port

PASSWORD = "another-password"
Heal = Callable[[], object]


def _client(server: Valkey, **options: object) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=5, **options)  # type: ignore[arg-type]


def read_only(server: Valkey) -> Heal:
    """The primary has become a replica, as after a failover."""
    client = _client(server)
    client.replicaof("127.0.0.1", free_port())
    return lambda: client.replicaof("NO", "ONE")


def master_down(server: Valkey) -> Heal:
    """A replica that does not even answer reads while its primary is away."""
    client = _client(server)
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", free_port())

    def heal() -> None:
        client.replicaof("NO", "ONE")
        client.config_set("replica-serve-stale-data", "yes")

    return heal


def full(server: Valkey) -> Heal:
    client = _client(server)
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def no_permission(server: Valkey) -> Heal:
    """Its user may only read any more."""
    admin, client = "admin", _client(server)
    client.acl_setuser(admin, enabled=True, nopass=True, keys=["*"], categories=["+@all"])
    client.execute_command("ACL", "SETUSER", "default", "-@write")
    as_admin = _client(server, username=admin, password="x")
    return lambda: as_admin.execute_command("ACL", "SETUSER", "default", "+@all")


def password_changed(server: Valkey) -> Heal:
    client = _client(server)
    client.config_set("requirepass", PASSWORD)
    client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
    knows = _client(server, password=PASSWORD)
    return lambda: knows.config_set("requirepass", "")


def cannot_save(server: Valkey) -> Heal:
    """Its disk is gone: snapshots fail, and so it takes no writes."""
    client: Any = _client(server)
    shutil.rmtree(server.folder, ignore_errors=True)
    client.set("higo:test:unsaved", 1)  # before: the last snapshot may have failed already
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.config_set("save", "3600 1")
    with contextlib.suppress(redis.ResponseError):
        client.bgsave()
    _until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")

    def heal() -> None:
        server.folder.mkdir(exist_ok=True)
        client.config_set("stop-writes-on-bgsave-error", "no")
        client.config_set("save", "")

    return heal


def busy(server: Valkey) -> Heal:
    """Somebody's script does not end."""
    client = _client(server)
    client.config_set("busy-reply-threshold", 50)

    def script() -> None:
        with contextlib.suppress(redis.RedisError), _client(server) as own:
            own.eval("while true do end", 0)

    threading.Thread(target=script, daemon=True).start()
    time.sleep(0.3)
    return client.script_kill


def dead(server: Valkey) -> Heal:
    server.kill()
    return server.start


REFUSALS: dict[str, Callable[[Valkey], Heal]] = {
    "ReadOnlyError": read_only,
    "MasterDownError": master_down,
    "OutOfMemoryError": full,
    "NoPermissionError": no_permission,
    "AuthenticationError": password_changed,
    "MISCONF": cannot_save,
    "BUSY": busy,
    "ConnectionError": dead,
}


def _until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
