"""The platform on machines of its own, with its servers and a provider on others: what `bench hosts` hurts."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from higo_push.running import embedded
from tests.chaos.databases import Database
from tests.chaos.family import USUAL, Family
from tests.chaos.world import Clusters, World, environment_of
from tests.clusters.galera import Galera, GaleraDatabase, running_galera
from tests.clusters.namespaces import Namespace, running_network
from tests.clusters.replica_set import ReplicaSet
from tests.clusters.sentinel import RedisMember, Sentinels
from tests.sandbox_process import Sandbox, running_sandbox

NAME = "higo_hosts"
PROVIDER = "provider"
#: So that all leases end well within half a minute: docs/guarantees.md tells them. The rest is as in a fresh
#: installation, but for the work's size: the machine that plays all the hosts is small.
SETTINGS = {
    "LEASE_SECONDS": "15",
    "SHARD_LEASE_SECONDS": "5",
    "CALL_TIMEOUT_SECONDS": "5",
    "DATABASE_CONNECT_SECONDS": "2",
    "DATABASE_ANSWER_SECONDS": "7",
    "DATABASE_LOCK_SECONDS": "3",
    "INTAKE_HEARTBEAT_SECONDS": "3",
    "STUCK_SECONDS": "5",
    "SWEEP_INTERVAL": "1",
    "RETRY_MOST_SECONDS": "5",
    "BREAKER_BASE_SECONDS": "1",
    "BREAKER_MOST_SECONDS": "5",
    "SCAN_INTERVAL": "1",
    "MAX_ATTEMPTS": "10",
    "QUEUE_MAX": "2",
    "COALESCE_SECONDS": "0",
    "SEND_CONCURRENCY": "64",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many machines of ours there are, on how many each server runs, and what of the platform."""

    apps: int = 2
    members: int = 3
    processes: Sequence[str] = USUAL

    @property
    def needs_mongo(self) -> bool:
        return any("scanner" in name for name in self.processes)

    def names(self) -> dict[str, list[str]]:
        """The machines, by what they are for."""
        kinds = {"app": self.apps, "db": self.members, "redis": self.members, "mongo": self.members}
        if not self.needs_mongo:
            del kinds["mongo"]
        return {kind: [f"{kind}{n}" for n in range(1, number + 1)] for kind, number in kinds.items()}


class Families:
    """The processes of all our machines, each kept running by its own machine. Their names are `app1 intake`."""

    def __init__(self, of: Mapping[str, Family]) -> None:
        self.of = dict(of)
        #: Machines without power: nobody there starts anything.
        self.dark: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{host} {name}" for host, family in self.of.items() for name in family.names)

    @property
    def restarts(self) -> int:
        return sum(family.restarts for family in self.of.values())

    def start(self) -> None:
        for family in self.of.values():
            family.start()

    def stop(self) -> None:
        for family in self.of.values():
            family.stop()

    def kill(self, name: str) -> bool:
        host, _, process = name.partition(" ")
        return self.of[host].kill(process)

    def tend(self) -> None:
        for host, family in self.of.items():
            if host not in self.dark:
                family.tend()

    def logs(self, characters: int = 1_500) -> str:
        return "\n".join(f"=== {host}\n{family.logs(characters)}" for host, family in self.of.items())


class Fleet(World):
    """Made by `running_fleet`. `single_redis` is there when no Sentinels are."""

    #: All hosts start on one machine.
    ready_seconds = 240.0

    def __init__(
        self,
        folder: Path,
        network: Mapping[str, Namespace],
        shape: Shape,
        *,
        galera: Galera,
        database: Database,
        single_redis: RedisMember,
        clusters: Clusters,
        environment: dict[str, str],
        sandbox: Sandbox,
        families: "Families",
    ) -> None:
        super().__init__(
            folder,
            database,
            embedded.Valkey(folder / "none"),
            None,
            environment=environment,
            sandbox=sandbox,
            processes=(),
            clusters=clusters,
        )
        self.network, self.shape, self.galera, self.single_redis = network, shape, galera, single_redis
        self.family = self.families = families

    def machines(self, *kinds: str) -> list[Namespace]:
        """The machines of these kinds."""
        return [self.network[name] for kind in kinds for name in self.shape.names().get(kind, [])]

    def redis(self) -> redis.Redis:
        return super().redis() if self.clusters.sentinels else self.single_redis.client()


@contextlib.contextmanager
def running_fleet(folder: Path, shape: Shape) -> Iterator[Fleet]:
    """Machines, servers, a provider and our processes; all gone at the end. This thread is on their network. Raises
    RuntimeError when something does not start."""
    names = shape.names()
    machines = [name for kind in names.values() for name in kind]
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(running_network(*machines, PROVIDER))
        hosts = {kind: [network[name].host for name in found] for kind, found in names.items()}
        galera = stack.enter_context(running_galera(folder / "galera", hosts["db"]))
        database = GaleraDatabase(galera, NAME)
        sentinels = Sentinels(folder / "redis", hosts["redis"]) if shape.members > 1 else None
        single = RedisMember(folder / "redis", hosts["redis"][0])
        stack.callback((sentinels or single).stop)
        (sentinels or single).start()
        mongo = ReplicaSet(folder / "mongo", hosts["mongo"]) if shape.needs_mongo else None
        if mongo:
            stack.callback(mongo.stop)
            mongo.start()
        environment = environment_of(
            database,
            (sentinels or single).url,
            mongo.url if mongo else "",
            provider_host=network[PROVIDER].host.address,
            settings=SETTINGS,
        )
        at = network[PROVIDER].host
        sandbox = stack.enter_context(
            running_sandbox(environment=environment, prefix=at.prefix, options=("--host", at.address))
        )
        families = Families(
            {name: _family(folder, network[name], galera, environment, shape, n) for n, name in enumerate(names["app"])}
        )
        fleet = Fleet(
            folder,
            network,
            shape,
            galera=galera,
            database=database,
            single_redis=single,
            clusters=Clusters(sentinels, mongo),
            environment=environment,
            sandbox=sandbox,
            families=families,
        )
        fleet.populate()
        stack.callback(families.stop)
        families.start()
        fleet.wait_until_ready()
        yield fleet


def _family(
    folder: Path, machine: Namespace, galera: Galera, environment: Mapping[str, str], shape: Shape, number: int
) -> Family:
    """Each machine prefers another node of the database."""
    own = folder / machine.host.name
    own.mkdir()
    nodes = len(galera.nodes)
    order = [(number + n) % nodes for n in range(nodes)]
    seen = {**environment, "DATABASE_URL": galera.url(*order, database=NAME)}
    return Family(own, seen, tuple(shape.processes), prefix=machine.host.prefix)


def missing() -> str:
    """What this machine lacks for a fleet; "" if nothing."""
    programs = [name for name in ("redis-server", "redis-sentinel") if not _is_there(name)]
    return ", ".join(filter(None, [Galera.missing(), *programs]))


def _is_there(program: str) -> bool:
    return shutil.which(program) is not None
