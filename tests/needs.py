"""What a test needs besides Python. In CI it must be there; elsewhere the test says what it missed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chaos.databases import MariaDb, find
from tests.clusters import namespaces
from tests.clusters.galera import Galera


def _has_php() -> bool:
    """PHP's command line with its redis extension."""
    if shutil.which("php") is None:
        return False
    listed = subprocess.run(["php", "-m"], capture_output=True, text=True, check=False)
    return "redis" in listed.stdout.split()


def _has_git() -> bool:
    return shutil.which("git") is not None


def _has_last_release() -> bool:
    """Git, and a clone with the commit of the last release."""
    commit = (Path(__file__).parent / "upgrade" / "last_release").read_text().strip()
    words = ["git", "-c", "safe.directory=*", "cat-file", "-e", f"{commit}^{{commit}}"]
    return _has_git() and subprocess.run(words, cwd=Path(__file__).parent, check=False).returncode == 0


def _has_chromium() -> bool:
    return shutil.which("chromium") is not None


def _has_node_apn() -> bool:
    """Node, and the package where Node looks for it (NODE_PATH)."""
    if shutil.which("node") is None:
        return False
    found = subprocess.run(["node", "-e", "require.resolve('@parse/node-apn')"], capture_output=True, check=False)
    return found.returncode == 0


def _has_redis_sentinel() -> bool:
    return all(shutil.which(program) for program in ("redis-server", "redis-sentinel"))


def _has_mariadb() -> bool:
    return os.environ.get("DATABASE_URL", "").startswith("mysql:")


def _has_galera() -> bool:
    """What a cluster of MariaDB servers needs."""
    return not Galera.missing()


def _has_haproxy() -> bool:
    return find("haproxy") is not None


def _has_mariadbd() -> bool:
    """A MariaDB server's programs, to start one that may be killed."""
    return not MariaDb.missing()


def _has_faketime() -> bool:
    return shutil.which("faketime") is not None


def _has_namespaces() -> bool:
    return not namespaces.missing()


THINGS = {
    "php": (_has_php, "php with its redis extension (Debian: php-cli php-redis)"),
    "git": (_has_git, "git (Debian: git)"),
    "last-release": (_has_last_release, "git and the last release's commit (git fetch --unshallow)"),
    "node-apn": (_has_node_apn, "node with @parse/node-apn (npm install @parse/node-apn; NODE_PATH=…/node_modules)"),
    "chromium": (_has_chromium, "chromium (Debian: chromium)"),
    "redis-sentinel": (_has_redis_sentinel, "redis-server and redis-sentinel (Debian: packages of the same names)"),
    "mariadbd": (_has_mariadbd, "MariaDB's server and mysqlclient (Debian: mariadb-server; requirements-mysql.txt)"),
    "namespaces": (_has_namespaces, "network namespaces (root; Debian: iproute2 nftables)"),
    "faketime": (_has_faketime, "libfaketime (Debian: faketime)"),
    "galera": (_has_galera, "Galera (Debian: mariadb-server galera-4 mariadb-backup socat)"),
    "haproxy": (_has_haproxy, "HAProxy (Debian: haproxy)"),
    "mariadb": (_has_mariadb, "MariaDB (DATABASE_URL=mysql://…)"),
}


#: What CI need not have in every run. Namespaces are root's.
OPTIONAL = ("mariadb", "node-apn", *(() if os.geteuid() == 0 else ("namespaces",)))


def needs(thing: str) -> None:
    """Go on if `thing` is here. Without it: fail in CI, skip elsewhere. Raises KeyError for an unknown thing."""
    is_here, what = THINGS[thing]
    if is_here():
        return
    if os.environ.get("CI") == "true" and thing not in OPTIONAL:
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"needs {what}")
