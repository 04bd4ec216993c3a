"""One run in a world: produce, hurt at random moments, wait until everything is over, audit."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from redis import RedisError

from pushes import lanes
from tests.chaos.databases import MariaDb
from tests.chaos.dumb import DumbProxy
from tests.chaos.family import is_sender
from tests.chaos.producers import GROUP_SIZE, RAW_LIST, HandedOver, Plan, Producer
from tests.chaos.world import CONCURRENCY, STEP_SECONDS, Audit, World
from tests.planted import PLANTS

#: How long everything may take to be over once the last message was produced and the last harm was done.
MAX_SECONDS = 45.0
#: So many that the provider never says that there were too many: it would ask for a minute's rest.
MAX_CALLS_A_MINUTE = 1_000_000
#: Ways in which a Redis may refuse for a while and be as before afterwards.
REFUSAL_WORDS = ("ReadOnlyError", "MasterDownError", "OutOfMemoryError", "NoPermissionError", "AuthenticationError")
LIVE = "('pending', 'held', 'sending', 'retrying')"


@dataclass(slots=True)
class Harm:
    """Something to be done `at` so many seconds after the start."""

    at: float
    what: str
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The auditor's report, and what only the case knows. `disordered` are conversations whose messages were
    stored in another order than they were produced in."""

    audit: Audit
    kills: dict[str, int]
    destroyed: int
    disordered: list[str]
    restarts: int
    seconds_to_end: float
    strangers_ran: int = 0
    is_keyed: bool = False

    @property
    def faults(self) -> dict[str, object]:
        """Empty when every promise was kept."""
        doubled = self.audit.numbers["resent"] if self.is_keyed else 0
        ours = {"disordered": self.disordered, "planted_jobs_that_ran": self.strangers_ran, "doubled": doubled}
        return {**self.audit.faults, **{name: found for name, found in ours.items() if found}}


