"""What a test needs besides Python. In CI it must be there; elsewhere the test says what it missed."""

import os
import shutil
import subprocess

import pytest

from tests.chaos.databases import MariaDb


def _has_php() -> bool:
    """PHP's command line with its redis extension."""
    if shutil.which("php") is None:
        return False
    listed = subprocess.run(["php", "-m"], capture_output=True, text=True, check=False)
    return "redis" in listed.stdout.split()


def _has_git() -> bool:
    return shutil.which("git") is not None


def _has_chromium() -> bool:
    return shutil.which("chromium") is not None


def _has_mariadb() -> bool:
    return os.environ.get("DATABASE_URL", "").startswith("mysql:")


def _has_mariadbd() -> bool:
    """A MariaDB server's programs, to start one that may be killed."""
    return not MariaDb.missing()


THINGS = {
    "php": (_has_php, "php with its redis extension (Debian: php-cli php-redis)"),
    "git": (_has_git, "git (Debian: git)"),
    "chromium": (_has_chromium, "chromium (Debian: chromium)"),
    "mariadbd": (_has_mariadbd, "MariaDB's server and mysqlclient (Debian: mariadb-server; requirements-mysql.txt)"),
    "mariadb": (_has_mariadb, "MariaDB (DATABASE_URL=mysql://…)"),
}


def needs(thing: str) -> None:
    """Go on if `thing` is here. Without it: fail in CI, skip elsewhere. Raises KeyError for an unknown thing."""
    is_here, what = THINGS[thing]
    if is_here():
        return
    if os.environ.get("CI") == "true" and thing != "mariadb":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")
