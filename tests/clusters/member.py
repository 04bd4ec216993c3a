"""A server of a cluster: it runs on its host, and may be frozen."""

import contextlib
import shutil
import signal
from pathlib import Path

from higo_push.running.embedded import EmbeddedServerError, Server
from tests.clusters.hosts import Host


class Member(Server):
    """Mix it into a `Server`, before it."""

    def __init__(self, folder: Path, host: Host) -> None:
        super().__init__(folder)
        self.host, self.address, self.prefix = host, host.address, host.prefix

    @property
    def at(self) -> str:
        """host:port."""
        return f"{self.address}:{self.port}"

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and are not answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        with contextlib.suppress(EmbeddedServerError):
            self.thaw()
        super().stop()

    def _signal(self, number: signal.Signals) -> None:
        """Raises EmbeddedServerError when the server is not running."""
        self.pid  # noqa: B018 says whether it runs
        if self._process is not None:
            self._process.send_signal(number)


class Installed(Member):
    """One whose program comes from the system's packages."""

    def _find_binary(self) -> Path:
        found = shutil.which(self.executable)
        if found is None:
            raise EmbeddedServerError(f"there is no {self.executable} on this machine (Debian: {self.distribution})")
        return Path(found)
