"""The end of a web server that breaks no request: it accepts nobody any more, ends what it has begun, and is over when
its last connection is closed.

A server whose successor accepts already *leaves*: a connection that is kept open for more requests stays until the next
one is answered, for a client may be about to send it. A server that *stops* closes such connections at once.
"""

import signal
import time
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel

from higo_push.web import patience

LEAVE, STOP = signal.SIGQUIT, (signal.SIGTERM, signal.SIGINT)
#: Longer than a proxy waits for an answer (deploy/nginx.conf).
MAX_LEAVE_SECONDS = 90
#: The supervisor kills after 15.
MAX_STOP_SECONDS = 10
LOOK_SECONDS = 1.0


class Channel(patience.Channel):
    def service(self) -> None:
        """The last answer of a server that accepts nobody any more says so: the next request comes over a new
        connection."""
        if not self.server.accepting and self.requests:
            self.requests[-1].headers["CONNECTION"] = "close"
        super().service()


class Serving:
    """A waitress server that serves until a signal ends it. `run` is for the main thread."""

    def __init__(self, server: Any) -> None:
        self._server = server
        # One that listens on several addresses is no dispatcher, and has its map under another name.
        self._map: dict[int, Any] = getattr(server, "_map", None) or server.map
        self._ends_at = 0.0
        self._is_stopping = False

    def run(self) -> None:
        signal.signal(LEAVE, lambda *_: self._end(MAX_LEAVE_SECONDS))
        for number in STOP:
            signal.signal(number, lambda *_: self._end(MAX_STOP_SECONDS, stops=True))
        # Who has started us lets nothing through until somebody listens.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        use_poll = self._server.adj.asyncore_use_poll
        while not self._is_over():
            wasyncore.loop(timeout=LOOK_SECONDS, use_poll=use_poll, map=self._map, count=1)
        self._server.task_dispatcher.shutdown()

    def _end(self, seconds: float, *, stops: bool = False) -> None:
        """Called by a signal, between two steps of the loop or during one."""
        self._is_stopping = self._is_stopping or stops
        ends_at = time.monotonic() + seconds
        self._ends_at = min(self._ends_at or ends_at, ends_at)
        for one in self._listeners:
            one.accepting = False
        self._listeners[0].pull_trigger()

    def _is_over(self) -> bool:
        if not self._ends_at:
            return False
        if self._is_stopping:
            for one in self._connections:
                if not (one.requests or one.request or one.total_outbufs_len):
                    one.handle_close()
        return not self._connections or time.monotonic() > self._ends_at

    @property
    def _listeners(self) -> list[Any]:
        return [one for one in self._map.values() if hasattr(one, "accept_connections")]

    @property
    def _connections(self) -> list[Any]:
        return [one for one in self._map.values() if isinstance(one, HTTPChannel)]
