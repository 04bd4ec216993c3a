"""A command that cannot be run says why in a line, names the setting, and says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, ProgrammingError
from redis import exceptions as redis_errors

from higo_push.command_line import explanation
from higo_push.env import BASE_DIR
from higo_push.running.processes import free_port


def manage(*arguments: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return python("manage.py", *arguments, folder=folder, **variables)


def python(*arguments: str, folder: Path, **variables: str | None) -> "subprocess.CompletedProcess[str]":
    """Run Python in the project with these variables; None takes one away."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "ENV_FILE": "/dev/null",
        "SECRET_KEY": "made-up-for-this-test-and-as-long-as-it-has-to-be-really",
        "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "DATABASE_URL": f"sqlite:///{folder / 'empty.sqlite3'}",
    }
    wanted = {name: value for name, value in (environment | variables).items() if value is not None}
    return subprocess.run(
        [sys.executable, *arguments], env=wanted, cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_database_without_its_tables(tmp_path: Path):
    run = manage("whynot", "7", "order-1", folder=tmp_path)
    assert run.returncode == 1
    assert "pushes_pushrecord" in run.stderr
    assert "manage.py migrate" in run.stderr
    assert "Traceback" not in run.stderr


def test_whoever_wants_the_traceback_gets_it(tmp_path: Path):
    assert "Traceback" in manage("whynot", "7", "order-1", "--traceback", folder=tmp_path).stderr


@pytest.mark.parametrize(
    ("name", "value"), [("REDIS_URL", "http://localhost"), ("QUEUE_MAX", "many"), ("DELIVERY_WINDOW", "8-23")]
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str):
    run = manage("audit", folder=tmp_path, **{name: value})
    assert run.returncode == 1
    assert name in run.stderr
    assert "Traceback" not in run.stderr


TORN = "mysql://user:s3cr3t/part?more#rest@127.0.0.1:3306/higo"
ENTRIES = {
    "manage.py audit": ["manage.py", "audit"],
    "manage.py migrate": ["manage.py", "migrate"],
    "manage.py check": ["manage.py", "check"],
    "manage.py runworkers": ["manage.py", "runworkers", "all", "--burst"],
    "a command that there is not": ["manage.py", "nothing"],
    "the web server": ["-c", "import higo_push.wsgi"],
    "the other web server": ["-c", "import higo_push.asgi"],
    "push.sh start": ["-m", "higo_push.running.supervise", "start"],
    "push.sh status": ["-m", "higo_push.running.supervise", "status"],
}


@pytest.mark.parametrize("name", ["DATABASE_URL", "DIRECTORY_DATABASE_URL"])
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_password_that_tears_an_url_is_shown_nowhere(tmp_path: Path, entry: str, name: str):
    folders = {
        "RUN_FOLDER": str(tmp_path),
        "LOG_FOLDER": str(tmp_path),
        "REDIS_URL": "redis://h",
        "MONGO_URL": "mongodb://h",
    }
    run = python(*ENTRIES[entry], folder=tmp_path, **{**folders, name: TORN})
    said = run.stdout + run.stderr
    assert not any(part in said for part in ("Traceback", "s3cr3t", "part?", "more", "rest@"))
    assert run.returncode == (3 if entry == "push.sh status" else 1)
    (line,) = [line for line in said.splitlines() if name in line]
    assert f"{name} cannot be used" in line
    assert "%2F" in line


def test_help_is_there_whatever_the_settings_say(tmp_path: Path):
    run = python("manage.py", "help", folder=tmp_path, DATABASE_URL=TORN)
    assert run.returncode == 0
    assert "s3cr3t" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCAN_INTERVAL", "soon"),
        ("DEBUG", "maybe"),
        ("TIME_ZONE", "Mars/North"),
        ("REDIS_URL", "redis://h:port"),
        ("QUEUE_MAX", "4.5"),
    ],
)
def test_every_other_setting_that_cannot_be_used_ends_in_one_line(tmp_path: Path, name: str, value: str):
    run = python("manage.py", "audit", folder=tmp_path, **{name: value})
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert name in line
    assert name == "REDIS_URL" or value in line


def test_comments_and_quotes_in_the_env_file_are_not_part_of_the_values(tmp_path: Path):
    file = tmp_path / "settings.env"
    url = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    file.write_text(f"\ufeffexport DATABASE_URL = '{url}'  # ours\r\nQUEUE_MAX=2 # two\r\n\r\n", newline="")
    run = python("manage.py", "audit", folder=tmp_path, ENV_FILE=str(file), DATABASE_URL=None)
    assert "manage.py migrate" in run.stderr
    assert (tmp_path / "empty.sqlite3").exists()


@pytest.mark.parametrize("command", [("runintake", "--once"), ("runsweeper", "--once")])
def test_without_a_redis_of_its_own_nothing_is_drained_or_enqueued(tmp_path: Path, command: tuple[str, ...]):
    run = manage(*command, folder=tmp_path)
    assert run.returncode == 1
    assert "REDIS_URL is not set" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_redis_that_is_away(tmp_path: Path):
    assert manage("migrate", "-v0", folder=tmp_path).returncode == 0
    run = manage("runsweeper", "--once", folder=tmp_path, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert run.returncode == 1
    assert "Redis cannot be used" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImproperlyConfigured("QUEUE_MAX='x' cannot be used"), "QUEUE_MAX='x'"),
        (OperationalError(2002, "Can't connect to server on 'db'"), "DATABASE_URL"),
        (OperationalError(1045, "Access denied for user"), "DATABASE_URL"),
        (OperationalError("unable to open database file"), "DATABASE_URL"),
        (ProgrammingError(1146, "Table 'higo.pushes_appkey' doesn't exist"), "manage.py migrate"),
        (redis_errors.TimeoutError("Timeout reading from socket"), "REDIS_URL"),
    ],
)
def test_what_is_no_fault_of_the_programs_is_explained(error: Exception, said: str):
    assert said in (explanation(error) or "")


@pytest.mark.parametrize("error", [KeyError("x"), ProgrammingError(1064, "syntax"), OperationalError(1213, "Deadlock")])
def test_a_fault_of_the_programs_keeps_its_traceback(error: Exception):
    assert explanation(error) is None
