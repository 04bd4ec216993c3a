"""`./push.sh start|stop|restart|reload|status|logs` with the real process set, in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from higo_push.running import preflight, processes, programs, supervise
from tests.environment import PROJECT
from tests.web_load import loaded

NAMES = [program.name for program in programs.programs()]


class Installation:
    """What one host runs: its environment, and the command."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = {
            **environment,
            "RUN_FOLDER": str(folder / "run"),
            "LOG_FOLDER": str(folder / "logs"),
            "WEB_LISTEN": f"127.0.0.1:{processes.free_port()}",
        }
        self.folder = folder

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "higo_push.running.supervise", *words],
            env=self.environment | variables,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start the command, and do not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "higo_push.running.supervise", *words],
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pids(self) -> dict[str, int]:
        """The running processes by name, as `status` shows them."""
        lines = [line.split() for line in self.run("status").stdout.splitlines()[1:]]
        return {words[0]: int(words[2]) for words in lines if words[1] == "running"}


@pytest.fixture
def installation(tmp_path: Path, process_environment: dict[str, str], mongo_server_url: str) -> Iterator[Installation]:
    made = Installation(tmp_path, process_environment | {"MONGO_URL": mongo_server_url})
    yield made
    made.run("stop")


def wait_until(is_so, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_life_of_the_process_set(installation, redis_client):
    installation.environment["BACKLOG_JOBS"] = "1000000"
    started = installation.run("start")
    assert started.returncode == 0, started.stdout + started.stderr
    pids = installation.pids()
    assert list(pids) == NAMES

    os.kill(pids["sweeper"], signal.SIGKILL)
    wait_until(lambda: installation.pids().get("sweeper") not in (None, pids["sweeper"]))

    again = installation.run("start")
    assert again.returncode == 0
    assert "already started" in again.stdout

    pids = reload_replaces_every_process_and_fails_no_request(installation)

    # A stranger that a "kill everything with py in its name" would have taken along.
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        stopped = installation.run("stop")
        assert stopped.returncode == 0, stopped.stderr
        assert stranger.poll() is None
        stranger.kill()
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert installation.run("status").returncode == supervise.NOT_STARTED
    assert {file.stem for file in (installation.folder / "logs").glob("*.log")} == {*NAMES, "supervisord"}


def reload_replaces_every_process_and_fails_no_request(installation):
    before, server = installation.pids(), (installation.folder / "run" / "web.pid").read_text()
    refused = installation.run("reload", REDIS_URL="")
    assert refused.returncode == 1
    assert installation.pids() == before
    with loaded(f"http://{installation.environment['WEB_LISTEN']}") as load:
        # What is set otherwise than at the start is followed, too: here the number of workers.
        done = installation.run("reload", WORKERS_GROUP="2")
        assert done.returncode == 0, done.stdout + done.stderr
    assert load.failures == []
    assert load.accepted
    after = installation.pids()
    assert list(after) == NAMES
    assert {name for name in NAMES if after[name] == before[name]} == {"web"}
    assert (installation.folder / "run" / "web.pid").read_text() != server
    assert psutil.Process(after["workers-group"]).cmdline()[-2:] == ["--processes", "2"]
    return after


def test_a_reload_starts_nothing_that_was_not_started(installation):
    refused = installation.run("reload")
    assert (refused.returncode, refused.stdout) == (supervise.NOT_STARTED, "")
    assert refused.stderr == "not started; run ./push.sh start\n"


def test_nothing_outlives_a_killed_supervisor(installation):
    assert installation.run("start").returncode == 0
    pids = installation.pids()
    supervisor = int((installation.folder / "run" / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()), 60)
    assert installation.run("status").returncode == supervise.NOT_STARTED


@pytest.mark.parametrize("words", [("restart", "restart"), ("stop", "start")])
def test_two_commands_at_once_come_one_after_the_other(installation, words):
    assert installation.run("start").returncode == 0
    before = installation.pids()
    both = [installation.begin(word) for word in words]
    ended = [(process.wait(timeout=200), *process.communicate()) for process in both]
    for code, said, complained in ended:
        assert code == 0, said + complained
        assert "Traceback" not in said + complained
    assert sum("waiting for it" in complained for _, _, complained in ended) == 1
    # Whichever came first: they run, once, and nothing of before is left.
    if installation.run("status").returncode != supervise.NOT_STARTED:
        assert list(installation.pids()) == NAMES
    assert not any(psutil.pid_exists(pid) for pid in before.values() if pid not in installation.pids().values())


def test_a_start_while_the_supervisor_ends_waits_for_its_end(installation):
    assert installation.run("start").returncode == 0
    os.kill(int((installation.folder / "run" / "supervisord.pid").read_text()), signal.SIGTERM)
    started = installation.run("start")
    assert "already started" not in started.stdout
    assert started.returncode == 0, started.stdout + started.stderr
    assert list(installation.pids()) == NAMES


def test_a_folder_that_cannot_be_written_is_named(installation):
    refused = installation.run("start", RUN_FOLDER="/proc/nowhere")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("/proc/nowhere cannot be written: ")


def test_a_lock_of_a_killed_command_is_none(installation):
    killed = installation.begin("start")
    wait_until(lambda: (installation.folder / "run" / "supervise.lock").exists())
    killed.kill()
    killed.communicate()
    started = installation.run("start")
    assert started.returncode in (0, 1)
    assert "waiting for it" not in started.stderr


def test_a_stale_pid_file_harms_nobody(installation):
    run_folder = installation.folder / "run"
    run_folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        (run_folder / "supervisord.pid").write_text(str(stranger.pid))
        stopped = installation.run("stop")
        assert (stopped.returncode, stopped.stdout) == (0, "not running; nothing to stop\n")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("variable", preflight.REQUIRED)
def test_start_refuses_without_a_service(installation, variable):
    refused = installation.run("start", **{variable: ""})
    assert refused.returncode == 1
    assert f"cannot start: {variable} is not set" in refused.stderr


@pytest.mark.parametrize(
    ("variable", "url", "shown"),
    [
        ("REDIS_URL", "redis://:topsecret@127.0.0.1:{port}/0", "Redis at REDIS_URL (redis://127.0.0.1:{port}/0)"),
        (
            "MONGO_URL",
            "mongodb://u:topsecret@127.0.0.1:{port}/x",
            "MongoDB at MONGO_URL (mongodb://127.0.0.1:{port}/x)",
        ),
        ("DATABASE_URL", "sqlite:////no/such/folder/db", "the database at DATABASE_URL"),
    ],
)
def test_start_refuses_an_unreachable_service_without_showing_its_password(installation, variable, url, shown):
    port = processes.free_port()
    refused = installation.run("start", **{variable: url.format(port=port)})
    assert refused.returncode == 1
    assert f"cannot start: {shown.format(port=port)}" in refused.stderr
    assert "topsecret" not in refused.stderr


def test_start_says_when_migrations_are_missing(installation, tmp_path):
    refused = installation.run("start", DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert refused.returncode == 1
    assert "run: .venv/bin/python manage.py migrate" in refused.stderr


def test_restart_does_not_stop_what_could_not_be_started_again(installation):
    refused = installation.run("restart", REDIS_URL="")
    assert refused.returncode == 1
    assert "nothing to stop" not in refused.stdout


def test_logs_of_an_unknown_process_names_the_known_ones(installation):
    refused = installation.run("logs", "sweepr")
    assert refused.returncode == 1
    assert "no log of sweepr" in refused.stderr
    assert "sweeper" in refused.stderr


def test_the_configuration_holds_no_secret(installation):
    config = programs.supervisor_config(programs.programs())
    values = [os.environ[name] for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL")]
    assert not [value for value in values if value in config]


def test_a_percent_sign_in_a_path_is_escaped():
    assert "100%%" in programs.supervisor_config([programs.Program("x", ("100%",))])


def test_a_long_path_moves_the_socket_to_the_temporary_folder(monkeypatch):
    monkeypatch.setattr(programs, "VAR", Path("/" + "long/" * 30))
    assert len(str(programs.socket_path())) < programs.SOCKET_PATH_LIMIT


def test_behind_a_proxy_only_the_named_proxy_is_believed(monkeypatch):
    monkeypatch.setenv("BEHIND_PROXY", "on")
    monkeypatch.setenv("TRUSTED_PROXY", "10.0.0.1")
    assert "--trusted-proxy=10.0.0.1" in programs.web_arguments()
