"""The gate of an app key, shared by all workers through Redis: rate limit and breaker.

The rate limit is a token bucket of one second's calls. The breaker opens after a series of failures without any
answer in between, stays open for a time that doubles, then lets single probes through until one of them is answered.
All of it is soft state: losing it costs a few calls, never a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from redis import Redis
from redis.commands.core import Script

from pushes.storage import shared_redis
from pushes.workers import queues

KEY = "higo:key:{key_id}:gate"
STATE_SECONDS = 3_600

# One hash per key: tokens, at (bucket); failures, opened, open_until, tripped, probing (breaker); line (until
# when postponed calls are already spread out). Times are the Redis server's, in seconds. Foreign values there are
# ignored: they must not block a key.
_READ = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local function number(text, otherwise)
  local found = tonumber(text or '')
  if found and found >= 0 and found < 1e15 then return found end
  return otherwise
end
local function field(name) return number(redis.call('HGET', KEYS[1], name), 0) end
"""
_ADMIT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local wanted, rate, probe_seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'failures', 'open_until', 'line', 'tripped')
local open_until = number(state[4], 0)
-- What lies beyond the state's own life was written before the clock was put back.
if open_until > now and open_until <= now + ARGV[4] then return {0, tostring(open_until - now)} end
local granted = wanted
if state[6] == '1' then
  granted = math.min(wanted, 1)
  redis.call('HSET', KEYS[1], 'open_until', now + probe_seconds, 'probing', '1')
end
local wait = 0
if rate > 0 then
  local tokens = math.min(rate, number(state[1], rate) + math.max(0, now - number(state[2], now)) * rate)
  granted = math.min(granted, math.floor(tokens))
  redis.call('HSET', KEYS[1], 'tokens', tokens - granted, 'at', now)
  if granted < wanted then
    local line = math.max(number(state[5], 0), now)
    if line > now + ARGV[4] then line = now end
    wait = line - now + 1 / rate
    redis.call('HSET', KEYS[1], 'line', line + (wanted - granted) / rate)
  end
elseif granted < wanted then
  wait = probe_seconds
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {granted, tostring(wait)}
"""

_REPORT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local answered, failed, pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local threshold, base, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if answered > 0 then
  redis.call('HDEL', KEYS[1], 'failures', 'opened', 'open_until', 'tripped', 'probing')
end
if pause > 0 then
  local open_until = field('open_until')
  if open_until > now + ARGV[7] then open_until = 0 end
  redis.call('HSET', KEYS[1], 'open_until', math.max(open_until, now + pause))
end
if answered == 0 and failed > 0 then
  local failures = field('failures') + failed
  redis.call('HSET', KEYS[1], 'failures', failures)
  -- What was under way when it tripped fails too, and is no news: only a probe's failure opens it for longer.
  local state = redis.call('HMGET', KEYS[1], 'tripped', 'probing')
  if failures >= threshold and (state[1] ~= '1' or state[2] == '1') then
    redis.call('HDEL', KEYS[1], 'probing')
    local opened = field('opened') + 1
    local pause = math.min(most, base * 2 ^ (opened - 1), ARGV[7])
    redis.call('HSET', KEYS[1], 'opened', opened, 'tripped', '1', 'open_until', now + pause)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[7])
return redis.call('HGET', KEYS[1], 'tripped') == '1' and 1 or 0
"""


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of the wanted calls may be made, and in how many seconds the first of the rest may ask again. The rest
    must be spread at the key's rate (`spacing_seconds`)."""

    granted: int
    wait_seconds: float
    spacing_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GateState:
    """For pages and metrics: whether the breaker has tripped, and for how long nothing gets through."""

    is_tripped: bool
    seconds_left: float


@lru_cache(maxsize=4)
def _scripts(client: Redis) -> tuple[Script, Script]:
    return client.register_script(_READ + _ADMIT), client.register_script(_READ + _REPORT)


def admit(key_id: int, wanted: int, rate_per_second: int | None) -> Admission:
    """Ask for `wanted` calls. Raises redis.RedisError."""
    script, _ = _scripts(shared_redis.connection())
    rate = rate_per_second or 0
    granted, wait = script(
        keys=[KEY.format(key_id=key_id)], args=[wanted, rate, settings.CALL_TIMEOUT_SECONDS, STATE_SECONDS]
    )
    return Admission(int(granted), float(wait), 1 / rate if rate else 0.0)


def report(key_id: int, *, answered: int, failed: int, pause_seconds: float = 0.0) -> bool:
    """Report the results of a batch of calls; `pause_seconds` is the pause that the provider asked for. Returns whether
    the breaker is now tripped. Raises redis.RedisError."""
    _, script = _scripts(shared_redis.connection())
    return bool(
        script(
            keys=[KEY.format(key_id=key_id)],
            args=[
                answered,
                failed,
                pause_seconds,
                settings.BREAKER_FAILURES,
                settings.BREAKER_BASE_SECONDS,
                settings.BREAKER_MOST_SECONDS,
                STATE_SECONDS,
            ],
        )
    )


def seconds_shut(key_id: int) -> float:
    """Return for how long the key lets nothing through; 0 when it lets calls through. Raises redis.RedisError."""
    return state(key_id).seconds_left


def state(key_id: int) -> GateState:
    """Return the state of one key. Raises redis.RedisError."""
    return states([key_id])[key_id]


def states(key_ids: Sequence[int]) -> dict[int, GateState]:
    """Return the state of each key, all in one exchange with Redis. Raises redis.RedisError."""
    if not key_ids:
        return {}
    pipeline: Any = shared_redis.connection().pipeline(transaction=False)
    pipeline.time()
    for key_id in key_ids:
        pipeline.hmget(KEY.format(key_id=key_id), ["tripped", "open_until"])
    clock, *found = (queues.known(one, otherwise=(None, None)) for one in pipeline.execute(raise_on_error=False))
    now = clock[0] + clock[1] / 1e6
    return {key_id: _state(*fields, now=now) for key_id, fields in zip(key_ids, found, strict=True)}


def _state(tripped: bytes | None, open_until: bytes | None, *, now: float) -> GateState:
    try:
        left = float(open_until or b"") - now
    except ValueError:  # missing or unreadable
        left = 0.0
    return GateState(tripped == b"1", left if 0 < left <= STATE_SECONDS else 0.0)


def forget(key_id: int) -> None:
    """Reset the gate, for instance after an operator resumed the key. Raises redis.RedisError."""
    shared_redis.connection().delete(KEY.format(key_id=key_id))
