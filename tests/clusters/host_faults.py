"""What can happen to machines, their links, their clocks and their servers; each is done to a fleet, and undone."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.family import SENDERS
from tests.chaos.world import CONCURRENCY
from tests.clusters.fleet import PROVIDER, Fleet
from tests.clusters.galera import Node
from tests.clusters.namespaces import Namespace
from tests.clusters.sentinel import RedisMember

#: Longer than every lease in `fleet.SETTINGS`.
OUTAGE_SECONDS = 18.0
DELAY_MS, LOSS_PERCENT = 30.0, 10
#: How wrong a clock is.
MIN_AHEAD_SECONDS, MAX_AHEAD_SECONDS = 120, 900
READY_SECONDS = 60.0
#: Calls that are under way on one host, at most; and as many as there may be while a link is bad.
WINDOWS, MANY = CONCURRENCY * len(SENDERS), 1_000_000
#: Python sleeps by clock_nanosleep, which libfaketime (0.9.10) breaks: every sleep would end at once, with an error.
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"


@dataclass(frozen=True, slots=True)
class Fault:
    """`begin` does it and returns how, if there is something to say; `end` undoes it after `seconds`. `prepare` comes
    before the load, and `recover` after it."""

    what: str
    begin: Callable[[], object]
    end: Callable[[], object] = lambda: None
    seconds: float = 0.0
    prepare: Callable[[], object] = lambda: None
    recover: Callable[[], object] = lambda: None
    #: So many calls may be left without an answer.
    lost_answers: int = 0


Maker = Callable[[Fleet, random.Random], Fault]


def nothing(_fleet: Fleet, _dice: random.Random) -> Fault:
    """For comparison: how long messages take on this machine when nothing is wrong."""
    return Fault("nothing, for comparison", lambda: None, seconds=OUTAGE_SECONDS / 2)


def cut_from_database(fleet: Fleet, dice: random.Random) -> Fault:
    return _cut(fleet, dice, "cut off from the database", "db")


def cut_from_redis(fleet: Fleet, dice: random.Random) -> Fault:
    return _cut(fleet, dice, "cut off from Redis", "redis")


def cut_from_provider(fleet: Fleet, dice: random.Random) -> Fault:
    app, what = _one_of_ours(fleet, dice), "cut off from the provider"
    return Fault(what, lambda: app.cut_from(fleet.network[PROVIDER]), app.heal, OUTAGE_SECONDS, lost_answers=WINDOWS)


def cut_off(fleet: Fleet, dice: random.Random) -> Fault:
    app = _one_of_ours(fleet, dice)
    return Fault("cut off from everything", app.cut_off, app.heal, OUTAGE_SECONDS, lost_answers=WINDOWS)


def slow_link(fleet: Fleet, dice: random.Random) -> Fault:
    app = _one_of_ours(fleet, dice)
    begin = lambda: app.slow(delay_ms=DELAY_MS, loss_percent=LOSS_PERCENT)  # noqa: E731 as its siblings
    what = f"a slow link that loses {LOSS_PERCENT} %"
    return Fault(what, begin, app.heal, OUTAGE_SECONDS, lost_answers=MANY)


def wrong_clock(fleet: Fleet, dice: random.Random) -> Fault:
    """The machine comes up with it: a clock that jumps is another matter."""
    app, ahead = _one_of_ours(fleet, dice), dice.randint(MIN_AHEAD_SECONDS, MAX_AHEAD_SECONDS) * dice.choice([1, -1])
    family = fleet.families.of[app.host.name]
    right = dict(family.environment)
    wrong = wrong_clock_environment(fleet.folder / "faketime", ahead)

    def set_clock(environment: dict[str, str]) -> None:
        family.environment = environment
        family.restart()
        fleet.wait_until_ready()

    def set_right() -> None:
        seen = app.processes()
        set_clock(right)
        forget_faketime(seen)

    return Fault(
        "a clock that is wrong by minutes",
        lambda: f"{ahead:+} s",
        seconds=OUTAGE_SECONDS,
        prepare=lambda: set_clock(right | wrong),
        recover=set_right,
    )


def freeze(fleet: Fleet, dice: random.Random) -> Fault:
    app = _one_of_ours(fleet, dice)
    return Fault("frozen, and awake after its leases", app.freeze, app.thaw, OUTAGE_SECONDS)


def kill_process(fleet: Fleet, dice: random.Random) -> Fault:
    name = dice.choice(fleet.families.names)
    return Fault("kill -9 of one process", lambda: fleet.families.kill(name) and name)


def power_cut(fleet: Fleet, dice: random.Random) -> Fault:
    """Everything on the machine is killed; after a while it comes up again, and starts its processes."""
    app = _one_of_ours(fleet, dice)
    name = app.host.name

    def begin() -> None:
        fleet.families.dark.add(name)
        app.kill()

    return Fault("kill -9 of a whole host", begin, lambda: fleet.families.dark.discard(name), OUTAGE_SECONDS)


def kill_database_node(fleet: Fleet, dice: random.Random) -> Fault:
    node = dice.choice(fleet.galera.nodes)
    return Fault("kill -9 of a Galera node", node.kill, lambda: _rejoin(fleet, node), OUTAGE_SECONDS)


def kill_redis_master(fleet: Fleet, _dice: random.Random) -> Fault:
    sentinels, killed = fleet.clusters.sentinels, list[RedisMember]()

    def begin() -> None:
        killed.append(sentinels.redis[sentinels.master_number()] if sentinels else fleet.single_redis)
        killed[0].kill()

    return Fault("kill -9 of the Redis master", begin, lambda: killed[0].start(), OUTAGE_SECONDS)


def kill_mongo_primary(fleet: Fleet, _dice: random.Random) -> Fault:
    mongo, found = fleet.clusters.replica_set, list[int]()
    if mongo is None:
        raise ValueError("this fleet has no MongoDB: none of its processes reads chats")

    def begin() -> None:
        found.append(mongo.wait_for_primary())
        mongo.nodes[found[0]].kill()

    return Fault("kill -9 of the mongod primary", begin, lambda: mongo.nodes[found[0]].start(), OUTAGE_SECONDS)


#: By name, as `bench hosts --fault` takes them.
FAULTS: dict[str, Maker] = {
    "nothing": nothing,
    "database": cut_from_database,
    "redis": cut_from_redis,
    "provider": cut_from_provider,
    "everything": cut_off,
    "slow": slow_link,
    "clock": wrong_clock,
    "frozen": freeze,
    "process": kill_process,
    "galera": kill_database_node,
    "master": kill_redis_master,
    "primary": kill_mongo_primary,
    "host": power_cut,
}


def wrong_clock_environment(folder: Path, ahead_seconds: int) -> dict[str, str]:
    """What makes Python's wall clock wrong, and leaves its monotonic clock and its sleep alone. Something of it is put
    into `folder`. Raises FileNotFoundError without libfaketime."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SLEEP)
    return {
        "LD_PRELOAD": faketime_library(),
        "FAKETIME": f"{ahead_seconds:+}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": str(folder),
    }


