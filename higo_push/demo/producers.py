"""The systems around the platform, each played by its own means: the PHP backend, the chat server, its presence.

No call goes through the platform's code: this module writes to Redis and MongoDB what those systems write.
"""

import itertools
import time
from collections.abc import Iterable
from typing import Any

from pymongo import MongoClient

from higo_push.demo.people import Group, Person
from higo_push.demo.scenario import Chat
from pushes.lanes import RAW_LIST
from pushes.names import Kind
from pushes.storage import shared_redis

COLLECTIONS = {Kind.GROUP: "chats", Kind.PRIVATE: "private_chats"}
PRESENCE_SECONDS = 3_600


class Surroundings:
    """The demo's Redis and MongoDB from the side of their other users. Close it at the end."""

    def __init__(self, redis_url: str, mongo_url: str) -> None:
        self._redis = shared_redis.connect(redis_url, socket_timeout=10)
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
        self._database = self._mongo.get_default_database()
        self._sequence = itertools.count(1)

    def close(self) -> None:
        self._redis.close()
        self._mongo.close()

    def push_raw(self, elements: Iterable[bytes]) -> None:
        """Push a message as the PHP backend does after an event of an order."""
        self._redis.rpush(RAW_LIST, *elements)

    def set_presence(self, person: Person, *, is_online: bool) -> None:
        """Write the presence as the chat server does when a user connects or leaves."""
        key = f"higo:online:{person.account_id}"
        if is_online:
            self._redis.set(key, "1", ex=PRESENCE_SECONDS)
        else:
            self._redis.delete(key)

    def say(self, chat: Chat) -> None:
        """Store a chat message as the chat server does: with a sequence, and the time in milliseconds as text."""
        stamped = {"seq": next(self._sequence), "createAt": str(time.time_ns() // 1_000_000), **chat.document}
        self._database[COLLECTIONS[chat.kind]].insert_one(stamped)

    def make_collections(self, groups: Iterable[Group]) -> None:
        """Make the collections with the indexes that the scanners read, and the groups."""
        for name in COLLECTIONS.values():
            self._database[name].create_index([("createAt", 1), ("_id", 1)])
        self._database["groups"].create_index("group_id")
        self._database["groups"].insert_many(_group_document(group) for group in groups)


def _group_document(group: Group) -> dict[str, Any]:
    return {
        "group_id": group.group_id,
        "name": group.name,
        "owner_id": group.owner_id,
        "app": group.app.value,
        "members": list(group.members),
    }
