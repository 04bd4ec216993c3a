"""A scanner's whole life under MongoDB's own profiler: no read ever goes through a collection."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatscan import positions
from chatscan.models import ScannerPosition
from tests.chatscan.conftest import read_all
from tests.chatscan.making import TIMES, group, group_document

pytestmark = pytest.mark.django_db
MESSAGES = 300
READS = ("query", "getmore", "command")


@pytest.fixture
def profiled(chats: Any, mongo_db: Any) -> Any:
    """Every operation on the database is written to system.profile."""
    mongo_db.groups.insert_many(group(number) for number in range(100, 100 + MESSAGES))
    chats.insert_many(group_document(at=time.time() - 500 - number) for number in range(MESSAGES))
    mongo_db.command({"profile": 2})
    yield mongo_db
    mongo_db.command({"profile": 0})


def plans(mongo_db: Any, collection: str) -> list[tuple[str, int, str]]:
    """How each read of a collection was done, how many documents or keys it looked at, and what it asked."""
    found = mongo_db["system.profile"].find({"ns": f"{mongo_db.name}.{collection}", "op": {"$in": READS}})
    return [
        (
            entry["planSummary"],
            max(entry.get("docsExamined", 0), entry.get("keysExamined", 0)),
            str(entry["command"].get("filter", entry["command"])),
        )
        for entry in found
        if "planSummary" in entry
    ]


def test_no_read_of_a_scanners_whole_life_scans_a_collection(profiled: Any, chats: Any, start: Any) -> None:
    scanner, now = start(), time.time()
    chats.insert_many(
        group_document(str(n), at=now - 20 + n, time_as=name, group_id=100 + n) for n, name in enumerate(TIMES)
    )
    chats.insert_many(group_document(createAt=value) for value in (None, "yesterday", 5, True))
    assert read_all(scanner) == len(TIMES)
    chats.insert_one(group_document("late", at=now - 30))
    assert scanner.look_back(timezone.now()) == 1
    assert scanner.look_aside(timezone.now()) == 4
    ScannerPosition.objects.update(position_at=timezone.now())
    assert positions.preview_rewind("group", timezone.now() - timedelta(minutes=5)).documents == len(TIMES) + 1
    found = [*plans(profiled, "chats"), *plans(profiled, "groups")]
    assert len(found) > 30
    # Whether a collection is empty is answered by its first document, index or not.
    assert [plan for plan in found if plan[0] == "COLLSCAN" and plan[1] > 1] == []
    assert [plan for plan in found if plan[1] >= MESSAGES] == []
