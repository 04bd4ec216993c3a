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
from higo_push.processes import free_port


def manage(*arguments: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": "/usr/bin:/bin",
        "ENV_FILE": "/dev/null",
        "SECRET_KEY": "made-up-for-this-test-and-as-long-as-it-has-to-be-really",
        "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "DATABASE_URL": f"sqlite:///{folder / 'empty.sqlite3'}",
    }
    command = [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
    return subprocess.run(
        command, env=environment | variables, cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=False
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
