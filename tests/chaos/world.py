"""One small installation of the platform that may be hurt: its processes, its servers, a sandbox provider,
and a few thousand accounts. A `Case` is one run in it: produce, hurt, wait until all is over, audit.

Everything is real and of its own, so that nothing else on the machine is harmed. The process that makes a
world is also its supervisor: it starts again what died.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import phpserialize
import redis
from cryptography.fernet import Fernet

from higo_push.env import BASE_DIR
from higo_push.running import embedded
from tests.chaos.databases import Database
from tests.chaos.family import COMMANDS, REPLACEMENT_ORDER, USUAL, Family, is_sender
from tests.chaos.producers import RAW_LIST, populate_chats
from tests.clusters.replica_set import ReplicaSet
from tests.clusters.sentinel import Sentinels
from tests.planted import PLANTS
from tests.refusing import REFUSALS
from tests.sandbox_process import Sandbox, running_sandbox

ACCOUNTS, KEYED_ACCOUNTS = 3_000, 500
ANDROID_KEY, IOS_KEY = 2_100_900_001, 2_200_900_001
#: Of JPush, which pushes once for each call key however often a call is made.
KEYED_KEY = "2300900001f23009000012f3"
CONCURRENCY = 64
#: How long everything may take to be over once the last message was produced.
MAX_SECONDS = 60.0
STEP_SECONDS = 0.05

#: Everything that waits, waits briefly; the rest is as in production.
SETTINGS = {
    "LEASE_SECONDS": "6",
    "SHARD_LEASE_SECONDS": "2",
    "DATABASE_CONNECT_SECONDS": "2",
    "DATABASE_ANSWER_SECONDS": "3",
    "DATABASE_LOCK_SECONDS": "2",
    "INTAKE_HEARTBEAT_SECONDS": "2",
    "STUCK_SECONDS": "1",
    "SWEEP_INTERVAL": "0.2",
    "CALL_TIMEOUT_SECONDS": "2",
    "MAX_ATTEMPTS": "30",
    "RETRY_BASE_SECONDS": "0.2",
    "RETRY_MOST_SECONDS": "1",
    "BREAKER_FAILURES": "20",
    "BREAKER_BASE_SECONDS": "0.3",
    "BREAKER_MOST_SECONDS": "1",
    "SCAN_INTERVAL": "0.2",
    "INTAKE_BATCH": "100",
    "JOB_SIZE": "200",
    "QUEUE_MAX": "2",
    "COALESCE_SECONDS": "0",
    "SEND_CONCURRENCY": str(CONCURRENCY),
}
#: In one step, so that no message can be on its way between the reading and the flush.
_READ_AND_FLUSH = """
local taken = {}
for _, batch in ipairs(redis.call('HKEYS', KEYS[2])) do
  for _, raw in ipairs(redis.call('LRANGE', KEYS[2] .. ':' .. batch, 0, -1)) do table.insert(taken, raw) end
end
local listed = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('FLUSHALL')
return {listed, taken}
"""
#: What children may know of the environment that the suite runs in.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Clusters:
    """What may stand in for the single servers of a world."""

    sentinels: Sentinels | None = None
    replica_set: ReplicaSet | None = None


class Processes(Protocol):
    """The platform's processes, and who starts them again; see `Family`."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def restarts(self) -> int: ...

    def start(self) -> None: ...

    def kill(self, name: str) -> bool: ...

    def tend(self) -> None: ...

    def stop(self) -> None: ...

    def logs(self, characters: int = 1_500) -> str: ...


