"""One message to a group of 10,000 of whom 9,000 are offline: MongoDB insert → last provider call.

Real parts as in `bench chat`, with the product's own defaults (bursts coalesce). Members have Android and iOS
phones, so the message is created twice at the provider and sent as lists under two keys. Each round's message
goes to a group of its own, so that no burst holds anything back. The times are the sandbox's and this
process's own, on one machine.
"""

import contextlib
import time
from collections.abc import Iterator
from datetime import timezone
from typing import Any

import redis
from bson import ObjectId
from pymongo import MongoClient

from bench import harness
from bench.one_to_one import the_original
from bench.scene import Scene, scene
from higo_push.running import embedded

MEMBERS, ONLINE = 10_000, 999
#: Everyone but the sender, who is a member and offline, and those who are online.
OFFLINE = MEMBERS - ONLINE - 1
SENDER = "0"
#: Xinge tells the platform by the access id.
IOS_ACCESS_ID = harness.ACCESS_ID + 100_000_000
IOS_SECRET = "0" * 31 + "1"
LATENCY_MS = 20
Row = dict[str, Any]


def rows(rounds: int) -> Iterator[Row]:
    """One row a round, the original's loop in the same run beside each."""
    with _prepared(rounds) as (stage, client), stage.machine.process("runscanner", "group"):
        time.sleep(6)
        _say(stage, client, 0)
        for number in range(1, rounds + 1):
            ours = _say(stage, client, number)
            seconds, pushes = the_original(stage, 1, LATENCY_MS)
            # Its loop is one call after the other, so a share of the members says how long all would take.
            yield {"round": number, **ours, "original/s": pushes / seconds, "original, s": OFFLINE * seconds / pushes}


@contextlib.contextmanager
def _prepared(rounds: int) -> Iterator[tuple[Scene, "MongoClient[dict[str, Any]]"]]:
    with (
        embedded.temporary_folder() as folder,
        embedded.running(embedded.Mongod(folder / "mongod")) as server,
        scene(accounts=1, latency_ms=LATENCY_MS, lanes=("group",), intake=False, MONGO_URL=server.url) as stage,
    ):
        _import_people(stage)
        client: MongoClient[dict[str, Any]] = MongoClient(server.url)
        database = client[embedded.MONGO_DATABASE]
        people = [str(number) for number in range(MEMBERS)]
        group = {"name": "面膜团", "owner_id": SENDER, "app": "higo", "members": people}
        database["groups"].insert_many({"group_id": f"crowd{number}", **group} for number in range(rounds + 1))
        database["groups"].create_index("group_id")
        database["chats"].create_index([("createAt", 1), ("_id", 1)])
        yield stage, client


def _import_people(stage: Scene) -> None:
    """Every other member has an iPhone; the first ones are online."""
    machine = stage.machine
    stage.sandbox.add_key(IOS_ACCESS_ID, IOS_SECRET)
    ini = machine.folder / "ios.ini"
    ini.write_text(f"ios_higo_appid = {IOS_ACCESS_ID}\nios_higo_skey = {IOS_SECRET}\n")
    machine.manage("importappkeys", str(ini), "--provider", "sandbox")
    csv = machine.folder / "people.csv"
    lines = [
        f"{number},higo,{'ios' if number % 2 else 'android'},production,{number:064x}" for number in range(1, MEMBERS)
    ]
    csv.write_text("\n".join(["account_id,app,platform,environment,token", *lines]) + "\n")
    machine.manage("importdevices", str(csv))
    redis.Redis.from_url(machine.redis_url).mset({f"higo:online:{number}": 1 for number in range(1, ONLINE + 1)})


def _say(stage: Scene, client: "MongoClient[dict[str, Any]]", number: int) -> Row:
    """Insert one message; seconds from then until each stage was through."""
    stage.sandbox.reset()
    stage.expected += OFFLINE
    begun = time.time()
    document = {"_id": ObjectId(), "seq": number, "group_id": f"crowd{number}", "type": "text"}
    document |= {"createAt": str(int(begun * 1_000)), "data": "新品到货，欢迎下单"}
    client[embedded.MONGO_DATABASE]["chats"].insert_one(document | {"user": {"user_id": SENDER, "nickname": "小王"}})
    # Seldom, because each look costs the machine that is being measured a new connection.
    harness.wait_until(lambda: stage.accepted() >= stage.expected, seconds=60, every=0.2, what="the last acceptance")
    stage.wait_until_done(seconds=1)
    recorded = time.time() - begun
    received = [entry["time"] for entry in stage.sandbox.received()]
    if len(received) != OFFLINE:
        raise AssertionError(f"{len(received)} phones got it, {OFFLINE} expected")
    found = stage.machine.query(
        f"SELECT created_at FROM pushes_pushrecord WHERE message_id = '{document['_id']}'"  # an ObjectId
    )
    return {
        "pushes": OFFLINE,
        "submitted, s": found[0][0].replace(tzinfo=timezone.utc).timestamp() - begun,
        "first call, s": min(received) - begun,
        "last call, s": max(received) - begun,
        "recorded, s": recorded,
    }
