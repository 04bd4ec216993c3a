"""The access tokens that calls may carry: those that the sandbox granted, and those that clients signed themselves."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pushes.sandbox.keys import AccessId, Key

MAX_KNOWN = 10_000


@dataclass(slots=True)
class Bearer:
    """What is known of one access token; the moments in Unix seconds. `secret` is that of the key for which it was
    granted, or by which it was signed."""

    access_id: AccessId
    secret: str = field(repr=False)
    issued_at: float
    expires_at: float

    @property
    def is_expired(self) -> bool:
        return time.time() >= self.expires_at


class Bearers:
    """At most so many, the oldest forgotten first: a granted one has then expired."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Bearer] = OrderedDict()

    def grant(self, key: Key, seconds: int) -> str:
        text = f"sandbox.{secrets.token_urlsafe(24)}"
        self.know(text, Bearer(key.access_id, key.secret, time.time(), time.time() + seconds))
        return text

    def know(self, text: str, bearer: Bearer) -> Bearer:
        self._known[text] = bearer
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return bearer

    def forget(self, text: str) -> None:
        self._known.pop(text, None)

    def find(self, text: str) -> Bearer | None:
        return self._known.get(text)

    def of(self, access_id: AccessId) -> Iterator[Bearer]:
        return (bearer for bearer in self._known.values() if bearer.access_id == access_id)

    def expire(self, access_id: AccessId | None = None) -> int:
        """Refuse from now on what was good until now, under one access id or all; returns how many there were."""
        ended = [bearer for bearer in self._known.values() if access_id in (None, bearer.access_id)]
        for bearer in ended:
            bearer.expires_at = 0.0
        return len(ended)
