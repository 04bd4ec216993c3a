"""A message that only the primary had when it died: MongoDB takes it back, so it must not have been pushed."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from chatscan.mongo.connection import ChatStoreError
from higo_push.running import embedded
from tests.chatscan.conftest import read_all, texts
from tests.chatscan.making import group, group_document
from tests.clusters.hosts import loopback
from tests.clusters.replica_set import ReplicaSet
from tests.clusters.sentinel import wait_until


@pytest.fixture
def cluster() -> Iterator[ReplicaSet]:
    with embedded.temporary_folder() as folder:
        made = ReplicaSet(folder / "set", loopback(3))
        try:
            made.start()
            yield made
        finally:
            made.stop()


def test_a_message_that_is_taken_back_is_not_pushed_and_hides_no_other(cluster, settings, start):
    settings.MONGO_URL = cluster.url
    with MongoClient[dict[str, Any]](cluster.url, w="majority") as client:
        database = client.get_default_database()
        database.groups.create_index("group_id")
        database.groups.insert_one(group())
        database.chats.create_index([("createAt", 1), ("_id", 1)])
        database.chats.insert_one(group_document("old", at=time.time() - 60))
        scanner = start()
        former = cluster.wait_for_primary()
        others = [node for number, node in enumerate(cluster.nodes) if number != former]
        for node in others:
            node.replicate(False)
        unsafe = database.chats.with_options(write_concern=WriteConcern(w=1))
        unsafe.insert_one(group_document("taken back", at=time.time() + 30))
        assert unsafe.count_documents({}) == 2
        assert read_all(scanner) == 0
        cluster.nodes[former].kill()
        for node in others:
            node.replicate(True)
        cluster.wait_for_primary(other_than=former)
        database.chats.insert_one(group_document("later, and of an earlier time"))
        wait_until(lambda: _reads(scanner), "the scanner to read from the new primary", 20)
        cluster.nodes[former].start()
        wait_until(lambda: _names(cluster, former) == ["old", "later, and of an earlier time"], "the roll-back", 30)
        read_all(scanner)
        scanner.look_back(timezone.now())
    assert texts() == ["小王: later, and of an earlier time"]


def _reads(scanner) -> bool:
    try:
        return read_all(scanner) > 0
    except ChatStoreError:
        return False


def _names(cluster: ReplicaSet, number: int) -> list[str]:
    """What this member has, by its own word; nothing while it is rolling back."""
    with cluster.nodes[number].client() as client, contextlib.suppress(PyMongoError):
        found = client.get_database(embedded.MONGO_DATABASE).chats.find({}, {"data": 1}).sort("seq")
        return [document["data"] for document in found]
    return []
