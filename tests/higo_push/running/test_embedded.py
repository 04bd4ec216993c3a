"""The embedded servers: real, small, and gone when their owner is."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from pymongo import MongoClient, WriteConcern

from higo_push.running import embedded, processes
from tests.environment import PROJECT

OWNER = """
import sys, time
from higo_push.running import embedded
with embedded.services() as found:
    print(*(server.pid for server in found.servers), found.servers[0].folder.parent, flush=True)
    {then}
"""


def start_owner(then: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "MONGO_URL")}
    return subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=environment,
    )


def read_facts(owner: "subprocess.Popen[str]") -> tuple[list[int], Path]:
    assert owner.stdout is not None
    *pids, folder = owner.stdout.readline().split()
    return [int(pid) for pid in pids], Path(folder)


def wait_until_gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def mongo_client(url: str) -> "MongoClient[dict[str, Any]]":
    return MongoClient(url)


def test_both_servers_die_when_their_owner_is_killed():
    with start_owner("time.sleep(60)") as owner:
        pids, folder = read_facts(owner)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert len(pids) == 2
    assert wait_until_gone(pids)
    shutil.rmtree(folder)  # nobody was left to do it; the next owner would


def test_an_error_in_the_owner_stops_the_servers_and_removes_their_data():
    with start_owner("raise RuntimeError('as tests do')") as owner:
        pids, folder = read_facts(owner)
        owner.wait()
    assert owner.returncode == 1
    assert wait_until_gone(pids)
    assert not folder.exists()


def test_the_folder_of_a_killed_owner_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = tmp_path / f"{embedded.FOLDER_PREFIX}x"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    os.utime(abandoned / "lock", (0, 0))
    with embedded.temporary_folder():
        assert not abandoned.exists()


def test_a_folder_in_use_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with embedded.temporary_folder() as mine:
        os.utime(mine / "lock", (0, 0))
        embedded.remove_abandoned_folders()
        assert mine.exists()


def test_given_urls_are_used_and_nothing_is_started(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://redis.example/3")
    monkeypatch.setenv("MONGO_URL", "mongodb://mongo.example/chat")
    with embedded.services() as found:
        assert (found.redis_url, found.mongo_url) == ("redis://redis.example/3", "mongodb://mongo.example/chat")
        assert found.servers == ()


def test_a_missing_wheel_is_reported_with_the_variable_to_set():
    with pytest.raises(embedded.EmbeddedServerError, match="Set MONGO_URL to your own server"):
        embedded.find_binary("no-such-distribution", "mongod", "MONGO_URL")


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path, monkeypatch):
    server = embedded.Valkey(tmp_path)
    monkeypatch.setattr(server, "_arguments", lambda _port: ["--no-such-option", "1"])
    with pytest.raises(embedded.EmbeddedServerError, match="no-such-option"):
        server.start()


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path, monkeypatch):
    with embedded.running(embedded.Valkey(tmp_path / "first")) as first:
        ports = iter([first.port, processes.free_port()])
        monkeypatch.setattr("higo_push.running.processes.free_port", lambda: next(ports))
        with embedded.running(embedded.Valkey(tmp_path / "second")) as second:
            assert second.port != first.port


def test_a_durable_valkey_keeps_its_data_over_a_crash(tmp_path):
    with embedded.running(embedded.Valkey(tmp_path, is_durable=True)) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
            time.sleep(1.2)  # appended to the file each second
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"yes"


def test_a_killed_mongod_comes_back_on_its_port_with_its_data(tmp_path):
    with embedded.running(embedded.Mongod(tmp_path)) as server:
        url = server.url
        with mongo_client(url) as client:
            journaled = client.higo.chats.with_options(write_concern=WriteConcern(j=True))
            journaled.insert_one({"_id": 1})
        server.kill()
        server.start()
        assert server.url == url
        with mongo_client(url) as client:
            assert client.higo.chats.find_one() == {"_id": 1}


def test_the_replica_set_has_change_streams(mongo_db):
    with mongo_db.chats.watch() as stream:
        mongo_db.chats.insert_one({"_id": 1})
        assert stream.next()["documentKey"] == {"_id": 1}


def test_the_standalone_server_is_no_replica_set(standalone_mongo):
    with mongo_client(standalone_mongo) as client:
        assert "setName" not in client.admin.command("hello")


def test_mongod_borrows_libcurl_where_the_system_has_none(tmp_path):
    folder = embedded.borrow_libcurl(tmp_path / "lib")
    assert (folder / "libcurl.so.4").resolve().name.startswith("libcurl-")
