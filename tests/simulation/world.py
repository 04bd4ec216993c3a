"""One schedule: a few messages, the platform's processes, and the harm that a seed has in store for them."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

from django.db import DatabaseError, OperationalError
from django.test.utils import override_settings
from redis.exceptions import RedisError

from chatscan.messages.config import scan_config
from chatscan.messages.instants import Cursor, Scale
from chatscan.mongo.chats import Key
from chatscan.scanning import scanner as scanning
from chatscan.scanning import watermarks
from pushes import jobs, lanes, submit
from pushes.broadcasts import lifecycle, watch
from pushes.distribution import distribute, grace
from pushes.history import exports, rare_rows
from pushes.keys import belief, gate
from pushes.keys.gate import Admission, GateState
from pushes.ledger import claims, counters
from pushes.models import Account, AppKey, Device, PushTypePolicy
from pushes.names import App, Kind, Platform, ProviderKind, PushType, UnknownPolicy
from pushes.providers import hosts
from pushes.sending import job, outcomes, transport
from pushes.storage import clocks, conflicts, shared_redis
from pushes.upkeep import fates, lost_jobs, retention, sweep
from pushes.values import Audience, Policy, PushMessage
from pushes.workers import pulse, queues, shards
from tests.simulation import faults, invariants, statements
from tests.simulation.database import GONE, Database, in_memory
from tests.simulation.faults import Faults
from tests.simulation.network import TIMEOUT_SECONDS, KeyedProvider, Network, SimulatedProvider
from tests.simulation.redis_server import DISTRIBUTE, SimulatedRedis
from tests.simulation.scheduler import Process, Scheduler

LEASE_SECONDS = 20
#: Within so much simulated time after the last fault everything has to be over.
END_SECONDS = 3_600.0
#: By how much a clock is put back or forward.
CLOCK_SECONDS = (5.0, 200.0, 10_000.0)
SETTINGS: dict[str, Any] = {
    "LEASE_SECONDS": LEASE_SECONDS,
    "CALL_TIMEOUT_SECONDS": TIMEOUT_SECONDS,
    "SHARD_LEASE_SECONDS": 24.0,
    "STUCK_SECONDS": 5.0,
    "SWEEP_INTERVAL": 2.0,
    "RETRY_BASE_SECONDS": 2.0,
    "RETRY_MOST_SECONDS": 20.0,
    # More than there are faults: a push fails only by a refusal.
    "MAX_ATTEMPTS": 12,
    "QUEUE_MAX": 1,
    "JOB_SIZE": 500,
    "SEND_CONCURRENCY": 2,
    "SEND_THREADS": 1,
    "MULTI_PUSH_LEAST": 2,
    "COALESCE_SECONDS": 0.0,
    "GRACE_SECONDS": dict.fromkeys(lanes.SHARDED, 0.0),
    "READ_POSITION_KEY": "",
    "MESSAGE_SOURCES": {},
    "DELIVERY_WINDOW": "off",
    # Short: a long look back finds again whatever a wrong position has left out.
    "CHAT_OVERLAP_SECONDS": 1,
    "DIRECTORY": "pushes.people.directory.TableDirectory",
}
#: What each process has for itself.
LOCALS = (
    (sweep, "HOLDER", lambda: ""),
    (sweep, "WATCH", lost_jobs.Watch),
    (pulse, "_threads", dict),
    (pulse._Process, "clock_refused_at", lambda: None),
    (clocks._Process, "reading", lambda: None),
    (clocks._Process, "tried_at", lambda: float("-inf")),
)
#: Parts of a sweeper's round that are about other things.
LEFT_OUT = (
    (retention, "retain"),
    (belief, "forget_old"),
    (fates, "ask"),
    (counters, "roll_up"),
    (exports, "clean_up"),
    (exports, "put_back"),
    (rare_rows, "forget"),
    (rare_rows, "note"),
    (watch, "judge_canaries"),
    (watch, "watch"),
    (lifecycle, "finish_done"),
    (lifecycle, "finish_cancelled"),
    (lifecycle, "put_back"),
    (grace, "wake_gone"),
)
TOKENS = {"1": ("token1",), "2": ("token2", "token3")}


class Result(NamedTuple):
    """How a schedule ended. `broken` are the promises that it broke."""

    seed: int
    broken: list[str]
    struck: list[str]
    scheduler: Scheduler

    @property
    def trace(self) -> list[str]:
        return self.scheduler.lines()

    @property
    def digest(self) -> str:
        return self.scheduler.digest()


class Typed(NamedTuple):
    """A chat message in the collection that a scanner reads."""

    number: int
    at: int


class Theme(NamedTuple):
    """What schedules have in common; where it says nothing, the seed decides."""

    harm: tuple[str, ...] = ()
    is_keyed: bool | None = None
    policy: str = ""
    is_scanned: bool | None = None
    sweeper_lag: float = 0.0


class World:
    """The parts of one schedule, and the processes' loops: like the real ones, without RQ and threads."""

    def __init__(self, database: Database, seed: int, theme: Theme) -> None:
        self.seed, self.database, self.sweeper_lag = seed, database, theme.sweeper_lag
        self.scheduler = Scheduler(seed, LOCALS)
        self.dice = self.scheduler.dice
        self.faults = Faults.of(self.dice, theme.harm)
        self.redis = SimulatedRedis(self.scheduler, self.faults, self.strike, database.in_transaction)
        self.network = Network(self.scheduler, self.faults, self.strike)
        is_keyed, is_scanned = self.dice.random() < 0.35, self.dice.random() < 0.2
        self.is_keyed = is_keyed if theme.is_keyed is None else theme.is_keyed
        self.provider = KeyedProvider(self.scheduler) if self.is_keyed else SimulatedProvider()
        self.policy = theme.policy or self.dice.choice((UnknownPolicy.KEEP.value, UnknownPolicy.RESEND.value))
        self.policies = _policies(self.policy)
        self.chats: list[Typed] = []
        self.is_scanned = is_scanned if theme.is_scanned is None else theme.is_scanned
        self.messages = [] if self.is_scanned else self._messages()
        self.handed_over = 0
        self.crashes: list[str] = []
        self._roles: dict[str, Callable[..., None]] = {}
        self._restarts = 0
        self._tokens = 0

    def run(self) -> Result:
        random.seed(self.seed)
        self.database.begin(self.scheduler, self.faults, self.strike)
        if self.is_scanned:
            watermarks.create(Kind.PRIVATE, {}, None)
            self.handed_over = self.dice.choice((1, 2, 3, 4))
            self._start("typist", self._type)
            for number in range(self.dice.choice((1, 2))):
                self._start(f"scanner{number}", self._scan)
        else:
            self._start("producer", self._produce)
        for number in range(2):
            self._start(f"worker{number}", self._work)
        for number in range(self.dice.choice((1, 1, 2))):
            self._start(f"sweeper{number}", self._sweep)
        self.scheduler.is_over = self._is_over
        try:
            is_over = self.scheduler.run(faults.FAULT_SECONDS + END_SECONDS)
        finally:
            self.scheduler.end()
        broken = invariants.broken(self, is_over=is_over)
        return Result(self.seed, broken, self.faults.struck, self.scheduler)

    def _messages(self) -> list[PushMessage]:
        return [self._message(number) for number in range(self.dice.choice((1, 1, 1, 2, 2, 3)))]

    def _message(self, number: int) -> PushMessage:
        kind = self.dice.choice((Kind.SYSTEM, Kind.PRIVATE, Kind.PRIVATE, Kind.GROUP))
        accounts = {Kind.SYSTEM: ("1",), Kind.PRIVATE: ("1",), Kind.GROUP: ("1", "2")}[kind]
        message = PushMessage(kind, App.HIGO, Audience(accounts), "hello", "simulated", f"m{number}")
        if kind not in lanes.SHARDED:
            return message
        return replace(message, push_type=PushType.CHAT, conversation=f"{kind}-7", sender_id="9")

    # --- processes

    def _start(self, name: str, loop: Callable[[Process], None], *, after: float = 0.0) -> None:
        process = self.scheduler.process(f"{name}.{self._restarts}" if after else name)
        process.own[0] = process.name  # a sweeper's holder
        process.lag = self.sweeper_lag if name.startswith("sweeper") else 0.0
        self._roles[process.name] = partial(self._start, name, loop)
        self.scheduler.spawn(process, partial(loop, process), after=after + self.dice.uniform(0, 0.5))

    def _produce(self, process: Process) -> None:
        """Submit the messages in order, each until that has succeeded: as a producer who repeats them."""
        while self.handed_over < len(self.messages):
            number = self.dice.choice((1, 1, 2))
            try:
                submit.submit(self.messages[self.handed_over : self.handed_over + number])
                self.handed_over += number
            except DatabaseError:
                self.scheduler.note("the producer tries again")
            self.scheduler.rest(self.dice.choice((0.01, 0.5, 3.0)))

    def _type(self, process: Process) -> None:
        """Write chat messages, some of them a little late."""
        for number in range(len(self.chats), self.handed_over):
            late = self.dice.choice((0.0, 0.0, 0.5))
            self.chats.append(Typed(number, int((self.scheduler.true_time().timestamp() - late) * 1_000) + number))
            self.scheduler.note(f"types {number}")
            self.scheduler.rest(self.dice.uniform(0.05, 3))

    def _scan(self, process: Process) -> None:
        scanner = scanning.Scanner(scan_config(Kind.PRIVATE), self, SimpleNamespace())  # type: ignore[arg-type]
        pause = 1.0
        while True:
            try:
                if scanner.forward(clocks.now()).is_caught_up:
                    scanner.look_back(clocks.now())
            except DatabaseError:
                self.scheduler.note("the scanner tries again")
            self.scheduler.rest(pause)
            # When all has been typed, there is little to do but wait.
            pause = min(pause * 1.2, 30.0) if len(self.chats) == self.handed_over else 1.0

    def _work(self, process: Process) -> None:
        own = pulse.Pulse(process.name, sends=True)
        names = [name for lane in lanes.SHARDED for name in lanes.queue_names(lane, 1)]
        leases = shards.ShardLeases(self.redis, names, own)  # type: ignore[arg-type]
        leases.holder = process.name
        self.scheduler.spawn(process, partial(self._beat, own, leases))
        others = lanes.queue_names(lanes.SYSTEM, 1)
        while True:
            pulse.moved()
            try:
                mine = [name for name in names if name in leases.owned] if leases.may_work else []
                found = self.redis.take([*others, *mine] if own.is_well else [])
            except RedisError:
                found = None
            if found is None:
                self.scheduler.rest(self.dice.uniform(0.1, 2.0) if self.redis.has_jobs() else 2.0)
                continue
            try:
                (jobs.distribute if found.path == DISTRIBUTE else jobs.send)(found.ids)
            except Exception as error:
                # As the threads of a worker: the sweeper finds what is left.
                if not isinstance(error, DatabaseError | RedisError):
                    self.crashes.append(repr(error))
                self.scheduler.note(f"the job failed: {error}")

    def _beat(self, own: pulse.Pulse, leases: shards.ShardLeases) -> None:
        """A process's threads that ask the database and renew the leases."""
        while True:
            own._look()
            leases._try_to_renew()
            self.scheduler.rest(SETTINGS["SHARD_LEASE_SECONDS"] / 6)

    def _sweep(self, process: Process) -> None:
        pause = 4.0
        self.scheduler.rest(self.dice.uniform(0.0, 6.0))
        while True:
            with contextlib.suppress(RedisError, DatabaseError):
                sweep.sweep(thorough=self.dice.random() < 0.2)
            self.scheduler.rest(self.dice.uniform(0.5, 1) * pause)
            # Later, there is little to do but wait.
            pause = min(pause * 1.2, 60.0)

    # --- harm

    def strike(self, kind: str) -> None:
        """Let a fault strike the running process, or the servers."""
        task = self.scheduler.current
        assert task is not None
        process = task.process
        self.scheduler.note(f"*** {kind}")
        if kind == faults.DIE:
            self._restarts += 1
            self._roles[process.name](after=self.dice.uniform(0.1, 5))
            self.scheduler.kill(process)
        elif kind == faults.FREEZE:
            process.frozen_until = self.scheduler.now + LEASE_SECONDS * self.dice.uniform(0.5, 2.5)
            self.scheduler.pause(0)
        elif kind == faults.OUTAGE:
            self.database.down_until = self.scheduler.now + self.dice.uniform(0.5, 30)
        elif kind == faults.MACHINE_CLOCK:
            process.ahead = self.dice.choice((-1, 1)) * self.dice.choice(CLOCK_SECONDS)
        elif kind == faults.DATABASE_CLOCK:
            # A scanner leaves messages from the future for later: they would take as long.
            steps = CLOCK_SECONDS[:-1] if self.is_scanned else CLOCK_SECONDS
            self.scheduler.database_ahead += self.dice.choice((-1, 1)) * self.dice.choice(steps)
        elif kind == faults.FLUSH:
            self.redis.flush()
        elif kind == faults.LOSE_JOB:
            self.redis.lose_job()
        elif kind == faults.TWICE:
            self.redis.double_job()

    def _is_over(self) -> bool:
        if self.handed_over < len(self.messages) or (self.is_scanned and not invariants.all_scanned(self)):
            return False
        tasks = [task for task in self.scheduler.tasks if not (task.is_done or task.process.is_dead)]
        if self.redis.has_jobs() or any(not task.is_idle and task.wake_at < 1e8 for task in tasks):
            return False
        return not invariants.unfinished(self.database)

    # --- what is in the place of the real things

    def token(self) -> str:
        self._tokens += 1
        return f"claim{self._tokens}"

    def ask_database(self, *, seconds: float) -> None:
        if self.scheduler.now < self.database.down_until:
            raise OperationalError(GONE, "simulated: the server has gone away")
        clocks._Process.reading = clocks.Reading(self.scheduler.database_time(), self.scheduler.monotonic())

    def admit(self, _key_id: int, wanted: int, _rate: int | None) -> Admission:
        self.redis.command("admit", lambda: None)
        return Admission(wanted, 0.0)

    def report(self, *_: Any, **__: Any) -> bool:
        self.redis.command("report", lambda: None)
        return False

    def seconds_shut(self, _key_id: int) -> float:
        self.redis.command("gate", lambda: None)
        return 0.0

    def gates(self, key_ids: list[int]) -> dict[int, GateState]:
        self.redis.command("gates", lambda: None)
        return dict.fromkeys(key_ids, GateState(False, 0.0))

    # The chat collection.

    def read_after(self, scale: Scale, cursor: Cursor | None, *, before: Any, limit: int, **_: Any) -> Iterator[Any]:
        if scale is not Scale.MILLISECONDS:
            return
        after = (cursor.value, cursor.document_id or 0) if cursor else (0, 0)
        for typed in sorted(self.chats, key=lambda one: (one.at, one.number)):
            if (typed.at, typed.number + 1) > after and typed.at < before:
                yield _document(typed)

    def keys(self, low: Any, high: Any) -> Iterator[Key]:
        yield from (Key(typed.number + 1, typed.at) for typed in self.chats if low <= typed.at <= high)

    def by_id(self, ids: Any, _fields: Any) -> list[dict[str, Any]]:
        return [_document(typed) for typed in self.chats if typed.number + 1 in ids]


