"""Child processes that never outlive the process that started them."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(signal_number: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` after which the kernel sends `signal_number` to the child when its parent is gone.

    That holds however the parent ends, SIGKILL included. The kernel watches the *thread* that started the
    child, so start children from a thread that lives as long as they should. Elsewhere than on Linux it
    does nothing.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _LIBC is None:
            return
        # The parent may have ended between fork and prctl, and then nobody would send the signal.
        if _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)

    return arrange


def start(
    command: Sequence[object],
    *,
    log: IO[bytes] | int | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    files: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` as a child that dies with us, in a session of its own. It has the file descriptors `files`, too.

    The own session keeps Ctrl-C to ourselves, so that we can stop children in order.
    """
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log is not None else None,
        env=None if environment is None else dict(environment),
        cwd=folder,
        pass_fds=files,
        start_new_session=True,
        preexec_fn=die_with_parent(),
    )


def stop(process: subprocess.Popen[bytes], *, grace_seconds: float = 10.0) -> int:
    """Ask with SIGTERM, insist with SIGKILL after `grace_seconds`, and reap. Returns the exit code."""
    if process.poll() is not None:
        return process.returncode
    process.terminate()
    try:
        return process.wait(timeout=grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def stop_all(processes: Sequence[subprocess.Popen[bytes]], *, grace_seconds: float = 10.0) -> None:
    """Stop them together: all are asked first, so that the slowest alone sets the time it takes."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        stop(process, grace_seconds=grace_seconds)


def free_port() -> int:
    """A loopback port that nobody listens on just now; somebody else may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port just now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main(command: Sequence[str]) -> None:
    """Become `command`, with the arrangement that it is asked to stop when our parent is gone."""
    parent = os.getppid()
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:
        os.execvp(command[0], list(command))


if __name__ == "__main__":
    main(sys.argv[1:])
