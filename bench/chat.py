"""Chat push: a group of 10,000; MongoDB insert → record committed → provider; catching up; what waiting costs.

Each row runs a real `manage.py runscanner` over an embedded MongoDB replica set. "recorded" is when another
database connection first sees the PushRecord; "provider" is the sandbox's clock (the same machine's).
"""

import argparse
import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bson import ObjectId
from pymongo import MongoClient

from bench import crowd, harness
from bench.scene import Scene, scene
from higo_push.running import embedded

GROUPS = 50
MEMBERS = 10
SENDER = "0"
PARTS = ("crowd", "latency", "catching_up")
Row = dict[str, Any]


class Chat:
    """The chat server's side: GROUPS groups of the same members, and their collection."""

    def __init__(self, url: str, members: int) -> None:
        self._turn = itertools.cycle(range(GROUPS))
        self.client: MongoClient[dict[str, Any]] = MongoClient(url)
        database = self.client[embedded.MONGO_DATABASE]
        people = [str(number) for number in range(members + 1)]
        group = {"name": "面膜团", "owner_id": SENDER, "members": people}
        database["groups"].insert_many({"group_id": f"g{number}", **group} for number in range(GROUPS))
        database["groups"].create_index("group_id")
        self.chats = database["chats"]
        self.chats.create_index([("createAt", 1), ("_id", 1)])

    def message(self) -> dict[str, Any]:
        now = str(int(time.time() * 1_000))
        document = {"_id": ObjectId(), "seq": 1, "group_id": f"g{next(self._turn)}", "createAt": now, "type": "text"}
        return document | {"data": "新品到货，欢迎下单", "user": {"user_id": SENDER, "nickname": "小王"}}

    def say(self) -> tuple[str, float]:
        """Insert one message: its id and the time just before."""
        document, at = self.message(), time.time()
        self.chats.insert_one(document)
        return str(document["_id"]), at


class Watch:
    """Sees records as they are committed."""

    def __init__(self) -> None:
        self._last, self.seen = 0, dict[str, float]()

    def look(self, cursor: Any) -> int:
        """How many have been seen by now."""
        cursor.execute("SELECT id, message_id FROM pushes_pushrecord WHERE id > %s ORDER BY id", [self._last])
        now = time.time()
        for record_id, message_id in cursor.fetchall():
            self._last, self.seen[message_id] = record_id, now
        return len(self.seen)


@contextlib.contextmanager
def database_cursor() -> Iterator[Any]:
    with harness.connected(urlsplit(harness.DATABASE_URL), with_name=True) as connection:
        connection.autocommit(True)
        with connection.cursor() as cursor:
            yield cursor


def measure(stage: Scene, chat: Chat, count: int, rate: float) -> Row:
    """Say `count` things at random moments, `rate` a second on average; latencies in milliseconds."""
    stage.sandbox.reset()
    said, watch, dice = dict[str, float](), Watch(), random.Random(1)
    with database_cursor() as cursor:
        watch.look(cursor)
        next_at, deadline = time.monotonic(), time.monotonic() + count / rate + 60
        while len(watch.seen.keys() & said.keys()) < count:
            if len(said) < count and time.monotonic() >= next_at:
                message_id, at = chat.say()
                said[message_id] = at
                next_at += dice.expovariate(rate)
            watch.look(cursor)
            time.sleep(0.001)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(watch.seen)} of {count} messages were recorded")
    stage.expected += count * MEMBERS
    stage.wait_until_done(seconds=300)
    recorded = [(watch.seen[key] - at) * 1_000 for key, at in said.items()]
    received = [(entry["time"] - said[entry["custom"]["message_id"]]) * 1_000 for entry in stage.sandbox.received()]
    return {"messages": count, **_shares("recorded", recorded), **_shares("provider", received)}


def _shares(name: str, found: list[float]) -> Row:
    return {f"{name} p{int(share * 100)} ms": harness.percentile(found, share) for share in (0.5, 0.95, 0.99)}


