"""What the sandbox asks of every provider that it plays: a face reads calls, checks them and answers them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from pushes.sandbox.faults import Fault
from pushes.sandbox.keys import Key
from pushes.sandbox.wire import Reply, Request
from pushes.sandbox.world import World


class RefusedError(Exception):
    """A call that is refused by a code of the provider's own."""


class StaleKeyError(Exception):
    """The key is not known, or its secret does not fit, and the table may hold a newer one. `refused` is the answer
    if it does not."""

    def __init__(self, refused: RefusedError) -> None:
        super().__init__(str(refused))
        self.refused = refused


@dataclass(slots=True)
class Call:
    """One call; `access_id` is None when it names no key that can be one."""

    request: Request
    access_id: int | None


C = TypeVar("C", bound=Call)
R = TypeVar("R", bound=RefusedError)


class Face(ABC, Generic[C, R]):
    """One provider, seen from its clients. `prefixes` are how the paths of its endpoints begin."""

    prefixes: ClassVar[tuple[str, ...]]

    def __init__(self, world: World) -> None:
        self._world = world

    @abstractmethod
    def open_call(self, request: Request) -> C:
        """What the request asks for, as far as it can be read."""

    @abstractmethod
    def answer(self, call: C, fault: Fault) -> Reply:
        """Check and act. Raises StaleKeyError when the keys should be read again first."""

    @abstractmethod
    def refuse(self, call: C, refused: R) -> Reply:
        """The answer to a call that was refused."""

    def _stale_or(self, key: Key | None, refused: R) -> Exception:
        return StaleKeyError(refused) if self._world.keys.may_be_stale(key) else refused