@dataclass(slots=True)
class Case:
    """`is_keyed`: what is produced goes to phones of the provider that takes call keys. So nothing may end as unknown,
    and nothing may arrive twice, whatever the push type's policy."""

    world: World
    name: str
    plan: Plan
    seed: int
    latency_ms: float = 0
    is_keyed: bool = False
    kills: dict[str, int] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)
    #: How long each process took to stop, every time that a deployment replaced it.
    stop_seconds: dict[str, list[float]] = field(default_factory=dict)
    senders_cut: int = 0
    faulty_calls: int = 0
    handed_over: HandedOver = field(default_factory=HandedOver)
    _harms: list[Harm] = field(default_factory=list)
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    # --- harm, at moments that the seed decides ---------------------------------------------------

    def kill(self, name: str, *, times: int = 1) -> None:
        self._sometime(f"kill {name}", lambda: self._kill(name), times=times)

    def flush_redis(self, *, times: int = 1) -> None:
        def flush() -> None:
            listed, taken = self.world.flush_redis()
            self.destroyed |= listed
            if any(harm.what == "kill intake" for harm in self._harms):
                # Only a dead intake's batch was nowhere but in Redis.
                self.destroyed |= taken

        self._sometime("FLUSHALL", flush, times=times)

    def restart_redis(self, *, with_data: bool, pause_seconds: float = 0.3) -> None:
        def restart() -> None:
            self.destroyed |= self.world.restart_redis(pause_seconds=pause_seconds, with_data=with_data)
            # A sender that cannot reach Redis any more may end with a window under way.
            self.senders_cut += self._senders

        self._sometime(f"restart Redis with{'' if with_data else 'out'} its data", restart)

    def fill_redis(self, *, seconds: float) -> None:
        """Redis refuses whatever needs memory for a while, as one that is full does."""
        self._sometime("fill Redis", lambda: self.world.fill_redis(seconds=seconds))

    def refuse_redis(self, *, seconds: float, words: Sequence[str] = REFUSAL_WORDS, times: int = 1) -> None:
        """Redis refuses for a while, in a way that the seed decides."""
        what = "refusing Redis"
        self._sometime(what, lambda: self.world.refuse_redis(self._random.choice(words), seconds=seconds), times=times)

    def plant_jobs(self, number: int, *, times: int = 1) -> None:
        """So many jobs of somebody else's, of kinds that the seed decides, in queues of every lane that is served."""
        queue_max = int(self.world.environment["QUEUE_MAX"])
        served = [lane for lane in lanes.LANES if f"workers-{lane}" in self.world.family.names]
        names = [name for lane in served for name in lanes.queue_names(lane, queue_max)]

        def plant() -> None:
            kinds = self._random.choices(list(PLANTS), k=number)
            self.world.plant_jobs(kinds, self._random.choices(names, k=number))

        self._sometime("planted jobs", plant, times=times)

    def restart_mariadb(self, server: MariaDb, *, pause_seconds: float = 0.5) -> None:
        def restart() -> None:
            server.kill()
            self.world.pause(pause_seconds)
            server.start()
            # A sender that cannot record an outcome in time leaves its window in doubt.
            self.senders_cut += self._senders

        self._sometime("restart MariaDB", restart)

    def hurt_database(self, what: str, do: Callable[[], object]) -> None:
        """Do to a database what keeps senders from recording outcomes in time."""

        def hurt() -> None:
            do()
            self.senders_cut += self._senders

        self._sometime(what, hurt)

    def go_dumb(self, proxy: DumbProxy, *, seconds: float, new_too: bool = True) -> None:
        """Every connection to the database stays open and says nothing any more; with `new_too`, for so many seconds
        those that are made meanwhile say nothing either."""

        def dumb() -> None:
            proxy.go_dumb(new_too=new_too)
            if new_too:
                self.world.pause(seconds)
                proxy.hear_again()
            # What a sender could not record in time is in doubt.
            self.senders_cut += self._senders

        self._sometime(f"dumb connections{' (new ones, too)' if new_too else ''}", dumb)

    def fail_over(self, how: str, *, lag_seconds: float = 0.3) -> None:
        """The master of Redis fails, and so many seconds before it its replicas stop following it."""

        def fail() -> None:
            self.world.fail_over(how, lag_seconds=lag_seconds)
            # A sender that cannot reach Redis any more may end with a window under way.
            self.senders_cut += self._senders

        self._sometime(f"{how} the master of Redis", fail)

    def elect_primary(self, how: str) -> None:
        self._sometime(f"another primary of MongoDB: {how}", lambda: self.world.elect_primary(how))

    def restart_mongod(self, *, pause_seconds: float = 0.5) -> None:
        self._sometime("restart mongod", lambda: self.world.restart_mongod(pause_seconds=pause_seconds))

    def misbehave(
        self, profile: str, *, access_id: int | str, calls: int, after: float, seconds: float, **options: object
    ) -> None:
        """The provider shows `profile` under one key for so many seconds, a moment `after`, but in at most so many
        calls: each of them leaves one push in doubt, or those of one group's members. `options` are the profile's."""
        begin, sandbox = after + self._random.uniform(0.1, 0.4), self.world.sandbox
        spoil = partial(sandbox.set_profile, profile, access_id=access_id, times=calls, **options)
        heal = partial(sandbox.set_profile, "ok", access_id=access_id)
        self._harms += [Harm(begin, profile, spoil), Harm(begin + seconds, "ok", heal)]
        self.faulty_calls += calls

    def deploy(self, home: Path, *, at: float, migrates: bool = False) -> None:
        """From `at` on: migrate if asked to, and replace every process by the code in `home`."""

        def deploy() -> None:
            for name, seconds in self.world.deploy(home, migrates=migrates).items():
                self.stop_seconds.setdefault(name, []).append(seconds)

        self._harms.append(Harm(at, f"deploy {home}", deploy))

    def _sometime(self, what: str, do: Callable[[], object], *, times: int = 1) -> None:
        """Once in each of as many equal parts of the time of production."""
        part = self.plan.seconds / times
        self._harms += [Harm((n + self._random.uniform(0.15, 0.95)) * part, what, do) for n in range(times)]

    def _kill(self, name: str) -> None:
        while not self.world.family.kill(name):
            self.world.pause(STEP_SECONDS)
        self.kills[name] = self.kills.get(name, 0) + 1
        self.senders_cut += is_sender(name)

    @property
    def _senders(self) -> int:
        return sum(map(is_sender, self.world.family.names))

    # --- the run ----------------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Raises AssertionError when the producers could not even hand over their messages."""
        world = self.world
        # What an earlier test has left under way would reach the sandbox after its reset, and be nobody's.
        self._wait_until_over(set(), 0)
        since = datetime.now(timezone.utc)
        world.sandbox.reset()
        world.sandbox.set_latency(self.latency_ms)
        world.sandbox.set_limit(MAX_CALLS_A_MINUTE)
        restarts = world.family.restarts
        first_record = self._number("SELECT COALESCE(MAX(id), 0) FROM pushes_pushrecord")
        producer = Producer(
            self.name,
            self.plan,
            world.keyed_accounts if self.is_keyed else world.accounts,
            redis_client=world.redis(),
            replicas=1 if world.clusters.sentinels else 0,
            mongo_url=world.environment["MONGO_URL"],
            seed=self.seed,
        )
        print(f"chaos case {self.name}, seed {self.seed}")
        self.handed_over = producer.handed_over
        producer.start()
        try:
            self._do_harm()
            while producer.is_alive() and not self.plan.ends_with_harm:
                world.pause(STEP_SECONDS)
        finally:
            producer.stop()
        ended = time.monotonic()
        submitted = (producer.handed_over.system - self.destroyed) | producer.handed_over.chat
        self._wait_until_over(submitted, first_record)
        waited = time.monotonic() - ended
        audit = world.audit(since, submitted, most_cut_off=self.most_cut_off, most_unanswered=self.most_unanswered)
        return Verdict(
            audit,
            self.kills,
            len(self.destroyed),
            self._disordered(first_record),
            restarts=world.family.restarts - restarts,
            seconds_to_end=round(waited, 1),
            strangers_ran=len(list(world.left.iterdir())) if world.left.exists() else 0,
            is_keyed=self.is_keyed,
        )

    @property
    def harms(self) -> list[str]:
        return [harm.what for harm in sorted(self._harms, key=lambda harm: harm.at) if harm.what != "ok"]

    @property
    def most_cut_off(self) -> int:
        """A window for every time that a sender was stopped in the middle of one."""
        return 0 if self.is_keyed else CONCURRENCY * self.senders_cut

    @property
    def most_unanswered(self) -> int:
        return 0 if self.is_keyed else self.faulty_calls * (GROUP_SIZE - 1 if self.plan.group else 1)

    def _do_harm(self) -> None:
        start = time.monotonic()
        for harm in sorted(self._harms, key=lambda harm: harm.at):
            self.world.pause(start + harm.at - time.monotonic())
            print(f"  {time.monotonic() - start:.2f} s: {harm.what}")
            harm.do()

    def _wait_until_over(self, submitted: set[str], first_record: int) -> None:
        """Return when nothing is under way any more, or when that takes too long: the auditor says what is left."""
        deadline = time.monotonic() + MAX_SECONDS
        while time.monotonic() < deadline:
            self.world.pause(0.2)
            if self._is_over(submitted, first_record):
                return

    def _is_over(self, submitted: set[str], first_record: int) -> bool:
        try:
            with self.world.redis() as client:
                if client.llen(RAW_LIST) or client.hlen(f"{RAW_LIST}:taken"):
                    return False
        except RedisError:
            # Another server is about to become the master.
            return False
        records = self._rows(f"SELECT message_id, status FROM pushes_pushrecord WHERE id > {first_record}")
        if submitted - {message_id for message_id, _status in records}:
            return False
        if any(status == "pending" for _message_id, status in records):
            return False
        live = f"SELECT COUNT(*) FROM pushes_deliveryresult WHERE record_id > {first_record} AND status IN {LIVE}"
        return not self._number(live)

    def _disordered(self, first_record: int) -> list[str]:
        rows = self._rows(
            "SELECT conversation, message_id FROM pushes_pushrecord "
            f"WHERE id > {first_record} AND conversation <> '' ORDER BY id"
        )
        latest: dict[str, str] = {}
        found = []
        for conversation, message_id in rows:
            if latest.get(conversation, "") > message_id:
                found.append(f"{conversation}: {message_id} after {latest[conversation]}")
            latest[conversation] = message_id
        return found

    def _number(self, sql: str) -> int:
        return int(self._rows(sql)[0][0])

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.world.database.rows(sql)