def waiting_cost(stage: Scene, seconds: float) -> float:
    """Percent of one core that the scanner needs while nothing is said."""
    scanner = stage.machine.running[-1:]
    before = harness.cpu_seconds(scanner)
    time.sleep(seconds)
    return (harness.cpu_seconds(scanner) - before) / seconds * 100


def latency_rows(quick: bool) -> Iterator[Row]:
    modes: list[tuple[str, float, int, list[str]]] = [
        ("doorbell, 2/s", 2, 30 if quick else 100, []),
        ("doorbell, 50/s", 50, 200 if quick else 1_000, []),
        ("polling 2 s, 2/s", 2, 30 if quick else 100, ["--no-doorbell", "--interval", "2"]),
    ]
    if not quick:
        modes.append(("polling 10 s, 2/s", 2, 100, ["--no-doorbell", "--interval", "10"]))
    for name, rate, count, arguments in modes:
        with prepared() as (stage, chat), stage.machine.process("runscanner", "group", *arguments):
            time.sleep(6)
            idle = waiting_cost(stage, 5 if quick else 20)
            yield {"mode": name, **measure(stage, chat, count, rate), "idle CPU %": idle}


def catch_up(count: int) -> Row:
    """Messages a second that the scanner alone stores after it was away."""
    with prepared(lanes=()) as (stage, chat):
        stage.machine.manage("runscanner", "group", "--once")
        for _ in range(count // 1_000):
            chat.chats.insert_many([chat.message() for _ in range(1_000)])
        with database_cursor() as cursor, stage.machine.process("runscanner", "group") as scanner:
            watch, begun = Watch(), time.monotonic()
            harness.wait_until(lambda: watch.look(cursor) > 0, seconds=60, every=0.001)
            first, begun = len(watch.seen), time.monotonic()
            harness.wait_until(lambda: watch.look(cursor) >= count, seconds=300)
            rate = (count - first) / (time.monotonic() - begun)
            return {"messages": count, "messages/s": rate, "scanner RSS MB": harness.rss_megabytes([scanner])}


@contextlib.contextmanager
def prepared(lanes: tuple[str, ...] = ("group",)) -> Iterator[tuple[Scene, Chat]]:
    with (
        embedded.temporary_folder() as folder,
        embedded.running(embedded.Mongod(folder / "mongod")) as server,
        scene(
            accounts=MEMBERS + 1,
            latency_ms=20,
            lanes=lanes,
            intake=False,
            MONGO_URL=server.url,
            COALESCE_SECONDS="0",
            BACKLOG_JOBS="1000000",
        ) as stage,
    ):
        yield stage, Chat(stage.machine.environment["MONGO_URL"], MEMBERS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench chat")
    parser.add_argument("--quick", action="store_true", help="fewer messages, and no row at 10 s")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="some of the parts")
    parser.add_argument("--rounds", type=int, default=5, help="messages to the large group")
    chosen = parser.parse_args()
    found: dict[str, list[Row]] = {}
    if "crowd" in chosen.only:
        found["crowd"] = list(crowd.rows(2 if chosen.quick else chosen.rounds))
        title = f"a group of {crowd.MEMBERS:,}, {crowd.OFFLINE:,} offline: insert → last call ({crowd.LATENCY_MS} ms)"
        harness.table(f"chat: {title}; goal 2 s", found["crowd"])
    if "latency" in chosen.only:
        found["latency"] = list(latency_rows(chosen.quick))
        title = f"insert → record committed → provider (20 ms, {GROUPS} groups of {MEMBERS})"
        harness.table(f"chat: {title}; goal for p95: 500 ms, when polling after the interval", found["latency"])
    if "catching_up" in chosen.only:
        found["catching_up"] = [catch_up(5_000 if chosen.quick else 50_000)]
        harness.table("chat: catching up", found["catching_up"])
    every = [{"part": part, **row} for part, rows in found.items() for row in rows]
    harness.write("chat", every, groups=GROUPS, members=MEMBERS, provider_latency_ms=20)


if __name__ == "__main__":
    main()
