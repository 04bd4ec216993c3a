"""The credentials that the sandbox knows: from the command line, the control API and the AppKey table."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

RELOAD_SECONDS = 1.0

#: Reads access ids and secrets from wherever the platform keeps them; called off the event loop.
Loader = Callable[[], Mapping[int, str]]


@dataclass(frozen=True, slots=True)
class Key:
    access_id: int
    secret: str = field(repr=False)
    is_from_loader: bool = False


class KeyRing:
    def __init__(self, keys: Mapping[int, str], loader: Loader | None = None) -> None:
        self._own = {access_id: Key(access_id, secret) for access_id, secret in keys.items()}
        self._loaded: dict[int, Key] = {}
        self._loader = loader
        self._load_began_at = float("-inf")
        self._lock = asyncio.Lock()

    def get(self, access_id: int) -> Key | None:
        return self._own.get(access_id) or self._loaded.get(access_id)

    def add(self, access_id: int, secret: str) -> None:
        self._own[access_id] = Key(access_id, secret)

    def may_be_stale(self, key: Key | None) -> bool:
        """Whether reading the table again could turn up what is missing, or another secret for `key`."""
        return self._loader is not None and (key is None or key.is_from_loader)

    def access_ids(self) -> list[int]:
        return sorted(self._own.keys() | self._loaded.keys())

    async def refresh(self) -> None:
        """Know what the table held when this was called; reads it at most once a second."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._load_began_at >= asked_at:
                return  # somebody else's reading began after we asked
            await asyncio.sleep(max(0.0, self._load_began_at + RELOAD_SECONDS - time.monotonic()))
            await self.load()

    async def load(self) -> None:
        """A table that cannot be read is a warning: the sandbox also works without one."""
        if self._loader is None:
            return
        self._load_began_at = time.monotonic()
        try:
            loaded = await asyncio.to_thread(self._loader)
        except Exception as error:
            log.warning("app keys could not be read: %s", error)
            return
        self._loaded = {access_id: Key(access_id, secret, is_from_loader=True) for access_id, secret in loaded.items()}
