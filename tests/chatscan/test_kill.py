"""SIGKILL at random moments: nothing is lost and nothing is doubled."""

import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from pymongo import MongoClient

from chatscan.models import ScannerPosition
from pushes.models import PushRecord
from tests.chatscan.making import group, group_document
from tests.chatscan.processes import running, wait_for

KILLS = 6


class Writer(threading.Thread):
    """Writes messages all the while: with equal times, up to `latest` seconds late, some of them not for pushing."""

    def __init__(self, chats, time_as: str, latest: float) -> None:
        super().__init__()
        self._chats, self._time_as, self._latest, self._random = chats, time_as, latest, random.Random(7)
        self.over = threading.Event()
        self.pushable: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            documents = [self._document() for _ in range(self._random.randint(1, 12))]
            self._chats.insert_many(documents, ordered=False)
            self.pushable += [str(document["_id"]) for document in documents if document["type"] == "text"]
            time.sleep(self._random.uniform(0, 0.03))

    def _document(self):
        kind = self._random.choice(["text", "text", "text", "recall", "hologram"])
        at = time.time() - self._latest * self._random.choice([0, 0, 0, 0.1, 1])
        return group_document(at=at, time_as=self._time_as, type=kind)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("time_as", "latest", "overlap"),
    [
        ("text_seconds", 10, "60"),
        ("int_milliseconds", 10, "60"),
        # Without looking back, the position alone answers for it.
        ("float_seconds", 0, "0"),
    ],
)
def test_killed_at_any_moment_every_message_is_submitted_exactly_once(
    chats, process_environment, redis_client, tmp_path, time_as, latest, overlap
):
    _kill_and_count(chats, process_environment, tmp_path, time_as, latest, overlap)


@pytest.mark.chaos
def test_without_a_replica_set_as_well(standalone_mongo, process_environment, redis_client, tmp_path):
    """No change stream, so every message is found by polling."""
    name = f"kill_{time.time_ns()}"
    client: MongoClient[dict[str, Any]] = MongoClient(standalone_mongo)
    with client:
        client[name].groups.insert_one(group())
        client[name].chats.create_index([("createAt", 1), ("_id", 1)])
        environment = {**process_environment, "MONGO_URL": standalone_mongo, "CHAT_DATABASE": name}
        _kill_and_count(client[name].chats, environment, tmp_path, "text_milliseconds", 10, "60")
        client.drop_database(name)
    assert ScannerPosition.objects.get().mode == "polling"


def _kill_and_count(chats, inherited, tmp_path, time_as, latest, overlap) -> None:
    environment = {**inherited, "SCAN_BATCH": "20", "CHAT_OVERLAP_SECONDS": overlap}
    writer, dice = Writer(chats, time_as, latest), random.Random()
    with running(environment, tmp_path / "log", "group", "--interval", "0.3"):
        wait_for(ScannerPosition.objects.exists, "the first position")
    writer.start()
    try:
        for _ in range(KILLS):
            with running(environment, tmp_path / "log", "group", "--interval", "0.3"):
                time.sleep(dice.uniform(0.6, 2.0))
    finally:
        writer.over.set()
        writer.join()
    with running(environment, tmp_path / "log", "group", "--interval", "0.3"):
        wait_for(lambda: PushRecord.objects.count() >= len(writer.pushable), "the rest", 60)
        time.sleep(1)
    submitted = Counter(PushRecord.objects.values_list("message_id", flat=True))
    assert len(writer.pushable) > 100
    assert submitted == Counter(writer.pushable)
