"""Redis with replicas and Sentinels, as Debian packages them: what `REDIS_URL=redis+sentinel://…` is for."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import redis
from redis.sentinel import Sentinel

from tests.clusters.hosts import Host
from tests.clusters.member import Installed

MASTER = "higo"
QUORUM = 2
DOWN_AFTER_MILLISECONDS = 1_000
FAILOVER_MILLISECONDS = 3_000
READY_SECONDS = 60.0
STEP_SECONDS = 0.05


class RedisMember(Installed):
    """A Redis that keeps its data, and the role that a sentinel gave it: its configuration file is rewritten then."""

    name, variable = "Redis", "REDIS_URL"
    distribution, executable = "redis-server", "redis-server"
    #: redis-py's options for who may ask it anything.
    login: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path, host: Host, more: Sequence[str] = ()) -> None:
        """`more` are further lines of its configuration."""
        super().__init__(folder, host)
        self.more = list(more)

    @property
    def url(self) -> str:
        return f"redis://{self.at}/0"

    def client(self, **options: Any) -> redis.Redis:
        """A client of this server alone."""
        return self._client(self.port, **options)

    def _client(self, port: int, **options: Any) -> redis.Redis:
        bounds = {"socket_timeout": 2, "socket_connect_timeout": 2}
        return redis.Redis(self.address, port, **bounds | self.login | options)

    def _config(self, port: int) -> str:
        lines = [f"port {port}", f"bind {self.address}", "protected-mode no", f"dir {self.folder}"]
        return "\n".join([*lines, *self.more, *self._lines(), ""])

    def _lines(self) -> list[str]:
        quick = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
        return ["appendonly yes", 'save ""', f"replica-announce-ip {self.address}", *quick]

    def _arguments(self, port: int) -> list[str]:
        config = self.folder / "server.conf"
        if not self.port:
            config.write_text(self._config(port))
        return [str(config)]

    def _serving_pid(self, port: int) -> int | None:
        try:
            with self._client(port) as client:
                facts: Any = client.info()
        except (redis.RedisError, OSError):
            return None
        return None if facts.get("loading") else int(facts["process_id"])

    def _port_was_taken(self) -> bool:
        return "already in use" in self._log_end()


class SentinelMember(RedisMember):
    """One sentinel. `more` says which master it is to watch, to begin with."""

    name = "Redis Sentinel"
    distribution, executable = "redis-sentinel", "redis-sentinel"

    def _lines(self) -> list[str]:
        return [
            f"sentinel announce-ip {self.address}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER} {FAILOVER_MILLISECONDS}",
            f"sentinel parallel-syncs {MASTER} 1",
        ]


class Sentinels:
    """A Redis on each host, the first of them the master, and a sentinel on each.

    `start` returns when a fail-over could happen at once. All of it runs until `stop`.
    """

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[Host],
        redis_class: type[RedisMember] = RedisMember,
        sentinel_class: type[SentinelMember] = SentinelMember,
    ) -> None:
        self.folder = folder
        self.redis = [redis_class(folder / f"redis{n}", host) for n, host in enumerate(hosts)]
        self.sentinels = [sentinel_class(folder / f"sentinel{n}", host) for n, host in enumerate(hosts)]

    @property
    def url(self) -> str:
        """What REDIS_URL is set to."""
        return f"redis+sentinel://{','.join(sentinel.at for sentinel in self.sentinels)}/{MASTER}/0"

    def start(self) -> None:
        """Raises EmbeddedServerError when one does not start, and TimeoutError when they do not find each other."""
        self.folder.mkdir(exist_ok=True)
        master = self.redis[0]
        master.start()
        for replica in self.redis[1:]:
            replica.more.append(f"replicaof {master.address} {master.port}")
            replica.start()
        wait_until(lambda: all(map(_is_linked, self.redis[1:])), "the replicas to follow the master")
        quorum = min(QUORUM, len(self.sentinels))
        for sentinel in self.sentinels:
            sentinel.more.append(f"sentinel monitor {MASTER} {master.address} {master.port} {quorum}")
            sentinel.start()
        wait_until(lambda: all(map(self._knows_all, self.sentinels)), "the sentinels to find each other")

    def stop(self) -> None:
        for member in (*self.sentinels, *self.redis):
            member.stop()

    def master(self, **options: Any) -> redis.Redis:
        """A client of whichever is the master, by redis-py's own Sentinel."""
        bounds = {"socket_timeout": 1, "socket_connect_timeout": 1}
        watchers = Sentinel([(one.address, one.port) for one in self.sentinels], sentinel_kwargs=bounds)
        client: redis.Redis = watchers.master_for(MASTER, **options)
        return client

    def master_number(self) -> int:
        """Which of `redis` most of the sentinels that answer take for the master. Raises RuntimeError if none does."""
        named = Counter(found for sentinel in self.sentinels if (found := _named_by(sentinel)) is not None)
        if not named:
            raise RuntimeError("no sentinel answers")
        [(at, _number)] = named.most_common(1)
        return [member.at for member in self.redis].index(at)

    def wait_for_another(self, number: int) -> int:
        """Wait until another Redis than `number` is the master and says so itself. Returns its number. Raises
        TimeoutError."""
        wait_until(lambda: self.is_other_master(number), f"a master other than number {number}")
        return self.master_number()

    def is_other_master(self, number: int) -> bool:
        """Whether another Redis than `number` is the master now."""
        now = self.master_number()
        return now != number and _fact(self.redis[now], "role") == "master"

    def _knows_all(self, sentinel: SentinelMember) -> bool:
        with sentinel.client() as client:
            state: Any = client.sentinel_master(MASTER)
        others = len(self.redis) - 1
        return bool(state["num-slaves"] == others == state["num-other-sentinels"] and state["flags"] == "master")


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Raises TimeoutError with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(STEP_SECONDS)


def _fact(member: RedisMember, name: str) -> object:
    """One line of its INFO replication; None while it does not answer."""
    try:
        with member.client() as client:
            facts: Any = client.info("replication")
    except redis.RedisError:
        return None
    return facts.get(name)


def _is_linked(replica: RedisMember) -> bool:
    return _fact(replica, "master_link_status") == "up"


def _named_by(sentinel: SentinelMember) -> str | None:
    """host:port of the master, as this sentinel knows it; None when it does not answer."""
    try:
        with sentinel.client(decode_responses=True) as client:
            found: Any = client.sentinel_get_master_addr_by_name(MASTER)
    except redis.RedisError:
        return None
    return f"{found[0]}:{found[1]}" if found else None
