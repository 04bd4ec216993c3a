"""The Redis clients of the process, one per server."""

from functools import lru_cache

from django.conf import settings
from redis import Redis

from pushes import lanes


@lru_cache(maxsize=4)
def client(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=5, socket_connect_timeout=3)


def connection() -> Redis:
    """Return the process's Redis client for short commands. Every command may raise `redis.RedisError`."""
    return client(settings.RQ_QUEUES[lanes.send_queue(lanes.SYSTEM)]["URL"])
