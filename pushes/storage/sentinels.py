"""The master that Redis Sentinels name: who is asked, and when somebody else is."""

from typing import Any

from redis import ConnectionError, RedisError, ResponseError, TimeoutError
from redis.connection import Connection
from redis.exceptions import MasterDownError, ReadOnlyError
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

#: A sentinel that does not answer must not hold up the next one for long.
ANSWER_SECONDS = 1.0
BOUNDS = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
#: What a server says that is no master any more, or that its replicas have left.
_FORMER_MASTER = ("NOREPLICAS", "UNBLOCKED")


class FormerMasterError(ConnectionError):
    """The server has ceased to be the master. The connection is closed; the next one asks the sentinels."""


class Watchers(Sentinel):
    """The sentinels. The one that answered last is asked first; one that named a wrong master is asked last."""

    _first = 0

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the master's host and port. Raises MasterNotFoundError with what each sentinel said."""
        said = []
        for number in range(self._first, self._first + len(self.sentinels)):
            sentinel = self.sentinels[number % len(self.sentinels)]
            at = "{host}:{port}".format(**sentinel.connection_pool.connection_kwargs)
            try:
                state: Any = sentinel.sentinel_masters().get(service_name)
            except RedisError as error:
                said.append(f"{at}: {error}")
                continue
            finally:
                # There is nothing to ask until the next connection.
                sentinel.connection_pool.disconnect(inuse_connections=False)
            if state is None:
                said.append(f"{at} knows no such master")
            elif not self.check_master_state(state, service_name):
                said.append(f"{at} takes {state['ip']}:{state['port']} for down")
            else:
                self._first = number
                return state["ip"], state["port"]
        raise MasterNotFoundError(f"no sentinel names the master {service_name!r} ({'; '.join(said)})")

    def distrust(self) -> None:
        """Ask another sentinel first the next time: one that is cut off from the others may name a former master."""
        self._first += 1


class _ToMaster(SentinelManagedConnection):
    """Leaves a server as soon as that says that it is not the master, or takes no writes because it is cut off from its
    replicas: the sentinels may have made another one the master."""

    def connect_to(self, address: tuple[str, int]) -> None:
        try:
            super().connect_to(address)
        except (ConnectionError, TimeoutError) as error:
            self._watchers.distrust()
            host, port = address
            at = f"the master {self.connection_pool.service_name!r} at {host}:{port}"
            raise type(error)(f"{at}: {error}") from error

    def read_response(
        self,
        disable_decoding: bool = False,
        *,
        disconnect_on_error: bool | None = True,
        push_request: bool | None = False,
    ) -> Any:
        # Not the library's own: it keeps a connection whose answer was not read, after an interrupt.
        try:
            return Connection.read_response(
                self, disable_decoding, disconnect_on_error=disconnect_on_error, push_request=push_request
            )
        except ResponseError as error:
            if not (isinstance(error, ReadOnlyError | MasterDownError) or str(error).startswith(_FORMER_MASTER)):
                raise
            self.disconnect()
            self._watchers.distrust()
            raise FormerMasterError(f"{self.host}:{self.port} is not the master any more: {error}") from error

    @property
    def _watchers(self) -> Watchers:
        found: Watchers = self.connection_pool.sentinel_manager
        return found


class _ToMasterByTls(_ToMaster, SentinelManagedSSLConnection):
    """The same by TLS."""


def pool(watchers: Watchers, master: str, *, by_tls: bool, **options: Any) -> SentinelConnectionPool:
    """Return a pool of connections to the master of this name, whichever server that is when each is made."""
    options["connection_class"] = _ToMasterByTls if by_tls else _ToMaster
    return SentinelConnectionPool(master, watchers, **options)