class World:
    """Made by `running_world`. With clusters, their single servers are not started."""

    #: How long it may take to get ready.
    ready_seconds = MAX_SECONDS

    def __init__(
        self,
        folder: Path,
        database: Database,
        valkey: embedded.Valkey,
        mongod: embedded.Mongod | None,
        *,
        environment: dict[str, str],
        sandbox: Sandbox,
        processes: Sequence[str],
        home: Path = BASE_DIR,
        clusters: Clusters,
        own: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        self.clusters = clusters
        self.folder, self.database, self.valkey, self.mongod, self.sandbox = folder, database, valkey, mongod, sandbox
        self.accounts = [f"chaos{number:05}" for number in range(ACCOUNTS)]
        # The releases before channels know no JPush.
        self.has_keyed = (home / "pushes/providers/jpush.py").exists()
        self.keyed_accounts = [f"keyed{number:05}" for number in range(KEYED_ACCOUNTS)]
        self.environment, self.home = environment, home
        self.left = folder / "left"
        self.family: Processes = Family(folder, environment, tuple(processes), own, home=home)

    def populate(self) -> None:
        """The schema, the keys of one app on both platforms and of JPush, and accounts with a device each."""
        self.manage("migrate", "--verbosity=0")
        keys = {ANDROID_KEY: ("android_higo", secrets.token_hex(16)), IOS_KEY: ("ios_higo", secrets.token_hex(16))}
        lines = []
        for access_id, (name, secret) in keys.items():
            self.sandbox.add_key(access_id, secret)
            lines += [f"{name}_appid = {access_id}", f"{name}_skey = {secret}"]
        keyed_secret = secrets.token_hex(12)
        self.sandbox.add_key(KEYED_KEY, keyed_secret)
        ini, devices, secret_file = (self.folder / name for name in ("keys.ini", "devices.csv", "keyed.secret"))
        ini.write_text("\n".join(lines))
        secret_file.write_text(keyed_secret)
        rows = [*map(_device, self.accounts), *(map(_keyed_device, self.keyed_accounts) if self.has_keyed else ())]
        columns = ["account_id", "app", "platform", "environment", "token", "channel"]
        shown = columns if self.has_keyed else columns[:-1]
        devices.write_text("\n".join([",".join(shown), *(",".join(row[: len(shown)]) for row in rows)]))
        keyed = ("higo", "android", "--provider", "jpush", "--app-key", KEYED_KEY)
        imports = [("importappkeys", str(ini), "--endpoint", self.sandbox.url), ("importdevices", str(devices))]
        if self.has_keyed:
            master_secret = ("--master-secret-file", str(secret_file))
            imports.append(("addappkey", *keyed, *master_secret, "--endpoint", self.sandbox.url))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda words: self.manage(*words), imports))
        if self.environment["MONGO_URL"]:
            populate_chats(self.environment["MONGO_URL"], self.accounts, self.keyed_accounts)

    def manage(self, *words: str) -> str:
        """Run a command of the code in `home` as an operator would. Raises RuntimeError when it fails."""
        done = self._run(words, self.home)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(words)} failed: {done.stdout[-1_000:]}{done.stderr[-2_000:]}")
        return done.stdout

    def _run(self, words: Sequence[str], home: Path = BASE_DIR) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(home / "manage.py"), *words]
        return subprocess.run(
            command, cwd=home, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def audit(self, since: datetime, submitted: set[str], *, most_cut_off: int, most_unanswered: int) -> "Audit":
        """The auditor's report on everything accepted since then, from a process of its own."""
        names = self.folder / "submitted"
        names.write_text("\n".join(sorted(submitted)))
        words = ["audit", "--finished", "--json", f"--since={since.isoformat()}", f"--submitted={names}"]
        words += [f"--most-cut-off={most_cut_off}", f"--most-unanswered={most_unanswered}"]
        done = self._run([*words, f"--sandbox={self.sandbox.url}"])
        if done.returncode not in (0, 1) or not done.stdout:
            raise RuntimeError(f"the auditor failed: {done.stderr[-3_000:]}")
        report = json.loads(done.stdout)
        return Audit(report["numbers"], {fault["name"]: fault for fault in report["faults"]})

    def redis(self) -> redis.Redis:
        if sentinels := self.clusters.sentinels:
            return sentinels.master(socket_timeout=2, socket_connect_timeout=2)
        return redis.Redis.from_url(self.valkey.url, socket_timeout=5)

    def wait_until_ready(self, *, doorbell: bool = False) -> None:
        """Until the workers have reported for work and the scanners have a first position; with `doorbell`, also until
        their change streams are open."""
        names = {name.split()[-1] for name in self.family.names}
        # Those on several hosts share a position, and some of their workers stand by.
        lanes = {COMMANDS[name][1] for name in names if is_sender(name)}
        scanners = sum(name.startswith("scanner-") for name in names)
        with self.redis() as client:
            self._wait(lambda: lanes <= {_lane(key) for key in client.scan_iter("rq:worker:*")})
        positions = "SELECT COUNT(*) FROM chatscan_scannerposition"
        if doorbell:
            positions += " WHERE mode = 'doorbell'"
        self._wait(lambda: self.database.rows(positions)[0][0] >= scanners)

    def deploy(self, home: Path, *, migrates: bool) -> dict[str, float]:
        """Replace the processes one after the other by the code in `home`, and with `migrates` apply its migrations
        first, while they run. Returns the seconds that each took to stop."""
        family, self.home = self.family, home
        if not isinstance(family, Family):
            raise TypeError("only the processes of one machine can be replaced")
        if migrates:
            self.manage("migrate", "--verbosity=0")
        stopped = {}
        for name in (name for name in REPLACEMENT_ORDER if name in family.names):
            stopped[name] = family.replace(name, home)
            if is_sender(name):
                self._wait(partial(self._is_at_work, family, name))
        return stopped

    def _is_at_work(self, family: Family, name: str) -> bool:
        """Whether a lane's worker has reported for work."""
        with self.redis() as client:
            return any(client.scan_iter(f"rq:worker:*-{family.pid(name)}-*"))

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the world did not get ready\n{self.family.logs()}")
            self.pause(STEP_SECONDS)

    # --- what may be done to it -------------------------------------------------------------------

    def flush_redis(self) -> tuple[set[str], set[str]]:
        """FLUSHALL. Returns the ids of the messages that were still on the raw list, which are the producers' own
        loss, and of those in a batch that an intake had taken: lost only if that intake has died or dies now."""
        with self.redis() as client:
            listed, taken = client.eval(_READ_AND_FLUSH, 2, RAW_LIST, f"{RAW_LIST}:taken")
        return set(map(message_id, listed)), set(map(message_id, taken))

    def restart_redis(self, *, pause_seconds: float, with_data: bool) -> set[str]:
        """Kill Redis and start it again. Returns what it certainly or possibly took along: nothing if it keeps
        its data, else what was on the raw list or on its way from there into the database."""
        gone = set[str]()
        with self.redis() as client:
            if not with_data:
                # Nobody writes any more, so that what we read is what dies.
                client.client_pause(60_000, all=False)
                raws = client.lrange(RAW_LIST, 0, -1)
                for batch_id in client.hkeys(f"{RAW_LIST}:taken"):
                    raws += client.lrange(f"{RAW_LIST}:taken:{batch_id.decode()}", 0, -1)
                gone = set(map(message_id, raws))
            self.valkey.kill()
        if not with_data:
            shutil.rmtree(self.valkey.folder / "appendonlydir")
        self.pause(pause_seconds)
        self.valkey.start()
        return gone

    def fill_redis(self, *, seconds: float) -> None:
        with self.redis() as client:
            client.config_set("maxmemory", 1)
            self.pause(seconds)
            client.config_set("maxmemory", 0)

    def refuse_redis(self, word: str, *, seconds: float) -> None:
        """Redis runs, and takes nothing: a primary that became a replica, a changed password, and the like."""
        heal = REFUSALS[word](self.valkey)
        try:
            self.pause(seconds)
        finally:
            heal()

    def plant_jobs(self, kinds: Sequence[str], queues: Sequence[str]) -> None:
        """Jobs of somebody else's, each into the queue beside it. One that runs leaves a file in `left`."""
        self.left.mkdir(exist_ok=True)
        with self.redis() as client:
            for kind, queue in zip(kinds, queues, strict=True):
                PLANTS[kind](client, queue, self.left)

    def restart_mongod(self, *, pause_seconds: float) -> None:
        """Kill mongod and start it again; what it had acknowledged is in its journal."""
        if self.mongod is None:
            raise RuntimeError("this world has no mongod: none of its processes reads chats")
        self.mongod.kill()
        self.pause(pause_seconds)
        self.mongod.start()

    def fail_over(self, how: str, *, lag_seconds: float) -> None:
        """Let the master's replicas lag, kill or freeze it, and start or wake it again once another is the master.

        `how` is "kill" or "freeze". Raises TimeoutError when no other takes over.
        """
        if self.clusters.sentinels is None:
            raise RuntimeError("this world has no sentinels")
        cluster, former = self.clusters.sentinels, self.clusters.sentinels.master_number()
        replicas = [member for number, member in enumerate(cluster.redis) if number != former]
        for replica in replicas:
            replica.freeze()
        self.pause(lag_seconds)
        cluster.redis[former].kill() if how == "kill" else cluster.redis[former].freeze()
        for replica in replicas:
            replica.thaw()
        self._wait(lambda: cluster.is_other_master(former))
        cluster.redis[former].start() if how == "kill" else cluster.redis[former].thaw()

    def elect_primary(self, how: str) -> None:
        """Let MongoDB's primary step down, or kill it and start it again once another is the primary.

        `how` is "step down" or "kill". Raises TimeoutError when no other takes over.
        """
        if self.clusters.replica_set is None:
            raise RuntimeError("this world has no replica set")
        cluster = self.clusters.replica_set
        if how == "step down":
            cluster.step_down()
            return
        former = cluster.wait_for_primary()
        cluster.nodes[former].kill()
        self._wait(lambda: cluster.primary_number() not in (None, former))
        cluster.nodes[former].start()

    def pause(self, seconds: float) -> None:
        """Let time pass, as the supervisor."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.family.tend()
            time.sleep(STEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Audit:
    """What the auditor found; `faults` by name, as it described them."""

    numbers: dict[str, int]
    faults: dict[str, Any]


def _lane(worker_key: bytes) -> str:
    """Of the key of a worker that has reported for work."""
    return worker_key.decode().split(":")[2].split("-")[0]


def message_id(raw: bytes) -> str:
    """The id in a producer's serialised message."""
    return str(phpserialize.loads(raw)[b"msg_id"].decode())


def _device(account: str) -> tuple[str, ...]:
    """A row for `importdevices`: every fifth account has an iPhone."""
    digest = hashlib.sha256(account.encode()).hexdigest()
    is_iphone = int(digest[-1], 16) % 5 == 0
    platform, token = ("ios", digest) if is_iphone else ("android", digest[:40])
    return account, "higo", platform, "production", token, "xinge"


def _keyed_device(account: str) -> tuple[str, ...]:
    return account, "higo", "android", "production", hashlib.sha256(account.encode()).hexdigest()[:19], "jpush"


def environment_of(
    database: Database,
    redis_url: str,
    mongo_url: str,
    *,
    provider_host: str = "127.0.0.1",
    settings: Mapping[str, str] = SETTINGS,
) -> dict[str, str]:
    """What the platform's processes see: nothing of this machine's own settings."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        **settings,
        "ENV_FILE": os.devnull,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DATABASE_URL": database.url,
        "REDIS_URL": redis_url,
        "MONGO_URL": mongo_url,
        # The sandbox takes any free port.
        "PROVIDER_HOSTS": provider_host,
        "HTTPS": "off",
        "DELIVERY_WINDOW": "off",
    }


@contextlib.contextmanager
def running_world(
    folder: Path,
    database: Database,
    *,
    processes: Sequence[str] = USUAL,
    home: Path = BASE_DIR,
    clusters: Clusters | None = None,
    own: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[World]:
    """Start servers, sandbox and the processes of the code in `home`, in `folder`, on `database`; stop them all at the
    end. `clusters` run already; `own` are variables that only the named processes have."""
    clusters = clusters or Clusters()
    with contextlib.ExitStack() as stack:
        valkey = embedded.Valkey(folder / "valkey", is_durable=True)
        if not clusters.sentinels:
            stack.enter_context(embedded.running(valkey))
        has_chats = any("scanner" in name for name in processes)
        mongod = embedded.Mongod(folder / "mongod") if has_chats and not clusters.replica_set else None
        if mongod:
            stack.enter_context(embedded.running(mongod))
        redis_server, mongo_server = clusters.sentinels or valkey, clusters.replica_set or mongod
        environment = environment_of(database, redis_server.url, mongo_server.url if mongo_server else "")
        sandbox = stack.enter_context(running_sandbox(environment=environment))
        world = World(
            *(folder, database, valkey, mongod),
            environment=environment,
            sandbox=sandbox,
            processes=processes,
            home=home,
            clusters=clusters,
            own=own,
        )
        world.populate()
        stack.callback(world.family.stop)
        world.family.start()
        world.wait_until_ready()
        yield world
