"""A chat database with its indexes, and a scanner over it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from pymongo.collection import Collection
from pymongo.database import Database

from chatscan.positions import open_scanner
from chatscan.scanning.scanner import Scanner
from pushes.models import PushRecord
from tests.chatscan.making import group

Chats = Collection[dict[str, Any]]


@pytest.fixture
def chats(mongo_db: Database[dict[str, Any]]) -> Chats:
    """The group collection with its index, and one group: 7, with the members 1, 2 and 3."""
    mongo_db.groups.create_index("group_id")
    mongo_db.groups.insert_one(group())
    mongo_db.chats.create_index([("createAt", 1), ("_id", 1)])
    return mongo_db.chats


@pytest.fixture
def private_chats(mongo_db: Database[dict[str, Any]]) -> Chats:
    mongo_db.private_chats.create_index([("createAt", 1), ("_id", 1)])
    return mongo_db.private_chats


@pytest.fixture
def start(db: None) -> Iterator[Callable[..., Scanner]]:
    """`start("group")`: a scanner that has taken its first position."""
    with contextlib.ExitStack() as stack:

        def start_scanner(kind: str = "group") -> Scanner:
            scanner, _ = stack.enter_context(open_scanner(kind))
            scanner.prepare(timezone.now())
            return scanner

        yield start_scanner


def read_all(scanner: Scanner) -> int:
    """Read on to the end; returns the number of pushes."""
    accepted = 0
    while True:
        step = scanner.forward(timezone.now())
        accepted += step.accepted
        if step.is_caught_up:
            return accepted


def texts() -> list[str]:
    """What was submitted, in order."""
    return list(PushRecord.objects.order_by("id").values_list("text", flat=True))
