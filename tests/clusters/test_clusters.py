"""The clusters that other tests hurt do what they are for: another takes over."""

from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.clusters.hosts import loopback
from tests.clusters.replica_set import ReplicaSet
from tests.clusters.sentinel import Sentinels
from tests.needs import needs


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("redis-sentinel")


def test_sentinels_make_a_replica_the_master_when_the_master_dies(tmp_path: Path):
    cluster = Sentinels(tmp_path / "sentinels", loopback(3))
    try:
        cluster.start()
        with cluster.redis[0].client() as client:
            client.set("key", "value")
            assert client.wait(2, 1_000) == 2
        cluster.redis[0].kill()
        with cluster.redis[cluster.wait_for_another(0)].client() as client:
            assert client.get("key") == b"value"
    finally:
        cluster.stop()


def test_a_replica_set_has_another_primary_when_the_primary_is_killed(tmp_path: Path):
    cluster = ReplicaSet(tmp_path / "set", loopback(3))
    try:
        cluster.start()
        with MongoClient[dict[str, object]](cluster.url) as client:
            rows = client.get_default_database()["rows"]
            rows.insert_one({"_id": 1})
            former = cluster.wait_for_primary()
            cluster.nodes[former].kill()
            assert cluster.wait_for_primary(other_than=former) != former
            assert rows.find_one() == {"_id": 1}
    finally:
        cluster.stop()