def _document(typed: Typed) -> dict[str, Any]:
    people = {"user": {"user_id": 9, "nickname": "n"}, "to_user": {"user_id": 1}}
    return {"_id": typed.number + 1, "seq": typed.number, "createAt": typed.at, "type": "text", "data": "hi", **people}


def _policies(unknown_policy: str) -> dict[int, Policy]:
    model = PushTypePolicy(default_title="t", unknown_policy=unknown_policy, skips_online=True)
    policy = model.as_value()
    return {number: replace(policy, push_type=number) for number in PushType.values}


class Simulator:
    """Runs schedules one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.world: Any = None

    def run(self, seed: int, theme: Theme = Theme()) -> Result:  # noqa: B008 (it is frozen)
        self.world = World(self._database, seed, theme)
        return self.world.run()  # type: ignore[no-any-return]


@contextlib.contextmanager
def simulator(*, remembers: bool = True) -> Iterator[Simulator]:
    """A simulator, with the simulated things in the place of the real ones for the time of a `with`."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(in_memory())
        stack.enter_context(override_settings(**SETTINGS))
        _people()
        if remembers:
            stack.enter_context(statements.remembering(database.run))
        simulated = Simulator(database)
        for owner, name, value in _replacements(simulated, database):
            stack.enter_context(mock.patch.object(owner, name, value))
        for owner, name in LEFT_OUT:
            # A mock would cost more than what it stands for.
            stack.enter_context(mock.patch.object(owner, name, lambda *_: 0))  # noqa: PT008
        for owner, name, _ in LOCALS:
            stack.enter_context(mock.patch.object(owner, name, getattr(owner, name)))
        yield simulated


