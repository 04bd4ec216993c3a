"""Chat documents as HIGO's chat servers write them. Every argument has a sensible default."""

import itertools
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId

_numbers = itertools.count(1)

Document = dict[str, Any]

#: How `createAt` may be stored; each makes the stored value of a Unix time in seconds.
TIMES: dict[str, Callable[[float], Any]] = {
    "text_milliseconds": lambda at: str(int(at * 1000)),
    "text_seconds": lambda at: str(int(at)),
    "int_milliseconds": lambda at: int(at * 1000),
    "int_seconds": lambda at: int(at),
    "float_seconds": lambda at: float(at),
    "float_milliseconds": lambda at: float(int(at * 1000)),
    "date": lambda at: datetime.fromtimestamp(at, timezone.utc),
}


def group_document(
    text: str = "你好", *, at: float | None = None, time_as: str = "text_milliseconds", **fields: Any
) -> Document:
    """A message of user 1 in group 7."""
    created_at = TIMES[time_as](time.time() if at is None else at)
    document = {"_id": ObjectId(), "seq": next(_numbers), "group_id": 7, "createAt": created_at, "type": "text"}
    return document | {"data": text, "user": {"user_id": 1, "nickname": "小王"}} | fields


def private_document(text: str = "在吗", *, at: float | None = None, **fields: Any) -> Document:
    """A message from user 1 to user 2."""
    document = group_document(text, at=at)
    del document["group_id"]
    return document | {"to_user": {"user_id": 2}} | fields


def group(group_id: Any = 7, members: tuple[Any, ...] = (1, 2, 3), **fields: Any) -> Document:
    return {"group_id": group_id, "name": "团购群", "owner_id": 1, "app": "higo", "members": list(members)} | fields
