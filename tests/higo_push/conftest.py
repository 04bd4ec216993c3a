"""Real web processes."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from higo_push.running import processes
from higo_push.running.programs import web_arguments
from tests.environment import PROJECT

StartWeb = Callable[..., str]
START_SECONDS = 60


@pytest.fixture
def start_web(process_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[StartWeb]:
    """`start_web(BEHIND_PROXY="on")`: a web process with these settings; its address."""

    def started(**variables: str) -> str:
        listen = f"127.0.0.1:{processes.free_port()}"
        for name, value in {**variables, "WEB_LISTEN": listen}.items():
            monkeypatch.setenv(name, value)
        environment = {**process_environment, **variables}
        web = processes.start([sys.executable, *web_arguments()], environment=environment, folder=PROJECT)
        running.callback(processes.stop, web)
        url = f"http://{listen}"
        ends_at = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert web.poll() is None, f"the web process ended with {web.returncode}"
            assert time.monotonic() < ends_at, "the web process does not answer"
            time.sleep(0.1)
        return url

    with ExitStack() as running:
        yield started


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.RequestException:
        return False
