"""Redis as the platform uses it here: queues of jobs, and leases of shards. (What a Lua script of the real Redis does
is written here once more; the scripts have tests of their own, on a real server.)"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from pushes.storage import batches
from pushes.workers import job_check, queues, shards
from tests.simulation import faults
from tests.simulation.faults import Faults
from tests.simulation.scheduler import Scheduler

JOB_SIZE = 500


@dataclass(frozen=True, slots=True)
class Job:
    path: str
    ids: list[int]
    enqueued_at: datetime


@dataclass(slots=True)
class SimulatedRedis:
    """One Redis server. Every command is a seam."""

    scheduler: Scheduler
    faults: Faults
    seam: Callable[[str], None]
    in_transaction: Callable[[], bool]
    lists: defaultdict[str, list[Job]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, tuple[str, float]] = field(default_factory=dict)
    down_until: float = 0.0

    def command(self, what: str, work: Callable[[], Any]) -> Any:
        is_inside = self.in_transaction()
        if not is_inside:
            self.scheduler.pause(self.scheduler.dice.expovariate(1_000))
        struck = self.faults.strike(faults.IN_COMMAND if is_inside else faults.TO_COMMAND, self.scheduler.now)
        if struck == faults.REDIS_FAIL:
            self.down_until = self.scheduler.now + self.scheduler.dice.choice((0.0, 0.0, 5.0))
        if struck == faults.REDIS_FAIL or self.scheduler.now < self.down_until:
            self.scheduler.note(f"redis {what}: refused")
            raise RedisConnectionError("simulated: no connection")
        if struck and struck != faults.REDIS_LOST:
            self.seam(struck)
        found = work()
        self.scheduler.note(f"redis {what}")
        if struck == faults.REDIS_LOST:
            self.scheduler.note("… its answer is lost")
            raise RedisConnectionError("simulated: the answer was lost")
        return found

    # --- queues, in the place of functions of `pushes.workers.queues`

    def enqueue(
        self,
        name: str,
        path: str,
        ids: Sequence[int],
        *,
        app_key_id: object = None,
        split: bool = True,
        is_urgent=False,
    ) -> None:
        made = [Job(path, list(part), self.scheduler.true_time()) for part in batches.chunks(ids, JOB_SIZE)]

        def push() -> None:
            self.lists[name] = [*made, *self.lists[name]] if is_urgent else [*self.lists[name], *made]

        try:
            self.command(f"enqueue {name} {list(ids)}", push)
        except RedisConnectionError:
            return  # as the real one: the sweeper will do it

    def take(self, names: Iterable[str]) -> Job | None:
        """Take the next job of the named queues."""
        waiting = [name for name in names if self.lists[name]]
        return self.command(f"take {waiting[0]}", lambda: self._pop(waiting[0])) if waiting else None

    def _pop(self, name: str) -> Job | None:
        return self.lists[name].pop(0) if self.lists[name] else None

    def has_jobs(self) -> bool:
        return any(self.lists.values())

    def lose_job(self) -> None:
        if full := sorted(name for name, jobs in self.lists.items() if jobs):
            self.lists[self.scheduler.dice.choice(full)].pop()

    def double_job(self) -> None:
        if full := sorted(name for name, jobs in self.lists.items() if jobs):
            jobs = self.lists[self.scheduler.dice.choice(full)]
            jobs.append(self.scheduler.dice.choice(jobs))

    def flush(self) -> None:
        self.lists.clear()
        self.leases.clear()

    def depth(self, names: Iterable[str]) -> int:
        return int(self.command("depth", lambda: sum(len(self.lists[name]) for name in names)))

    def waiting_since(self, names: Sequence[str]) -> datetime:
        def oldest() -> datetime:
            return min((self.lists[name][0].enqueued_at for name in names if self.lists[name]), default=queues.LATEST)

        return self.command("oldest", oldest)  # type: ignore[no-any-return]

    def waiting_ids(self, names: Sequence[str], path: str) -> Iterator[list[int]]:
        def found() -> list[list[int]]:
            return [job.ids for name in names for job in self.lists[name] if job.path == path]

        yield from self.command("read jobs", found)

    # --- the client's commands

    def mget(self, keys: Sequence[str]) -> list[None]:
        return self.command(f"mget {len(keys)}", lambda: [None] * len(keys))  # type: ignore[no-any-return]

    def register_script(self, text: str) -> Callable[..., int]:
        return {shards._HOLD: self._hold, shards._LET_GO: self._let_go}[text]

    def _hold(self, keys: Sequence[str], args: Sequence[Any]) -> int:
        holder, milliseconds = str(args[0]), int(args[1])

        def hold() -> int:
            other, until = self.leases.get(keys[0], (holder, 0.0))
            if other != holder and until > self.scheduler.now:
                return 0
            self.leases[keys[0]] = holder, self.scheduler.now + milliseconds / 1_000
            return 1

        return int(self.command(f"hold {keys[0]}", hold))

    def _let_go(self, keys: Sequence[str], args: Sequence[Any]) -> int:
        def let_go() -> int:
            if self.leases.get(keys[0], ("", 0.0))[0] == args[0]:
                del self.leases[keys[0]]
            return 1

        return int(self.command(f"let go {keys[0]}", let_go))

    def pipeline(self, *, transaction: bool = True) -> "SimulatedRedis":
        """What a process says of itself: nobody here reads it."""
        return self

    def sadd(self, *_: object) -> None: ...

    def srem(self, *_: object) -> None: ...

    def set(self, *_: object, **__: object) -> None: ...

    def delete(self, *_: object) -> None: ...

    def exists(self, *_: object) -> bool:
        return False

    def execute(self) -> None: ...


DISTRIBUTE, SEND = job_check.DISTRIBUTE_JOB, job_check.SEND_JOB
