"""The Redis half of the intake: batches leave the producers' list atomically and stay in Redis until
they are stored.

Keys, all beside the list itself:
- `<list>:taken`: hash of batch id → owner, every batch that is not finished;
- `<list>:taken:<batch id>`: the batch's raw messages;
- `<list>:intake:<owner>`: exists while the owner lives; without it, its batches may be taken over.

Every method may raise redis.RedisError. Needs Redis 6.2 or newer (BLMOVE).
"""

import logging
import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from pushes import lanes

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 10.0
#: The form of a batch's name; a name of another form is not the platform's.
_NAME = re.compile(rb"[\w-]{1,64}")

# A full Redis refuses commands that need memory, unless the script has already written: so each script begins with a
# DEL of nothing or a PEXPIRE. Moving a batch makes Redis no fuller, and is the only way to make room again.
_TAKE = """
local raws = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
if #raws == 0 then return raws end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('RPUSH', KEYS[3], unpack(raws))
redis.call('LTRIM', KEYS[1], ARGV[1], -1)
return raws
"""
_TAKE_OVER = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return false end
if ARGV[2] ~= ARGV[3] and redis.call('PTTL', KEYS[3]) >= 0 then return false end
redis.call('PEXPIRE', KEYS[4], ARGV[4])
if redis.call('TYPE', KEYS[2]).ok ~= 'list' then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[4], '1', 'PX', ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return redis.call('LRANGE', KEYS[2], 0, -1)
"""
_BEAT = """
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw messages under a unique name: `<batch_id>:<index>` identifies each of them."""

    batch_id: str
    raws: list[bytes]


class RawList:
    """One intake's view of the list. `client` must return bytes, and its time-out must exceed that of `wait`."""

    def __init__(
        self, client: Redis, *, name: str = lanes.RAW_LIST, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._client = client
        self._name = name
        self._registry = f"{name}:taken"
        self._heartbeat_ms = int(heartbeat_seconds * 1000)
        self._take = client.register_script(_TAKE)
        self._take_over = client.register_script(_TAKE_OVER)
        self._beat = client.register_script(_BEAT)

    def wait(self, seconds: int) -> bool:
        """Block until the list is not empty, or `seconds` have passed. Takes nothing.

        Moving the first element to its own place changes nothing, but blocks on an empty list.
        """
        return self._client.blmove(self._name, self._name, seconds, "LEFT", "LEFT") is not None

    def take(self, most: int) -> Batch | None:
        """Move the first `most` messages into a batch of this owner and return it; None when the list is empty."""
        batch_id = secrets.token_hex(16)
        raws = self._take(
            keys=[self._name, self._registry, self._batch_key(batch_id), self._heartbeat_key(self.owner)],
            args=[most, batch_id, self.owner, self._heartbeat_ms],
        )
        return Batch(batch_id, cast("list[bytes]", raws)) if raws else None

    def finish(self, batch: Batch) -> None:
        """Forget a batch that has been stored."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.delete(self._batch_key(batch.batch_id))
        pipeline.hdel(self._registry, batch.batch_id)
        pipeline.execute()

    def orphans(self) -> list[Batch]:
        """Take over batches whose owner is dead, and this owner's own batches whose answer was lost on the way. Never
        a living intake's batch.

        Call it only between batches: an own batch in progress would be among them.
        """
        taken = cast("dict[bytes, bytes]", self._client.hgetall(self._registry))
        if strange := [name for name in taken if not _NAME.fullmatch(name)]:
            log.error("%s: %s batches with foreign names, removed", self._registry, len(strange))
            self._client.hdel(self._registry, *cast("list[str]", strange))
        found = [self._claim(name.decode(), owner) for name, owner in taken.items() if name not in strange]
        return [batch for batch in found if batch is not None]

    def clear_keys(self) -> None:
        """Rename our keys if they hold another type of value: it would block the intake, and the producers."""
        for key, kind in ((self._name, b"list"), (self._registry, b"hash")):
            found: Any = self._client.type(key)
            if found not in (kind, b"none"):
                log.error("%s: a %s instead of a %s, renamed to %s:strange", key, found.decode(), kind.decode(), key)
                self._client.rename(key, f"{key}:strange")

    def beat(self) -> None:
        """Renew this owner's heartbeat for another `heartbeat_seconds`."""
        self._beat(keys=[self._heartbeat_key(self.owner)], args=[self._heartbeat_ms])

    def retire(self) -> None:
        """End this owner: its batches may be taken over at once."""
        self._client.delete(self._heartbeat_key(self.owner))

    def _claim(self, batch_id: str, owner: bytes) -> Batch | None:
        raws: Any = self._take_over(
            keys=[
                self._registry,
                self._batch_key(batch_id),
                self._heartbeat_key("").encode() + owner,
                self._heartbeat_key(self.owner),
            ],
            args=[batch_id, owner, self.owner, self._heartbeat_ms],
        )
        return None if raws is None else Batch(batch_id, cast("list[bytes]", raws))

    def _batch_key(self, batch_id: str) -> str:
        return f"{self._registry}:{batch_id}"

    def _heartbeat_key(self, owner: str) -> str:
        return f"{self._name}:intake:{owner}"
