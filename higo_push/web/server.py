"""The web server's process: waitress, with threads of their own for the probes.

`higo_push.running.web` starts it as `python -m higo_push.web.server SOCKETS READY …`: the file descriptors of the
sockets to accept on (4,5), the one to write a byte to as soon as it does, and what `python -m waitress` takes.

Every other request may wait for the database or Redis. When all threads do, whoever watches the process must still
get an answer, or it would be restarted for a fault that is not its own.
"""

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from django.template.loader import get_template
from django.urls import get_resolver
from waitress.adjustments import Adjustments
from waitress.runner import run
from waitress.server import TcpWSGIServer, create_server
from waitress.task import ThreadedTaskDispatcher

from higo_push.env import BASE_DIR
from higo_push.web import leaving, patience

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
    """A waitress server that listens, for `leaving.Serving`."""
    dispatcher, chosen = Dispatcher(), Adjustments(**adjustments)
    dispatcher.set_thread_count(chosen.threads)
    patience.allow_files(chosen.connection_limit)
    TcpWSGIServer.channel_class = leaving.Channel
    return create_server(application, _dispatcher=dispatcher, **adjustments)


def load() -> None:
    """Read now what Django reads at the first request that needs it: by then the files may be another release's, and
    a release that cannot be read must not begin to serve."""
    get_resolver().url_patterns  # noqa: B018
    templates = BASE_DIR / "templates"
    for file in templates.rglob("*.html"):
        get_template(str(file.relative_to(templates)))


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it. Raises OSError when nobody waits for it to be ready any more."""
    files, ready, *words = arguments

    def serve(application: Any, **adjustments: Any) -> None:
        adjustments.pop("listen", None)
        load()
        made = server(
            application, sockets=[socket.socket(fileno=int(file)) for file in files.split(",")], **adjustments
        )
        os.write(int(ready), b"1")
        os.close(int(ready))
        leaving.Serving(made).run()

    return int(run(["higo_push.web.server", *words], _serve=serve))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
