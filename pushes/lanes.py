"""Lanes, shards and the names of the RQ queues. Pure: settings are built from it.

The names are those of the replaced system, so that dashboards and habits carry over. An RQ queue is the key
`rq:queue:<name>`; the raw list `hg_message_queue` that the PHP backend writes is another key.
"""

from functools import lru_cache
from zlib import crc32

SYSTEM, GROUP, PRIVATE, BROADCAST = "system", "group", "private", "broadcast"
LANES = (SYSTEM, GROUP, PRIVATE, BROADCAST)
SHARDED = (GROUP, PRIVATE)

RAW_LIST = "hg_message_queue"
#: Exports that operators request. The broadcast lane's workers write them when they have no pushes to send.
EXPORT_QUEUE = "higo_export_queue"


def shard_of(lane: str, conversation: str, queue_max: int) -> int:
    """Return the shard that serves `conversation`: 1…queue_max, or 0 in a lane without shards.

    The hash is stable across processes and releases, so a conversation keeps its queue and its order.
    """
    if lane not in SHARDED:
        return 0
    return crc32(conversation.encode()) % queue_max + 1


def distribute_queue(lane: str, shard: int = 0) -> str:
    if lane == SYSTEM:
        return "hg_message_queue"
    if lane == BROADCAST:
        return "higo_broadcast_queue"
    return f"higo_{lane}_chat_message{shard}"


def send_queue(lane: str, shard: int = 0) -> str:
    if lane == SYSTEM:
        return "hg_xinge_queue"
    if lane == BROADCAST:
        return "higo_broadcast_xinge_queue"
    return f"higo_{lane}_xinge_queue{shard}"


def send_queues(lane: str, queue_max: int) -> list[str]:
    return [send_queue(lane, n) for n in shards(lane, queue_max)]


def shards(lane: str, queue_max: int) -> list[int]:
    return list(range(1, queue_max + 1)) if lane in SHARDED else [0]


def queue_names(lane: str, queue_max: int) -> list[str]:
    """Return every RQ queue of a lane, send queues first: pushes that are nearest to the phone are finished first."""
    numbers = shards(lane, queue_max)
    more = [EXPORT_QUEUE] if lane == BROADCAST else []
    return send_queues(lane, queue_max) + [distribute_queue(lane, n) for n in numbers] + more


@lru_cache(maxsize=4)
def ordered_queues(queue_max: int) -> frozenset[str]:
    """Return the send queues whose jobs must run one after the other: those of the shards."""
    return frozenset(send_queue(lane, n) for lane in SHARDED for n in shards(lane, queue_max))
