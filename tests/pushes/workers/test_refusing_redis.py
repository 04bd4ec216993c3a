"""A Redis that refuses is waited for like one that is down: no process ends, each says so once, and all go on."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from higo_push.env import BASE_DIR
from higo_push.running import embedded, processes
from pushes.history import vitals
from pushes.models import PushRecord
from pushes.names import Kind, RecordStatus
from pushes.submit import submit
from pushes.workers import queues
from tests.pushes.rows import make_message
from tests.refusing import REFUSALS, Heal

pytestmark = pytest.mark.django_db(transaction=True)
COMMANDS = {
    "intake": ("runintake",),
    "system": ("runworkers", "system"),
    "group": ("runworkers", "group"),
    "two-lanes": ("runworkers", "private", "broadcast"),
    "sweeper": ("runsweeper",),
}
WORKERS = 4
REFUSED_SECONDS = 3.0
Refuse = Callable[[str], Heal]


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Valkey]:
    with embedded.temporary_folder() as folder:
        made = embedded.Valkey(folder / "valkey")
        with embedded.running(made):
            yield made


@pytest.fixture(autouse=True)
def its_database(server: embedded.Valkey, settings: Settings) -> None:
    settings.REDIS_URL = server.url
    settings.READINESS_CHECKS = {}
    with redis.Redis.from_url(server.url) as client:
        # A test that failed before its refusal had begun has nothing to heal.
        client.config_set("stop-writes-on-bgsave-error", "no")
        client.flushall()


@pytest.fixture
def refuse(server: embedded.Valkey) -> Iterator[Refuse]:
    """`refuse(word)` has the server refuse, until what it returns is called, or the test ends."""
    heals: list[Heal] = []

    def begin(word: str) -> Heal:
        heal = REFUSALS[word](server)
        heals.append(heal)

        def once() -> None:
            if heal in heals:
                heals.remove(heal)
                heal()

        return once

    yield begin
    for heal in heals:
        heal()


class Processes:
    """The platform's, on the server that refuses."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name, words in COMMANDS.items():
            with (self._folder / f"{name}.log").open("wb") as log:
                command = [sys.executable, BASE_DIR / "manage.py", *words]
                self._running[name] = processes.start(command, log=log, environment=self._environment, folder=BASE_DIR)

    def ended(self) -> list[str]:
        return [name for name, process in self._running.items() if process.poll() is not None]

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def stop(self) -> dict[str, int]:
        """Ask each once, as the supervisor does. Returns their exit codes."""
        for process in self._running.values():
            process.terminate()
        return {name: process.wait(timeout=30) for name, process in self._running.items()}


@pytest.fixture
def family(tmp_path: Path, process_environment: dict[str, str], server: embedded.Valkey) -> Iterator[Processes]:
    short = {"SHARD_LEASE_SECONDS": "3", "INTAKE_HEARTBEAT_SECONDS": "2", "STUCK_SECONDS": "1", "SWEEP_INTERVAL": "0.2"}
    made = Processes(tmp_path, process_environment | short | {"REDIS_URL": server.url})
    yield made
    made.stop()


