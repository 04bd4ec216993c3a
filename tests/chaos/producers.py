"""The producers' side: PHP-serialised pushes on the raw list, and chat messages in MongoDB.

A producer counts a message as handed over once Redis or MongoDB has acknowledged it, and repeats what was
not acknowledged, under the same id, as a careful backend would.
"""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import phpserialize
import redis
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

RAW_LIST = "hg_message_queue"
BATCH = 20
#: Push types whose unknown outcomes are kept (shop approved, taken off sale) and sent again (payment, order).
KEEPING, RESENDING = (15, 17), (8, 5)
GROUPS, GROUP_SIZE, PAIRS = 8, 25, 30


@dataclass(frozen=True, slots=True)
class Plan:
    """How many messages of each kind, spread evenly over `seconds`."""

    system: int = 0
    group: int = 0
    private: int = 0
    seconds: float = 3.0
    types: Sequence[int] = (*KEEPING, *RESENDING)


@dataclass(slots=True)
class HandedOver:
    """What producers know to have been taken."""

    system: set[str] = field(default_factory=set)
    chat: set[str] = field(default_factory=set)


class Producer(threading.Thread):
    """Hands over a plan's messages. Ids start with `name`, and sort in the order of production."""

    def __init__(
        self, name: str, plan: Plan, accounts: Sequence[str], *, redis_url: str, mongo_url: str, seed: int
    ) -> None:
        super().__init__(name=f"producer-{name}", daemon=True)
        self.handed_over = HandedOver()
        self._plan, self._accounts = plan, accounts
        self._random = random.Random(seed)
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._mongo_url = mongo_url
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        plan = self._plan
        rounds = max(1, -(-max(plan.system, plan.group, plan.private) // BATCH))
        client: MongoClient[dict[str, Any]] = MongoClient(self._mongo_url or None, serverSelectionTimeoutMS=2_000)
        with client, self._redis:
            chats = client.get_default_database("higo")
            start = time.monotonic()
            for number in range(rounds):
                self._stop_asked.wait(max(0.0, start + plan.seconds * number / rounds - time.monotonic()))
                if self._stop_asked.is_set():
                    return
                self._push(_share(plan.system, number, rounds))
                self._chat(chats, "chats", _share(plan.group, number, rounds))
                self._chat(chats, "private_chats", _share(plan.private, number, rounds))

    def _push(self, numbers: range) -> None:
        batch = {f"{self.name}-s{number:06}": number for number in numbers}
        if not batch:
            return
        raws = [phpserialize.dumps(self._order(message_id, number)) for message_id, number in batch.items()]
        while not self._stop_asked.is_set():
            try:
                self._redis.rpush(RAW_LIST, *raws)
            except redis.RedisError:
                time.sleep(0.05)
                continue
            self.handed_over.system.update(batch)
            return

    def _order(self, message_id: str, number: int) -> dict[str, Any]:
        types = self._plan.types
        return {
            "type": types[number % len(types)],
            "to_id": self._random.choice(self._accounts),
            "app": "higo",
            "message": f"订单 {number} 有新的进展",
            "data": {"message_id": message_id},
            "msg_id": message_id,
        }

    def _chat(self, chats: Database[dict[str, Any]], collection: str, numbers: range) -> None:
        documents = {document["_id"]: document for document in (self._document(collection, n) for n in numbers)}
        while documents and not self._stop_asked.is_set():
            try:
                # Some may be there already, if only the answer to the last try was lost.
                there = {
                    found["_id"] for found in chats[collection].find({"_id": {"$in": list(documents)}}, {"_id": 1})
                }
                rest = [document for key, document in documents.items() if key not in there]
                if rest:
                    chats[collection].insert_many(rest, ordered=True)
            except PyMongoError:
                time.sleep(0.05)
                continue
            self.handed_over.chat.update(documents)
            return

    def _document(self, collection: str, number: int) -> dict[str, Any]:
        is_group = collection == "chats"
        common = {
            "_id": f"{self.name}-{'g' if is_group else 'p'}{number:06}",
            "seq": number,
            "createAt": f"{time.time_ns() // 1_000}",
            "type": "text",
            "data": f"第 {number} 条消息",
        }
        pair = self._random.randrange(PAIRS)
        if is_group:
            group = self._random.randrange(GROUPS)
            sender = self._accounts[group * GROUP_SIZE + number % GROUP_SIZE]
            return common | {"group_id": f"group{group}", "user": {"user_id": sender}}
        sender, recipient = self._accounts[pair], self._accounts[PAIRS + pair]
        return common | {"user": {"user_id": sender}, "to_user": {"user_id": recipient}}


def _share(total: int, number: int, rounds: int) -> range:
    return range(total * number // rounds, total * (number + 1) // rounds)


def populate_chats(mongo_url: str, accounts: Sequence[str]) -> None:
    """Groups, the indexes that the scanners read by, and a first message: scanners start at the newest."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with client:
        chats = client.get_default_database("higo")
        for group in range(GROUPS):
            members = list(accounts[group * GROUP_SIZE : (group + 1) * GROUP_SIZE])
            chats["groups"].insert_one({"group_id": f"group{group}", "app": "higo", "members": members})
        chats["groups"].create_index("group_id")
        for collection in ("chats", "private_chats"):
            chats[collection].create_index([("createAt", 1), ("_id", 1)])
