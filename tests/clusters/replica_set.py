"""A replica set of MongoDB: what `MONGO_URL=mongodb://host,host,host/db?replicaSet=…` is for."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from higo_push.running import embedded
from tests.clusters.hosts import Host
from tests.clusters.member import Member
from tests.clusters.sentinel import wait_until

ELECTION_MILLISECONDS = 1_000
HEARTBEAT_MILLISECONDS = 500
#: How long one that stepped down does not stand for election.
STEP_DOWN_SECONDS = 5


class MongoNode(Member, embedded.Mongod):
    """One mongod of a set. By itself it waits to be told of the others. It can be told to stop replicating."""

    def client(self) -> "MongoClient[dict[str, Any]]":
        """A client of this node alone."""
        return MongoClient(self.address, self.port, directConnection=True, serverSelectionTimeoutMS=1_000)

    def replicate(self, does: bool) -> None:
        """Stop following the primary, or go on. Heartbeats and elections go on in any case."""
        with self.client() as client:
            client.admin.command("configureFailPoint", "stopReplProducer", mode="off" if does else "alwaysOn")

    def _arguments(self, port: int) -> list[str]:
        return [*super()._arguments(port), "--setParameter", "enableTestCommands=1"]

    def _serving_pid(self, port: int) -> int | None:
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.address, port, directConnection=True, serverSelectionTimeoutMS=500
        )
        with client, contextlib.suppress(PyMongoError):
            return int(client.admin.command("serverStatus")["pid"])
        return None


class ReplicaSet:
    """A mongod on each host. `start` returns when there is a primary. All of it runs until `stop`."""

    def __init__(self, folder: Path, hosts: Sequence[Host]) -> None:
        self.folder = folder
        self.nodes = [MongoNode(folder / f"mongod{n}", host) for n, host in enumerate(hosts)]

    @property
    def url(self) -> str:
        """What MONGO_URL is set to."""
        hosts = ",".join(node.at for node in self.nodes)
        return f"mongodb://{hosts}/{embedded.MONGO_DATABASE}?replicaSet={embedded.REPLICA_SET}"

    def start(self) -> None:
        """Raises EmbeddedServerError when one does not start, and TimeoutError when none becomes primary."""
        self.folder.mkdir(exist_ok=True)
        for node in self.nodes:
            node.start()
        members = [{"_id": n, "host": node.at} for n, node in enumerate(self.nodes)]
        settings = {
            "electionTimeoutMillis": ELECTION_MILLISECONDS,
            "heartbeatIntervalMillis": HEARTBEAT_MILLISECONDS,
            "heartbeatTimeoutSecs": 2,
            "catchUpTimeoutMillis": ELECTION_MILLISECONDS,
        }
        with self.nodes[0].client() as client:
            client.admin.command(
                "replSetInitiate", {"_id": embedded.REPLICA_SET, "members": members, "settings": settings}
            )
        wait_until(self._is_whole, "a primary with its secondaries")

    def stop(self) -> None:
        """All at once: one alone would wait for the others."""
        for node in self.nodes:
            node.kill()

    def primary_number(self) -> int | None:
        """Which of `nodes` is the primary; None while none is. A frozen node is asked for at most a second."""
        for number, node in enumerate(self.nodes):
            with node.client() as client, contextlib.suppress(PyMongoError):
                if client.admin.command("hello")["isWritablePrimary"]:
                    return number
        return None

    def wait_for_primary(self, *, other_than: int | None = None) -> int:
        """Return which of `nodes` is the primary. Raises TimeoutError."""
        found: list[int] = []

        def is_there() -> bool:
            number = self.primary_number()
            found[:] = [] if number in (None, other_than) else [number or 0]
            return bool(found)

        wait_until(is_there, f"a primary other than {other_than}")
        return found[0]

    def step_down(self) -> int:
        """Tell the primary to step down and wait for another. Returns which it is. Raises TimeoutError."""
        former = self.wait_for_primary()
        with self.nodes[former].client() as client, contextlib.suppress(AutoReconnect):
            client.admin.command("replSetStepDown", STEP_DOWN_SECONDS, secondaryCatchUpPeriodSecs=2)
        return self.wait_for_primary(other_than=former)

    def _is_whole(self) -> bool:
        with self.nodes[0].client() as client:
            try:
                members = client.admin.command("replSetGetStatus")["members"]
            except OperationFailure:  # not initiated yet
                return False
        return sorted(member["stateStr"] for member in members) == ["PRIMARY", *["SECONDARY"] * (len(members) - 1)]
