"""What the provider knows of an app's devices: tokens, accounts and tags, and pushes to many devices."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pushes.sandbox.keys import AccessId

FIRST_PUSH_ID = 2_854_657_652  # beyond 31 bits, as the real ones are
MAX_TASKS = 100_000
MAX_TOKENS_COUNTED = 200_000
MAX_DEVICES_OF_ACCOUNT = 15


@dataclass(slots=True)
class PushTask:
    """A push with a number of the provider: created for lists, or sent to all devices or to tags."""

    push_id: str
    access_id: AccessId
    rest: bytes
    is_for_lists: bool
    ends_at: float
    created_at: float = field(default_factory=time.time)
    delivered: int = 0
    status: int = 2


class Phones:
    """The devices of all apps."""

    def __init__(self) -> None:
        self._seen: dict[AccessId, set[int]] = defaultdict(set)
        self._accounts: dict[tuple[AccessId, str], list[str]] = {}
        self._tags: dict[tuple[AccessId, str], set[str]] = {}
        self._tasks: OrderedDict[str, PushTask] = OrderedDict()
        self._next_push_id = FIRST_PUSH_ID

    def seen(self, access_id: AccessId, tokens: Iterable[str]) -> None:
        """Count devices, up to a number that keeps the memory small."""
        known = self._seen[access_id]
        if len(known) < MAX_TOKENS_COUNTED:
            known.update(map(hash, tokens))

    def has_seen(self, access_id: AccessId, token: str) -> bool:
        return hash(token) in self._seen[access_id]

    def device_count(self, access_id: AccessId) -> int:
        return len(self._seen[access_id])

    # --- accounts ------------------------------------------------------------------------------
    def bind(self, access_id: AccessId, account: str, tokens: Sequence[str]) -> None:
        """Bind tokens to one account, and to no other. An account has at most 15 tokens; the oldest are dropped."""
        for (owner_id, _), bound in self._accounts.items():
            if owner_id == access_id:
                bound[:] = [token for token in bound if token not in tokens]
        bound = self._accounts.setdefault((access_id, account), [])
        bound.extend(tokens)
        del bound[:-MAX_DEVICES_OF_ACCOUNT]
        self.seen(access_id, tokens)

    def tokens_of(self, access_id: AccessId, account: str) -> list[str]:
        return list(self._accounts.get((access_id, account), ()))

    def unbind(self, access_id: AccessId, account: str, token: str | None = None) -> list[str]:
        """Unbind a token, or all tokens. Returns the remaining tokens."""
        remaining = [kept for kept in self.tokens_of(access_id, account) if token is not None and kept != token]
        self._accounts[access_id, account] = remaining
        return remaining

    # --- tags ----------------------------------------------------------------------------------
    def tag(self, access_id: AccessId, tag: str, token: str) -> None:
        self._tags.setdefault((access_id, tag), set()).add(token)
        self.seen(access_id, [token])

    def untag(self, access_id: AccessId, tag: str, token: str) -> None:
        self._tags.get((access_id, tag), set()).discard(token)

    def tags(self, access_id: AccessId) -> list[str]:
        return sorted(tag for (owner_id, tag), tokens in self._tags.items() if owner_id == access_id and tokens)

    def tags_of(self, access_id: AccessId, token: str) -> list[str]:
        return [tag for tag in self.tags(access_id) if token in self._tags[access_id, tag]]

    def tagged(self, access_id: AccessId, tags: Sequence[str], *, needs_all: bool) -> list[str]:
        groups = [self._tags.get((access_id, tag), set()) for tag in tags]
        found = set.intersection(*groups) if needs_all else set.union(*groups)
        return sorted(found)

    # --- pushes to many ------------------------------------------------------------------------
    def new_push_id(self) -> str:
        self._next_push_id += 1
        return str(self._next_push_id)

    def keep_task(self, task: PushTask) -> None:
        self._tasks[task.push_id] = task
        if len(self._tasks) > MAX_TASKS:
            self._tasks.popitem(last=False)

    def task(self, access_id: AccessId, push_id: str) -> PushTask | None:
        task = self._tasks.get(push_id)
        return task if task is not None and task.access_id == access_id else None
