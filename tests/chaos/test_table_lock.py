"""A session that locks tables for long (a backup, a change of the schema): the web server answers all the same."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from higo_push.env import BASE_DIR
from higo_push.running import processes, programs
from tests.chaos.databases import DRIVER, MariaDb, MariaDbDatabase
from tests.chaos.world import World

pytestmark = pytest.mark.chaos

TABLES = ("pushes_pushrecord", "pushes_apitoken", "django_session", "pushes_counter")
#: More than the web server has threads for.
CALLERS = 20


@pytest.fixture(scope="module")
def web(mariadb_world: World) -> Iterator[str]:
    """The web server as production starts it, on the world's database."""
    port = processes.free_port()
    command = programs.Program("web", programs.web_arguments(f"127.0.0.1:{port}")).command
    with (mariadb_world.folder / "web.log").open("ab") as log:
        started = processes.start(command, log=log, environment=mariadb_world.environment, folder=BASE_DIR)
    try:
        deadline = time.monotonic() + 30
        while get(f"http://127.0.0.1:{port}/healthz")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop(started)


@pytest.fixture(scope="module")
def token(mariadb_world: World) -> str:
    words = mariadb_world.manage("issuetoken", "locked", "--scope", "push").split()
    return max(words, key=len)


def get(url: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> tuple[int, dict[str, str], str]:
    """Status, headers and text; status 0 where nobody listens."""
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()
    except urllib.error.URLError:
        return 0, {}, ""


def push(web: str, token: str, number: int) -> tuple[int, dict[str, str], str]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = {"to_id": "chaos00001", "app": "higo", "message": "x", "msg_id": f"locked-{number}"}
    return get(f"{web}/api/v1/pushes", headers, json.dumps(body).encode())


def test_locked_tables_are_told_and_probes_are_answered(
    mariadb_world: World, mariadb: MariaDb, web: str, token: str
) -> None:
    world = mariadb_world
    assert isinstance(world.database, MariaDbDatabase)
    at = {"host": "127.0.0.1", "port": mariadb.port, "user": "root", "db": world.database.name}
    with closing(DRIVER.connect(**at)) as other, ThreadPoolExecutor(CALLERS + 1) as pool:
        other.cursor().execute(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in TABLES)}")
        calls = [pool.submit(push, web, token, number) for number in range(CALLERS)]
        page = pool.submit(get, f"{web}/admin/", {"Cookie": "sessionid=0123456789abcdef0123456789abcdef"})
        time.sleep(0.5)
        for path in ("healthz", "api/v1/healthz", "readyz"):
            began = time.monotonic()
            status, _headers, text = get(f"{web}/{path}", {"Cookie": "sessionid=0123456789abcdef0123456789abcdef"})
            assert time.monotonic() - began < 3, path
            assert path == "readyz" or (status, json.loads(text)) == (200, {"status": "ok"})
        for status, headers, text in (call.result() for call in calls):
            assert (status, json.loads(text)["error"]["code"]) == (503, "unavailable")
            assert int(headers["Retry-After"]) > 0
        status, headers, text = page.result()
        assert (status, headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert re.search("database is locked", text)
        assert int(headers["Retry-After"]) > 0
        other.cursor().execute("UNLOCK TABLES")
    assert push(web, token, CALLERS)[0] == 202