def forget_faketime(process_ids: Sequence[int]) -> None:
    """Remove what libfaketime leaves of processes that began as others: here, as what leads to their host."""
    for number in process_ids:
        for name in ("faketime_shm_", "sem.faketime_sem_"):
            Path(f"/dev/shm/{name}{number}").unlink(missing_ok=True)


def faketime_library() -> str:
    """Where Debian keeps it. Raises FileNotFoundError."""
    found = sorted(Path("/").glob(LIBRARIES.lstrip("/")))
    if not found:
        raise FileNotFoundError(f"there is no {LIBRARIES} (Debian: faketime)")
    return str(found[0])


def _one_of_ours(fleet: Fleet, dice: random.Random) -> Namespace:
    return dice.choice(fleet.machines("app"))


def _cut(fleet: Fleet, dice: random.Random, what: str, kind: str) -> Fault:
    app = _one_of_ours(fleet, dice)
    return Fault(what, lambda: app.cut_from(*fleet.machines(kind)), app.heal, OUTAGE_SECONDS)


def _rejoin(fleet: Fleet, node: Node) -> None:
    """Raises TimeoutError."""
    node.spawn(is_first=len(fleet.galera.nodes) == 1)
    deadline = time.monotonic() + READY_SECONDS
    while not node.is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{node.host.name} did not come back in {READY_SECONDS:g} s")
        fleet.pause(0.2)
