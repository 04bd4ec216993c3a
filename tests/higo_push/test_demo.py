"""`./push.sh demo` as people use it: started, looked at, stopped with Ctrl-C."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import requests

from higo_push.demo import stage
from higo_push.running import processes
from tests.environment import PROJECT


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """Somebody else, such as the production web server, listens where the demo usually would."""
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", stage.WEB_PORT)):
        yield
        return
    yield


@pytest.fixture
def demo(elsewhere: None) -> Iterator["subprocess.Popen[str]"]:
    """The demo with its own servers and without shoppers."""
    environment = {k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "MONGO_URL")}
    process = subprocess.Popen(
        [sys.executable, "-m", "higo_push.demo", "--quiet"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.send_signal(signal.SIGTERM)


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if text in line:
            break
    return shown


def test_the_demo_opens_its_admin_and_ctrl_c_leaves_nothing_behind(demo):
    shown = read_until(demo, "Ctrl-C stops everything")
    login = re.search(r"admin +(\S+) +user (\S+), password (\S+)", shown)
    folder = re.search(r"logs in (\S+)", shown)
    assert login
    assert f":{stage.WEB_PORT}/" not in login[1]
    assert folder
    with requests.Session() as browser:
        page = f"{login[1]}login/"
        browser.get(page, timeout=20)
        given = {"username": login[2], "password": login[3], "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        entered = browser.post(page, data=given, headers={"Referer": page}, allow_redirects=False, timeout=20)
        assert entered.status_code == 302
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) == 14  # two servers, eleven processes (two of them for the web), the director
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=60) == 0
    assert not any(child.is_running() for child in children)
    assert not Path(folder[1]).exists()


def test_a_redis_in_use_is_refused(redis_client, settings):
    redis_client.set("somebody's", "data")
    with (
        pytest.raises(stage.StageError, match="the database at REDIS_URL is not empty"),
        stage.own_redis_database(settings.REDIS_URL),
    ):
        pass
    assert redis_client.get("somebody's") == b"data"


def test_an_empty_redis_is_taken_and_left_empty(redis_client, settings):
    redis_client.flushdb()
    with stage.own_redis_database(settings.REDIS_URL), redis.Redis.from_url(settings.REDIS_URL) as client:
        client.rpush("hg_message_queue", "made up")
    assert redis_client.dbsize() == 0


def test_a_mongo_server_keeps_none_of_the_demo_s_databases(mongo_db, settings):
    with stage.own_mongo_database(settings.MONGO_URL) as url:
        name = url.rpartition("/")[2].partition("?")[0]
        mongo_db.client[name].chats.insert_one({"_id": 1})
    assert name.startswith("higo_demo_")
    assert name not in mongo_db.client.list_database_names()


def test_demos_that_start_at_the_same_time_have_ports_of_their_own():
    first = processes.free_port()
    with stage.own_port(first) as one, stage.own_port(first) as other:
        assert one != other
    with stage.own_port(first) as again:
        assert again == one


def test_a_port_that_somebody_listens_on_is_passed_over():
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = server.getsockname()[1]
        with stage.own_port(first) as port:
            assert port > first


def test_when_every_port_is_taken_the_demo_says_so(monkeypatch):
    monkeypatch.setattr(processes, "is_free", lambda _port: False)
    with pytest.raises(stage.StageError, match="no port from 8800"), stage.own_port(stage.WEB_PORT):
        pass


def test_the_environment_takes_nothing_from_the_shell_but_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("ALLOWED_HOSTS", "evil.example")
    made = stage.environment_for(tmp_path, "redis://r/1", "mongodb://m/x")
    assert "ALLOWED_HOSTS" not in made
    assert made["ENV_FILE"] == os.devnull
    assert made["DATABASE_URL"] == f"sqlite:///{tmp_path / 'demo.sqlite3'}"
