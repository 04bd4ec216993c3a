"""The credentials that the sandbox knows, from the command line, the control API and the AppKey table."""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

log = logging.getLogger(__name__)

RELOAD_SECONDS = 1.0

#: The public name of a key at its vendor: a number for Xinge and TPNS, text for the others.
AccessId = int | str
#: Reads access ids and secrets from wherever the platform keeps them; called off the event loop. An access id may come
#: several times: one APNs key serves all apps of a team.
Loader = Callable[[], Iterable[tuple[AccessId, str]]]

T = TypeVar("T", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Key:
    access_id: AccessId
    secret: str = field(repr=False)
    is_from_loader: bool = False


class KeyRing:
    def __init__(self, keys: Mapping[AccessId, str], loader: Loader | None = None) -> None:
        self._own = {access_id: (Key(access_id, secret),) for access_id, secret in keys.items()}
        self._loaded: dict[AccessId, tuple[Key, ...]] = {}
        self._loader = loader
        self._load_began_at = float("-inf")
        self._lock = asyncio.Lock()

    def get(self, access_id: AccessId) -> Key | None:
        found = self.all(access_id)
        return found[0] if found else None

    def all(self, access_id: AccessId) -> tuple[Key, ...]:
        return self._own.get(access_id) or self._loaded.get(access_id, ())

    def __iter__(self) -> Iterator[Key]:
        for access_id in self.access_ids():
            yield from self.all(access_id)

    def add(self, access_id: AccessId, secret: str) -> None:
        """Know one key of this access id, in place of all others."""
        self._own[access_id] = (Key(access_id, secret),)

    def may_be_stale(self, key: Key | None) -> bool:
        """Whether reading the table again could find a missing key, or another secret for `key`."""
        return self._loader is not None and (key is None or key.is_from_loader)

    def access_ids(self) -> list[AccessId]:
        return sorted(self._own.keys() | self._loaded.keys(), key=str)

    async def refresh(self) -> None:
        """Read the table as of this call, at most once a second."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._load_began_at >= asked_at:
                return  # somebody else's reading began after we asked
            await asyncio.sleep(max(0.0, self._load_began_at + RELOAD_SECONDS - time.monotonic()))
            await self.load()

    async def load(self) -> None:
        """Read the table. A failure is only a warning: the sandbox also works without a table."""
        if self._loader is None:
            return
        self._load_began_at = time.monotonic()
        try:
            loaded = await asyncio.to_thread(self._loader)
        except Exception as error:
            log.warning("app keys could not be read: %s", error)
            return
        found: defaultdict[AccessId, dict[str, Key]] = defaultdict(dict)
        for access_id, secret in loaded:
            found[access_id][secret] = Key(access_id, secret, is_from_loader=True)
        self._loaded = {access_id: tuple(keys.values()) for access_id, keys in found.items()}


@lru_cache(maxsize=1024)
def credentials(secret: str, kind: type[T]) -> T | None:
    """Read what a provider sealed into one text; None when that is of another kind."""
    try:
        found = kind(**json.loads(secret))
    except (ValueError, TypeError):
        return None
    return found if all(isinstance(part, str) for part in found) else None
