"""The web server's process: waitress, with threads of their own for the probes.

`python -m higo_push.web.server` takes what `python -m waitress` does.

Every other request may wait for the database or Redis. When all threads do, whoever watches the process must still
get an answer, or it would be restarted for a fault that is not its own.
"""

import sys
from functools import partial
from typing import Any

import waitress
from waitress.adjustments import Adjustments
from waitress.runner import run
from waitress.server import TcpWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from higo_push.web import patience

PROBES = frozenset(f"{prefix}/{name}" for prefix in ("", "/api/v1") for name in ("healthz", "readyz"))
PROBE_THREADS = 2


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Hands a probe's connection to threads that serve nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._probes = ThreadedTaskDispatcher()
        self._probes.set_thread_count(PROBE_THREADS)

    def add_task(self, task: Any) -> None:
        if task.requests[0].path in PROBES:
            self._probes.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: int = 5) -> bool:
        self._probes.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


def server(application: Any, **adjustments: Any) -> Any:
    """A waitress server that listens; `run()` serves until it is stopped."""
    dispatcher, chosen = Dispatcher(), Adjustments(**adjustments)
    dispatcher.set_thread_count(chosen.threads)
    patience.allow_files(chosen.connection_limit)
    TcpWSGIServer.channel_class = patience.Channel
    return create_server(application, _dispatcher=dispatcher, **adjustments)


if __name__ == "__main__":
    sys.exit(run(sys.argv, _serve=partial(waitress.serve, _server=server)))
