"""The producers' side: PHP-serialised pushes on the raw list, and chat messages in MongoDB.

A producer counts a message as handed over once Redis or MongoDB has acknowledged it (with replicas: those, too), and
repeats what was not acknowledged, under the same id, as a careful backend would.
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
    """How many messages of each kind, spread evenly over `seconds`; with `ends_with_harm` none after the last harm."""

    system: int = 0
    group: int = 0
    private: int = 0
    seconds: float = 3.0
    types: Sequence[int] = (*KEEPING, *RESENDING)
    ends_with_harm: bool = False


@dataclass(slots=True)
class HandedOver:
    """What producers know to have been taken, and at which Unix time."""

    system: set[str] = field(default_factory=set)
    chat: set[str] = field(default_factory=set)
    at: dict[str, float] = field(default_factory=dict)


class Producer(threading.Thread):
    """Hands over a plan's messages. Ids start with `name`, and sort in the order of production."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        accounts: Sequence[str],
        *,
        redis_client: redis.Redis,
        mongo_url: str,
        seed: int,
        replicas: int = 0,
    ) -> None:
        super().__init__(name=f"producer-{name}", daemon=True)
        self.handed_over = HandedOver()
        self._plan, self._accounts = plan, accounts
        self._random = random.Random(seed)
        self._redis, self._replicas = redis_client, replicas
        self._mongo_url = mongo_url
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        plan = self._plan
        rounds = max(1, -(-max(plan.system, plan.group, plan.private) // BATCH))
        client: MongoClient[dict[str, Any]] = MongoClient(
            self._mongo_url or None, serverSelectionTimeoutMS=2_000, w="majority", readConcernLevel="majority"
        )
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
                is_safe = self._hand_over(raws)
            except redis.RedisError:
                is_safe = False
            if not is_safe:
                time.sleep(0.05)
                continue
            self.handed_over.system.update(batch)
            self.handed_over.at.update(dict.fromkeys(batch, time.time()))
            return

    def _hand_over(self, raws: Sequence[bytes]) -> bool:
        """Whether so many replicas have the messages, too; see docs/operations.md. Raises redis.RedisError."""
        # Over one connection: WAIT speaks of what that one has written.
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.rpush(RAW_LIST, *raws)
        if self._replicas:
            pipeline.execute_command("WAIT", self._replicas, 1_000)
        return bool(pipeline.execute()[-1] >= self._replicas)

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
            self.handed_over.at.update(dict.fromkeys(documents, time.time()))
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
            members = _members(self._accounts, self._random.randrange(GROUPS))
            sender = members[number % GROUP_SIZE]
            return common | {"group_id": _group_id(members), "user": {"user_id": sender}}
        sender, recipient = self._accounts[pair], self._accounts[PAIRS + pair]
        return common | {"user": {"user_id": sender}, "to_user": {"user_id": recipient}}


def _share(total: int, number: int, rounds: int) -> range:
    return range(total * number // rounds, total * (number + 1) // rounds)


def _members(accounts: Sequence[str], group: int) -> list[str]:
    return list(accounts[group * GROUP_SIZE : (group + 1) * GROUP_SIZE])


def _group_id(members: Sequence[str]) -> str:
    return f"group{members[0]}"


def populate_chats(mongo_url: str, *circles: Sequence[str]) -> None:
    """Groups within each circle of accounts, the indexes that the scanners read by, and a first message: scanners
    start at the newest."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with client:
        chats = client.get_default_database("higo")
        for members in (_members(accounts, group) for accounts in circles for group in range(GROUPS)):
            chats["groups"].insert_one({"group_id": _group_id(members), "app": "higo", "members": members})
        chats["groups"].create_index("group_id")
        for collection in ("chats", "private_chats"):
            chats[collection].create_index([("createAt", 1), ("_id", 1)])
