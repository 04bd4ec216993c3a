"""Worker processes: the queues of each, and the leases by which a worker owns its shards.

A few processes serve many queues. To keep a conversation in order, its shard is served by one worker at a time, which
owns it by a lease in Redis. A second `runworkers` on another machine takes over only shards whose owner is gone.
"""

import logging
import multiprocessing
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from django import db
from django.conf import settings
from redis import Redis, RedisError
from rq import Queue

from pushes import lanes
from pushes.storage import shared_redis
from pushes.workers import garbage, pulse, threads
from pushes.workers.pulse import Pulse
from pushes.workers.worker import MAINTENANCE_SECONDS, WORKER_SECONDS, ShardWorker

log = logging.getLogger(__name__)

LEASE_KEY = "higo:shard:{name}"
PARENT_SECONDS = 1.0
RELEASE_SECONDS = 3.0
#: The same on every machine of the platform, whatever its settings.
MAX_LEASE_SECONDS = 3_600

# Take the lease when it is free or ours already. A lease without an end, or with one in the far future, is not valid.
_HOLD = """
local holder, left = redis.pcall('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
local is_lease = type(holder) == 'string' and left >= 0 and left <= tonumber(ARGV[3])
if is_lease and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_LET_GO = "if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class ShardLeases:
    """Ownership of sharded queues, renewed in the background while the process is well."""

    def __init__(self, client: Redis, names: Sequence[str], pulse: Pulse | None = None) -> None:
        # A container that starts anew has the host name and the pid of its predecessor.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.names = list(names)
        self.pulse = pulse
        self._held: set[str] = set()
        self._held_until = 0.0
        self._hold, self._let_go = client.register_script(_HOLD), client.register_script(_LET_GO)
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="shard-leases", daemon=True)

    @property
    def owned(self) -> set[str]:
        """Return the shards that are ours now: none when the leases could not be renewed for as long as they last."""
        return self._held if time.monotonic() < self._held_until else set()

    def start(self) -> None:
        """Take free shards, now and in the background; while Redis is unavailable, none is free."""
        self._try_to_renew()
        if self.names:
            self._thread.start()

    def stand_by(self, burst: bool) -> bool:
        """Wait until the process is well and one of the queues is ours; with `burst`, only look."""
        while not self.may_work and not burst:
            time.sleep(0.5)
        return self.may_work

    @property
    def may_work(self) -> bool:
        """Whether this process should take jobs at all: an unwell process leaves them to others."""
        return (self.pulse is None or self.pulse.takes_jobs) and bool(self.owned or not self.names)

    def renew(self) -> None:
        """Take free shards and keep ours; give up all of them while the process cannot work. Raises
        redis.RedisError."""
        if self.pulse is not None and not self.pulse.is_well:
            self._give_up()
            return
        seconds = settings.SHARD_LEASE_SECONDS
        until = time.monotonic() + seconds
        args: list[str | int] = [self.holder, int(seconds * 1_000), int(max(seconds, MAX_LEASE_SECONDS) * 1_000)]
        self._held = {name for name in self.names if self._hold(keys=[LEASE_KEY.format(name=name)], args=args)}
        self._held_until = until

    def release(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            # A concurrent renewal would take back the leases that are released here.
            self._thread.join(timeout=RELEASE_SECONDS)
        try:
            self._give_up()
        except RedisError as error:
            log.warning("shard leases could not be released; they will expire: %s", error)

    def _give_up(self) -> None:
        self._held = set()
        # All of them, because a signal may have come between taking a lease and noting it.
        for name in self.names:
            self._let_go(keys=[LEASE_KEY.format(name=name)], args=[self.holder])

    def _renew(self) -> None:
        while not self._stop.wait(settings.SHARD_LEASE_SECONDS / 6):
            self._try_to_renew()

    def _try_to_renew(self) -> None:
        try:
            self.renew()
        except RedisError as error:
            # Without Redis there are no jobs either; the first process to come back continues.
            if not self._is_away:
                log.warning("shard leases could not be renewed; trying again until Redis is back: %s", error)
            self._is_away = True
        else:
            self._is_away = False


def assignments(lane: str, processes: int) -> list[list[str]]:
    """Return the queues of each process of a lane: shards are divided evenly, a lane without shards is shared."""
    numbers = lanes.shards(lane, settings.QUEUE_MAX)
    if lane not in lanes.SHARDED:
        return [lanes.queue_names(lane, settings.QUEUE_MAX)] * processes
    parts = [numbers[start::processes] for start in range(min(processes, len(numbers)))]
    return [
        [lanes.send_queue(lane, n) for n in part] + [lanes.distribute_queue(lane, n) for n in part] for part in parts
    ]


def run(names: Sequence[str], *, processes: int, burst: bool) -> None:
    """Serve the lanes until SIGTERM or SIGINT (or, with `burst`, until their queues are empty).

    Exits with status 1 when a process ended unexpectedly, so that the supervisor restarts all of them.
    """
    work = [(lane, part) for lane in names for part in assignments(lane, processes)]
    if len(work) == 1:
        serve(*work[0], burst=burst)
        return
    db.connections.close_all()
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_serve_child, args=(os.getpid(), lane, part, burst), name=f"{lane}-{number}")
        for number, (lane, part) in enumerate(work, start=1)
    ]
    for child in children:
        child.start()
    sys.exit(_supervise(children, burst))


def _supervise(children: list[Any], burst: bool) -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while any(child.is_alive() for child in children):
        ended = [child for child in children if not child.is_alive()]
        if stopping.is_set() or (ended and not burst):
            break
        stopping.wait(0.2)
    failed = not stopping.is_set() and (not burst or any(child.exitcode for child in children))
    for child in children:
        if child.is_alive():
            child.terminate()
    for child in children:
        child.join()
    return 1 if failed else 0


def _serve_child(parent: int, lane: str, names: Sequence[str], burst: bool) -> None:
    """Run `serve` until the parent process is gone: a killed parent cannot end its children, and they would keep their
    shards from its successor."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
    serve(lane, names, burst=burst)


def serve(lane: str, names: Sequence[str], *, burst: bool) -> None:
    """Run one worker on these queues, in this process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until RQ installs its own handlers: leases that are taken by then must be released.
        signal.signal(number, lambda *_: sys.exit(0))
    # RQ waits for jobs over this connection; short commands use the process's other client.
    options = {"socket_timeout": WORKER_SECONDS - 10, "health_check_interval": 30}
    with (
        shared_redis.connect(shared_redis.url(), **options) as client,
        pulse.watched(f"workers-{lane}", sends=True) as own,
    ):
        leases = ShardLeases(shared_redis.connection(), [name for name in names if lane in lanes.SHARDED], own)
        try:
            leases.start()
            if leases.stand_by(burst):
                _work(lane, names, client, leases, burst)
        finally:
            leases.release()


def _work(lane: str, names: Sequence[str], client: Redis, leases: ShardLeases, burst: bool) -> None:
    worker = ShardWorker(
        [Queue(name, connection=client, serializer="json") for name in names],
        connection=client,
        serializer="json",
        name=f"{lane}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        worker_ttl=WORKER_SECONDS,
        maintenance_interval=MAINTENANCE_SECONDS,
    )
    worker.leases = leases
    worker.log_result_lifespan = False
    # A burst ends when its queues are empty, so what distribution is about to enqueue must be there by then.
    workshop = threads.start(settings.SEND_THREADS, distributes=not burst)
    garbage.settle()
    try:
        worker.work(burst=burst, logging_level="WARNING")
    finally:
        workshop.drain()