def _people() -> None:
    key = AppKey(app=App.HIGO, platform=Platform.ANDROID, provider=ProviderKind.SANDBOX, access_id=2_100_000_001)
    key.set_secret("simulated")
    key.save()
    for account_id, tokens in TOKENS.items():
        account = Account.objects.create(account_id=account_id)
        for token in tokens:
            Device.objects.create(account=account, app=App.HIGO, platform=Platform.ANDROID, token=token)


def _replacements(here: Simulator, database: Database) -> Iterator[tuple[object, str, object]]:
    def of(name: str) -> Callable[..., Any]:
        """A method of the schedule that runs."""
        method = attrgetter(name)
        return lambda *args, **kwargs: method(here.world)(*args, **kwargs)

    timing = SimpleNamespace(
        monotonic=of("scheduler.monotonic"),
        time=lambda: here.world.scheduler.machine_time().timestamp(),
        sleep=of("scheduler.pause"),
    )
    for module in (clocks, conflicts, outcomes, shards, pulse, job, transport, scanning):
        if hasattr(module, "time"):
            yield module, "time", timing
    yield clocks, "timezone", SimpleNamespace(now=of("scheduler.machine_time"))
    yield clocks, "connection", SimpleNamespace(vendor="mysql")
    yield clocks, "ask_database", of("ask_database")
    yield clocks, "database_time", database.time
    yield (
        pulse,
        "threading",
        SimpleNamespace(
            get_ident=lambda: here.world.scheduler.current.number,
            Event=threading.Event,
            Thread=threading.Thread,
        ),
    )
    for module in (distribute, job, sweep, submit):
        yield module, "policies", lambda: here.world.policies
    yield claims, "new_token", of("token")
    yield job, "provider", lambda _kind: here.world.provider
    yield hosts, "guard", lambda _url: None
    yield transport, "_window", of("network.window")
    yield transport, "hang_up", of("network.hang_up")
    yield shared_redis, "connection", lambda: here.world.redis
    yield queues, "_enqueue", of("redis.enqueue")
    yield queues, "lane_depth", lambda lane: here.world.redis.depth(lanes.queue_names(lane, 1))
    yield queues, "waiting_since", of("redis.waiting_since")
    yield queues, "waiting_ids", of("redis.waiting_ids")
    yield gate, "admit", of("admit")
    yield gate, "report", of("report")
    yield gate, "seconds_shut", of("seconds_shut")
    yield gate, "states", of("gates")
