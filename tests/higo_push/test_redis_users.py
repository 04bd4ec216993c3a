"""deploy/redis-users.acl on a real server: the platform works as its user, and a producer can do nothing else."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from redis.exceptions import NoPermissionError

from higo_push.env import BASE_DIR
from higo_push.running import embedded
from pushes import checks, lanes
from pushes.models import DeliveryResult
from pushes.names import Kind, ProviderKind, Status
from pushes.storage import shared_redis
from pushes.submit import submit
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.planted import SEND, put
from tests.pushes.rows import make_message
from tests.sandbox_process import Sandbox

USERS = BASE_DIR / "deploy" / "redis-users.acl"
PLATFORM, PRODUCER = ("higo_push", "CHANGE-ME-PLATFORM"), ("higo_producer", "CHANGE-ME-PRODUCER")
pytestmark = pytest.mark.django_db(transaction=True)


class GuardedValkey(embedded.Valkey):
    """One that knows only the users of the file."""

    def _arguments(self, port: int) -> list[str]:
        return [*super()._arguments(port), "--aclfile", str(USERS)]

    def _serving_pid(self, port: int) -> int | None:
        try:
            with redis.Redis(port=port, username=PLATFORM[0], password=PLATFORM[1], socket_timeout=5) as client:
                return int(client.info()["process_id"])
        except (redis.RedisError, OSError):
            return None

    @property
    def url(self) -> str:
        return f"redis://{PLATFORM[0]}:{PLATFORM[1]}@127.0.0.1:{self.port}/0"


@pytest.fixture(scope="module")
def server() -> Iterator[GuardedValkey]:
    with embedded.temporary_folder() as folder:
        made = GuardedValkey(folder / "valkey")
        with embedded.running(made):
            yield made


@pytest.fixture
def producer(server: GuardedValkey) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, username=PRODUCER[0], password=PRODUCER[1]) as client:
        yield client


@pytest.fixture
def as_platform(server: GuardedValkey, settings: Settings) -> None:
    settings.REDIS_URL = server.url
    settings.READINESS_CHECKS = {}


def work(environment: dict[str, str]) -> str:
    """Every lane, as `./push.sh start` runs them, until nothing waits. Returns the log."""
    command = [sys.executable, str(BASE_DIR / "manage.py"), "runworkers", "all", "--burst"]
    done = subprocess.run(
        command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_whole_way_as_the_platform_s_user(
    as_platform: None,
    server: GuardedValkey,
    producer: redis.Redis,
    sandbox: Sandbox,
    process_environment: dict[str, str],
    tmp_path: Path,
):
    secret = make_secret()
    key = make_app_key(provider=ProviderKind.XINGE_V2, endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    device = make_device(make_account("reader"))
    producer.rpush(lanes.RAW_LIST, json.dumps({"to_id": "reader", "app": "higo", "message": "x", "msg_id": "acl-1"}))
    call_command("runintake", "--once")
    chat = [Kind.GROUP, Kind.PRIVATE]
    submit([make_message("reader", kind=kind, conversation=f"{kind}:1", text="hello") for kind in chat])
    queues.enqueue_expansion(1)
    queues.enqueue_export(1)
    planted = put(shared_redis.connection(), "hg_xinge_queue", ["os.system", None, ["true"], {}])
    log = work(process_environment | {"REDIS_URL": server.url})
    sweep()
    assert "NoPermission" not in log
    assert "no permissions" not in log
    assert set(DeliveryResult.objects.values_list("token", "status")) == {(device.token, Status.ACCEPTED)}
    assert DeliveryResult.objects.count() == 3
    # A job that cannot be run is put among the failed ones, which takes more commands than any other.
    assert shared_redis.connection().zscore("rq:failed:hg_xinge_queue", planted) is not None


def test_the_console_and_the_probes_as_the_platform_s_user(as_platform: None, client: Client):
    client.force_login(get_user_model().objects.create_superuser("root"))
    shared_redis.connection().delete("rq:queue:hg_xinge_queue")
    put(shared_redis.connection(), "hg_xinge_queue", [SEND, None, [[1]], {}])
    pages = [reverse("admin:index"), reverse("admin:django_rq_dashboard_changelist")]
    names = ("jobs", "queue_details", "finished_jobs", "failed_jobs", "started_jobs", "scheduled_jobs", "workers")
    pages += [reverse(f"admin:django_rq_{name}", args=[1]) for name in names]
    assert {page: client.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
    assert client.post(reverse("admin:django_rq_clear", args=[1])).status_code == 302
    assert Client().get("/readyz").status_code == 200
    assert checks.check_redis() == []


@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", "hg_message_queue", "x"),
        ("SETEX", "higo:online:7", "60", "1"),
        ("SET", "higo:online:7", "1", "EX", "60"),
        ("EXPIRE", "higo:online:7", "60"),
        ("DEL", "higo:online:7"),
        ("PING",),
        ("WAIT", "0", "1"),
        ("CLIENT", "SETNAME", "backend"),
    ],
)
def test_a_producer_may(producer: redis.Redis, command: tuple[str, ...]):
    producer.execute_command(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("RPUSH", "rq:queue:hg_xinge_queue", "job"),
        ("LPUSH", "rq:queue:hg_xinge_queue", "job"),
        ("HSET", "rq:job:1", "data", "x"),
        ("RPUSH", "hg_message_queue:taken", "x"),
        ("SET", "hg_message_queue", "x"),
        ("DEL", "hg_message_queue"),
        ("EXPIRE", "hg_message_queue", "1"),
        ("LRANGE", "hg_message_queue", "0", "-1"),
        ("LPOP", "hg_message_queue"),
        ("LPUSH", "hg_message_queue", "x"),
        ("RPUSH", "higo:online:7", "x"),
        ("GET", "higo:online:7"),
        ("SET", "higo:shard:x", "me"),
        ("SET", "higo:key:1:gate", "x"),
        ("SET", "anything", "x"),
        ("DEL", "rq:queue:hg_xinge_queue"),
        ("RENAME", "higo:online:7", "rq:workers"),
        ("COPY", "higo:online:7", "rq:workers"),
        ("EVAL", "return redis.call('RPUSH', KEYS[1], 'x')", "1", "rq:queue:hg_xinge_queue"),
        ("EVAL", "return redis.call('RPUSH', 'rq:queue:hg_xinge_queue', 'x')", "0"),
        ("PUBLISH", "rq:pubsub:x", "{}"),
        ("SUBSCRIBE", "rq:pubsub:x"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("CONFIG", "SET", "dir", "/tmp"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "higo_producer", "+@all"),
        ("INFO",),
        ("MONITOR",),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MODULE", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("FUNCTION", "LIST"),
        ("SCRIPT", "FLUSH"),
    ],
)
def test_a_producer_may_not(producer: redis.Redis, command: tuple[str, ...]):
    with pytest.raises(NoPermissionError):
        producer.execute_command(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "session:of:somebody:else", "x"),
        ("GET", "session:of:somebody:else"),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("PUBLISH", "rq:pubsub:x", "{}"),
        ("EVAL", "return redis.call('SET', 'session:of:somebody:else', 'x')", "0"),
    ],
)
def test_the_platform_may_not(server: GuardedValkey, command: tuple[str, ...]):
    with redis.Redis.from_url(server.url) as client, pytest.raises((NoPermissionError, redis.ResponseError)):
        client.execute_command(*command)


class InstalledRedis(GuardedValkey):
    """The machine's own server: Debian 12 has Redis 7.0, which knows less than today's and does not start with a file
    that names anything else."""

    def _launch(self, port: int) -> "subprocess.Popen[bytes]":
        self._binary = Path(shutil.which("redis-server") or "")
        return super()._launch(port)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server is installed here")
def test_an_installed_redis_takes_the_file_as_well(tmp_path: Path):
    with (
        embedded.running(InstalledRedis(tmp_path / "redis")) as server,
        redis.Redis(port=server.port, username=PRODUCER[0], password=PRODUCER[1]) as producer,
    ):
        producer.rpush(lanes.RAW_LIST, "x")
        with pytest.raises(NoPermissionError):
            producer.rpush("rq:queue:hg_xinge_queue", "job")


@pytest.mark.parametrize("password", [None, "", "CHANGE-ME-PLATFORM"])
def test_nobody_comes_in_without_a_name(server: GuardedValkey, password: Any):
    with redis.Redis(port=server.port, password=password) as client, pytest.raises(redis.RedisError):
        client.ping()


def test_passwords_are_to_be_replaced():
    """The file is no secret; what it says must not be usable by oversight."""
    assert USERS.read_text().count(">CHANGE-ME-") == 4


# --- what the check says of a server --------------------------------------------------------------


class OpenValkey(embedded.Valkey):
    """One that other machines reach, and that asks nobody for anything."""

    def _arguments(self, port: int) -> list[str]:
        return [*super()._arguments(port), "--bind", "*", "--protected-mode", "no"]


@pytest.fixture(scope="module")
def open_server() -> Iterator[OpenValkey]:
    with embedded.temporary_folder() as folder:
        made = OpenValkey(folder / "valkey")
        with embedded.running(made):
            yield made


@pytest.fixture
def outer_address() -> str:
    """An address of this machine that is no loopback."""
    listed = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    found = next((address for address in listed if "." in address), None)
    return found or pytest.skip("this machine has no address besides loopback")


def check(settings: Settings, url: str) -> list[str | None]:
    settings.REDIS_URL = url
    return [message.id for message in checks.check_redis_users()]


def test_a_server_that_takes_anybody_is_told(open_server: OpenValkey, outer_address: str, settings: Settings):
    at = f"{outer_address}:{open_server.port}/0"
    assert check(settings, f"redis://{at}") == ["pushes.W012"]
    # A password in the URL helps nobody while the server asks for none.
    assert checks.takes_anybody(f"redis://127.0.0.1:{open_server.port}/0")
    [message] = checks.check_redis_users()
    assert "needs no password" in message.msg
    assert "deploy/redis-users.acl" in str(message.hint)


def test_a_full_one_that_takes_anybody_is_told_as_well(open_server: OpenValkey, outer_address: str, settings: Settings):
    with redis.Redis(port=open_server.port) as client:
        client.config_set("maxmemory", 1)
        try:
            assert check(settings, f"redis://{outer_address}:{open_server.port}/0") == ["pushes.W012"]
        finally:
            client.config_set("maxmemory", 0)


def test_with_a_password_or_users_it_is_not(
    open_server: OpenValkey, server: GuardedValkey, outer_address: str, settings: Settings
):
    with redis.Redis(port=open_server.port) as client:
        client.config_set("requirepass", "a-password")
        try:
            assert check(settings, f"redis://:a-password@{outer_address}:{open_server.port}/0") == []
        finally:
            client.config_set("requirepass", "")
    assert not checks.takes_anybody(server.url)


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:{port}/0", "redis://localhost:{port}/0", "redis://127.9.9.9:{port}", "redis://[::1]:{port}"],
)
def test_on_loopback_nobody_is_told(open_server: OpenValkey, settings: Settings, url: str):
    assert check(settings, url.format(port=open_server.port)) == []


@pytest.mark.parametrize("url", ["unix:///run/redis.sock?db=0", "unix://user:password@/run/redis.sock"])
def test_on_a_socket_nobody_is_told(settings: Settings, url: str):
    assert check(settings, url) == []


@pytest.mark.parametrize("url", ["redis://192.0.2.1:6379/0", ""])
def test_what_cannot_be_asked_is_no_matter_of_the_check(settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks, "ANSWER_SECONDS", 0.2)
    assert check(settings, url) == []
