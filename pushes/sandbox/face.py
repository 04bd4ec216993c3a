"""The interface of a provider in the sandbox: a face reads calls, checks calls, and answers calls."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from pushes.sandbox.faults import PREFIX_LENGTH, TOKEN_PREFIXES, Fault, TokenFault
from pushes.sandbox.keys import AccessId, Key
from pushes.sandbox.wire import Reply, Request
from pushes.sandbox.world import World


class RefusedError(Exception):
    """A call that is refused with one of the provider's own codes."""


class StaleKeyError(Exception):
    """The key is unknown, or its secret does not fit; the table may hold a newer key. `refused` is the answer if the
    table does not."""

    def __init__(self, refused: RefusedError) -> None:
        super().__init__(str(refused))
        self.refused = refused


@dataclass(slots=True)
class Call:
    """One call; `access_id` is None if the call names no possible key."""

    request: Request
    access_id: AccessId | None


C = TypeVar("C", bound=Call)
R = TypeVar("R", bound=RefusedError)


class Face(ABC, Generic[C, R]):
    """One provider from its clients' side. `paths` matches the paths of its endpoints, from their beginning."""

    paths: ClassVar[re.Pattern[str]]

    def __init__(self, world: World) -> None:
        self._world = world

    def speaks(self, path: str) -> bool:
        """Whether the path is one of this provider's."""
        return self.paths.match(path) is not None

    def counted(self, path: str) -> str:
        """The path under which a call is counted: one for all device tokens."""
        return path

    @abstractmethod
    def open_call(self, request: Request) -> C:
        """Read what the request asks for, as far as possible."""

    @abstractmethod
    def answer(self, call: C, fault: Fault) -> Reply:
        """Check the call, and act. Raises StaleKeyError if the keys should be read again first."""

    @abstractmethod
    def refuse(self, call: C, refused: R) -> Reply:
        """Answer a call that was refused."""

    def _stale_or(self, key: Key | None, refused: R) -> Exception:
        return StaleKeyError(refused) if self._world.keys.may_be_stale(key) else refused


def token_fault(token: str) -> TokenFault | None:
    """What the name of a token says."""
    return TOKEN_PREFIXES.get(token[:PREFIX_LENGTH].lower())
