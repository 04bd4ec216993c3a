"""A delivery row while it is being decided, and its form in the bulk insert."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

from pushes.names import Reason, Status
from pushes.storage import bulk
from pushes.values import DeviceTarget


class Pending(NamedTuple):
    """What distribution reads of a record: not its text, which only the sender needs."""

    id: int
    kind: str
    push_type: int
    shard: int
    app: str
    platform: str
    accounts: list[str]
    conversation: str
    sender_id: str
    expires_at: datetime
    broadcast_id: int | None
    source: str = ""


@dataclass(slots=True)
class Draft:
    """`device` and `key_id` are None for a recipient that was refused before a device was chosen.
    `order_key` is set while the row is live and belongs to a conversation; `stands_for` counts messages, and `burst`
    names the burst whose messages those are."""

    record: Pending
    account_id: str
    device: DeviceTarget | None
    key_id: int | None
    status: Status
    reason: Reason | None
    due_at: datetime
    order_key: int | None = None
    stands_for: int = 1
    burst: int | None = None


def order_key(conversation: str, token: str) -> int | None:
    """Names what must leave in order: one conversation on one device. None outside conversations."""
    if not conversation:
        return None
    return crc32(conversation.encode()) << 31 | crc32(token.encode()) >> 1


class Row(NamedTuple):
    """A DeliveryResult's columns, in the database's own form."""

    record_id: int
    kind: str
    push_type: int
    shard: int
    app: str
    platform: str
    environment: str
    account_id: str
    device_id: int | None
    token: str
    app_key_id: int | None
    status: str
    reason: str
    order_key: int | None
    stands_for: int
    burst: int | None
    due_at: Any
    expires_at: Any
    created_at: Any
    finished_at: Any


def rows(drafts: Sequence[Draft], now: datetime) -> list[Row]:
    """The drafts as they are inserted; `now` is when they were created."""
    return [_row(draft, bulk.db_datetime(now)) for draft in drafts]


def _row(draft: Draft, now: Any) -> Row:
    record, device = draft.record, draft.device
    # By position: by name it takes three times as long, of every row.
    return Row(
        record.id,
        record.kind,
        record.push_type,
        record.shard,
        record.app,
        device.platform.value if device else record.platform,
        device.environment.value if device else "",
        draft.account_id,
        device.device_id if device else None,
        device.token if device else "",
        draft.key_id,
        draft.status.value,
        draft.reason.value if draft.reason else "",
        draft.order_key,
        draft.stands_for,
        draft.burst,
        bulk.db_datetime(draft.due_at),
        bulk.db_datetime(record.expires_at),
        now,
        now if draft.status is Status.SKIPPED else None,
    )
