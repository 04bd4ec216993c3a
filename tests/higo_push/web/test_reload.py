"""The real web process: its server is replaced under load, and no request fails."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from higo_push.running import processes, programs, web
from pushes.models import ApiToken, PushRecord
from tests.environment import PROJECT
from tests.web_load import loaded

pytestmark = pytest.mark.django_db(transaction=True)


class Web:
    """A web process as production starts it. `pid` is the number of the server that accepts."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._noted, self._log = folder / "web.pid", folder / "web.log"
        words = [*programs.web_arguments(f"127.0.0.1:{self.port}"), f"{web.PID_FILE}{self._noted}"]
        with self._log.open("ab") as log:
            self.process = processes.start([sys.executable, *words], log=log, environment=environment, folder=PROJECT)
        wait_until(self._noted.exists)

    @property
    def pid(self) -> int:
        return int(self._noted.read_text())

    @property
    def log(self) -> str:
        return self._log.read_text()

    def reload(self) -> None:
        before = self.pid
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.pid != before)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


def wait_until(is_so, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """What the web process's servers read at their start."""
    made = tmp_path / "env"
    made.touch()
    return made


@pytest.fixture
def running(
    tmp_path: Path, env_file: Path, process_environment: dict[str, str], redis_client: redis.Redis
) -> Iterator[Web]:
    made = Web(tmp_path, process_environment | {"ENV_FILE": str(env_file), "BACKLOG_JOBS": "1000000"})
    yield made
    processes.stop(made.process)


def request(body: bytes) -> bytes:
    token = ApiToken.issue("slow", ["push"])[1]
    head = "POST /api/v1/pushes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def answer(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    said = b""
    with contextlib.suppress(TimeoutError):
        while part := connection.recv(65_536):
            said += part
    return said


BODY = b'{"to_id": "7", "app": "higo", "message": "slow", "msg_id": "slow"}'


def test_a_reload_under_load_fails_no_request(running: Web) -> None:
    before = running.pid
    whole = request(BODY)
    with running.connected() as slow, loaded(running.url) as load:
        # A request that begins with the first server, and is not all there before the second accepts.
        slow.sendall(whole[:-10])
        load.wait(50)
        running.reload()
        slow.sendall(whole[-10:])
        said = answer(slow)
        load.wait(50)
    assert load.failures == [], running.log
    assert running.pid != before
    assert said.startswith(b"HTTP/1.1 202 ")
    assert b"connection: close" in said.lower()
    assert PushRecord.objects.count() == len(load.accepted) + 1
    # The one that was replaced has nothing left to do.
    wait_until(lambda: not psutil.pid_exists(before), 30)
    assert running.process.poll() is None
    # The supervisor is told of a server that ends by itself.
    os.kill(running.pid, signal.SIGKILL)
    assert running.process.wait(timeout=10) == 1


def test_a_new_server_that_cannot_start_leaves_the_old_one_serving_until_it_is_told_to_stop(
    running: Web, env_file: Path
) -> None:
    before = running.pid
    env_file.write_text("MAX_ATTEMPTS=none\n")
    with loaded(running.url) as load:
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the old one goes on" in running.log)
        load.wait(50)
    assert load.failures == []
    assert running.pid == before
    whole = request(BODY)
    with running.connected() as slow, running.connected() as idle:
        slow.sendall(whole[:-10])
        time.sleep(0.5)
        running.process.terminate()
        assert answer(idle) == b""
        slow.sendall(whole[-10:])
        assert answer(slow).startswith(b"HTTP/1.1 202 ")
    assert running.process.wait(timeout=10) == 0


def test_without_the_web_process_its_server_ends(running: Web) -> None:
    pid = running.pid
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not psutil.pid_exists(pid), 10)


def test_an_address_that_is_taken_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = programs.web_arguments(f"127.0.0.1:{taken.getsockname()[1]}")
        done = subprocess.run([sys.executable, *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("higo_push: the web server cannot listen: ")
    assert "Traceback" not in done.stderr