def wait_until(is_so: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def store_some() -> list[int]:
    """Accepted by the database; whether Redis is told or not."""
    kinds = [(Kind.SYSTEM, ""), (Kind.GROUP, "group:1"), (Kind.GROUP, "group:2"), (Kind.PRIVATE, "private:1:2")]
    return submit([make_message("nobody", kind=kind, conversation=chat) for kind, chat in kinds]).record_ids


def are_distributed(ids: list[int]) -> bool:
    return PushRecord.objects.filter(pk__in=ids, status=RecordStatus.DISTRIBUTED).count() == len(ids)


def workers_up(server: embedded.Valkey) -> int:
    try:
        return len(queues.worker_names())
    except redis.RedisError:
        return 0


def hand_over(server: embedded.Valkey, name: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.rpush("hg_message_queue", f'{{"to_id": "nobody", "app": "higo", "message": "x", "msg_id": "{name}"}}')


def test_no_process_ends_and_all_go_on(family: Processes, server: embedded.Valkey, refuse: Refuse):
    family.start()
    wait_until(lambda: workers_up(server) == WORKERS)
    for word in REFUSALS:
        print(f"refusing: {word}")
        before = store_some()
        wait_until(partial(are_distributed, before))
        heal = refuse(word)
        during = store_some()
        time.sleep(REFUSED_SECONDS)
        assert family.ended() == []
        heal()

        hand_over(server, word)
        after = store_some()
        wait_until(PushRecord.objects.filter(message_id=word).exists)
        wait_until(partial(are_distributed, during + after))
        assert family.ended() == []
    for name in ("system", "group", "two-lanes", "intake"):
        log = family.log(name)
        assert "Traceback" not in log, log
        # Once at the beginning of each of them, and once at the end.
        told = log.count("Redis cannot be used, trying again")
        assert told <= (2 if name == "two-lanes" else 1) * len(REFUSALS), log
        assert told - 2 <= len(re.findall(r"(?<!until )Redis is back", log)) <= told, log
    assert family.stop() == dict.fromkeys(COMMANDS, 0)


@pytest.mark.parametrize("word", ["ReadOnlyError", "AuthenticationError", "ConnectionError"])
def test_started_while_it_refuses_they_wait_as_well(
    family: Processes, server: embedded.Valkey, refuse: Refuse, word: str
):
    heal = refuse(word)
    family.start()
    time.sleep(REFUSED_SECONDS + 2)
    assert family.ended() == []
    heal()
    ids = store_some()
    hand_over(server, f"start {word}")
    wait_until(lambda: are_distributed(ids))
    wait_until(lambda: PushRecord.objects.filter(message_id=f"start {word}").exists())
    assert family.ended() == []
    assert "Traceback" not in family.log("system") + family.log("group") + family.log("intake")


@pytest.mark.parametrize("word", ["ReadOnlyError", "NoPermissionError"])
def test_they_can_be_stopped_while_it_refuses(family: Processes, server: embedded.Valkey, refuse: Refuse, word: str):
    family.start()
    wait_until(lambda: workers_up(server) == WORKERS)
    heal = refuse(word)
    try:
        time.sleep(1.5)
        asked_at = time.monotonic()
        assert family.stop() == dict.fromkeys(COMMANDS, 0)
        assert time.monotonic() - asked_at < 15
    finally:
        heal()


@pytest.mark.parametrize("word", REFUSALS)
def test_readyz_says_which_one_refuses_and_why(server: embedded.Valkey, refuse: Refuse, word: str):
    heal = refuse(word)
    try:
        answer = Client().get("/readyz")
    finally:
        heal()
    checks = answer.json()["checks"]
    assert (answer.status_code, checks["database"]["ok"]) == (503, True)
    # It asks for a write, and a replica says first that it takes none.
    assert checks["redis"]["error"] == ("ReadOnlyError" if word == "MasterDownError" else word)
    assert Client().get("/readyz").status_code == 200


def test_what_readyz_writes_goes_away_by_itself(server: embedded.Valkey):
    assert Client().get("/readyz").status_code == 200
    with redis.Redis.from_url(server.url) as client:
        assert 0 < client.ttl(queues.WRITTEN_KEY) <= queues.WRITTEN_SECONDS


def test_the_overview_and_the_metrics_say_so(refuse: Refuse, client: Client):
    client.force_login(get_user_model().objects.create_superuser("root"))
    heal = refuse("ReadOnlyError")
    try:
        view = vitals.redis_view()
        page = client.get("/admin/").content.decode()
        scraped = Client(headers={"host": "localhost"}).get("/metrics").content.decode()
    finally:
        heal()
    assert view is not None
    assert view.refuses == "ReadOnlyError"
    assert "Redis refuses writes (ReadOnlyError)" in page
    assert 'higo_source_up{source="redis"} 0.0' in scraped
