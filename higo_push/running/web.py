"""The web process: it holds the listening sockets, and a server that accepts on them as its child.

`python -m higo_push.running.web [--pid-file=FILE]`, then what `python -m waitress` takes. SIGHUP replaces the server by
what is on disk now, and no connection is refused: the old one accepts until the new one does, and ends what it has
begun. A new one that cannot start changes nothing. The number of the process that accepts stands in the FILE.

It reads no settings: each server reads them itself, and so those of its time.
"""

import getopt
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from waitress.adjustments import Adjustments

from higo_push.running import processes

PID_FILE = "--pid-file="
READY_SECONDS = 60.0
LOOK_SECONDS = 0.2
#: A server takes up to 10, the supervisor kills after 15.
STOP_SECONDS = 12.0
ENDS = {signal.SIGTERM, signal.SIGINT}
#: They wait until they are asked for, so none comes at a wrong moment. A child lets them through when it can take them.
SIGNALS = ENDS | {signal.SIGHUP, signal.SIGCHLD}


class Web:
    """One server at a time accepts; those that it has replaced may still be ending what they have begun."""

    def __init__(self, sockets: Sequence[socket.socket], words: Sequence[str], pid_file: Path | None = None) -> None:
        self._sockets, self._words, self._pid_file = sockets, words, pid_file
        self._leaving: list[subprocess.Popen[bytes]] = []

    def run(self) -> int:
        """Serve until a signal ends it, or the server ends by itself. Returns the exit code."""
        server = self._started()
        if server is None:
            return 1
        self._note(server)
        while (number := signal.sigwait(SIGNALS)) not in ENDS:
            if number == signal.SIGHUP:
                server = self._replaced(server)
            self._leaving = [one for one in self._leaving if one.poll() is None]
            if server.poll() is not None:
                _say(f"the web server ended with {server.returncode}")
                break
        processes.stop_all([server, *self._leaving], grace_seconds=STOP_SECONDS)
        return 0 if number in ENDS else 1

    def _replaced(self, former: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        server = self._started()
        if server is None:
            _say("the new web server did not start; the old one goes on")
            return former
        self._note(server)
        former.send_signal(signal.SIGQUIT)
        self._leaving.append(former)
        _say(f"the web server {server.pid} has replaced {former.pid}")
        return server

    def _started(self) -> subprocess.Popen[bytes] | None:
        """A server that accepts; None if it ended before, took too long, or we are to end ourselves."""
        files = [one.fileno() for one in self._sockets]
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "higo_push.web.server", ",".join(map(str, files)), writing, *self._words]
        server = processes.start(command, files=[*files, writing])
        os.close(writing)
        try:
            if _is_ready(reading):
                return server
        finally:
            os.close(reading)
        processes.stop(server, grace_seconds=1)
        return None

    def _note(self, server: subprocess.Popen[bytes]) -> None:
        if self._pid_file is not None:
            new = self._pid_file.with_suffix(".new")
            new.write_text(f"{server.pid}\n")
            new.replace(self._pid_file)


def _is_ready(reading: int) -> bool:
    """Wait for the byte that says so; nothing comes from a server that has ended."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not ENDS & signal.sigpending():
        if select.select([reading], [], [], LOOK_SECONDS)[0]:
            return bool(os.read(reading, 1))
    return False


def listening(words: Sequence[str]) -> list[socket.socket]:
    """The sockets for waitress' options. Raises getopt.GetoptError, ValueError or OSError when there can be none."""
    options, _application = Adjustments.parse_args(words)
    chosen = Adjustments(**{name: options[name] for name in ("listen", "host", "port", "backlog") if name in options})
    return [_listening(*info, backlog=chosen.backlog) for info in chosen.listen]


def _listening(family: int, kind: int, protocol: int, address: tuple[object, ...], *, backlog: int) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(address)
    made.listen(backlog)
    return made


def _say(text: str) -> None:
    print(f"higo_push: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    files = [word.removeprefix(PID_FILE) for word in arguments if word.startswith(PID_FILE)]
    words = [word for word in arguments if not word.startswith(PID_FILE)]
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        sockets = listening(words)
    except (getopt.GetoptError, ValueError, OSError) as error:
        _say(f"the web server cannot listen: {error}")
        return 1
    return Web(sockets, words, Path(files[0]) if files else None).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
