"""A Redis database that tests may empty, on a server that is somebody else's."""

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

CLAIM_KEY = "higo:test:claim"
CLAIM_SECONDS = 4 * 3600


@contextlib.contextmanager
def claimed(server_url: str) -> Iterator[str]:
    """The URL of an empty database other than 0, ours until the block ends. Raises pytest.UsageError."""
    for number in range(1, 16):
        url = urlunsplit(urlsplit(server_url)._replace(path=f"/{number}"))
        with redis.Redis.from_url(url) as client:
            if not _claim(client):
                continue
            try:
                yield url
            finally:
                client.flushdb()
            return
    raise pytest.UsageError("the server at REDIS_URL has no empty database from 1 to 15: the tests empty none in use")


def empty(client: redis.Redis) -> None:
    """Remove every key of a database that is ours; the claim on a shared server stays throughout."""
    is_shared = client.exists(CLAIM_KEY)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.flushdb()
        if is_shared:
            pipeline.set(CLAIM_KEY, "tests", ex=CLAIM_SECONDS)
        pipeline.execute()


def _claim(client: redis.Redis) -> bool:
    """Take an empty database: of two sessions that try at once, one gets it."""
    if client.dbsize() != 0:
        return False
    return bool(client.set(CLAIM_KEY, "tests", nx=True, ex=CLAIM_SECONDS)) and client.dbsize() == 1
