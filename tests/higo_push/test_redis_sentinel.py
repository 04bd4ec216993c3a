"""The platform behind Redis Sentinel as deploy/ has it: users with passwords, and a master that changes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from redis.exceptions import NoPermissionError

from higo_push.env import BASE_DIR
from higo_push.running import embedded, preflight
from pushes import checks, lanes
from pushes.models import DeliveryResult
from pushes.names import ProviderKind, Status
from pushes.storage import sentinels, shared_redis
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
from tests.clusters.certificate import write_certificate
from tests.clusters.hosts import loopback
from tests.clusters.sentinel import MASTER, RedisMember, SentinelMember, Sentinels, wait_until
from tests.make import make_account, make_app_key, make_device, make_secret
from tests.needs import needs
from tests.sandbox_process import Sandbox

DEPLOY = BASE_DIR / "deploy"
ADMIN = "user admin on nopass allkeys allchannels +@all\n"
pytestmark = pytest.mark.django_db(transaction=True)


class DeployedRedis(RedisMember):
    """With deploy/redis-replicas.conf and deploy/redis-users.acl, and a user for the tests."""

    login = {"username": "admin", "password": "x"}

    def _lines(self) -> list[str]:
        users = self.folder / "users.acl"
        users.write_text((DEPLOY / "redis-users.acl").read_text() + ADMIN)
        given = (DEPLOY / "redis-replicas.conf").read_text()
        assert given.count("/etc/redis/users.acl") == 1
        return [*super()._lines(), given.replace("/etc/redis/users.acl", str(users))]


class DeployedSentinel(SentinelMember):
    """With deploy/sentinel.conf, on another address and less patient."""

    login = {"password": "CHANGE-ME-SENTINEL"}

    def _config(self, port: int) -> str:
        text = (DEPLOY / "sentinel.conf").read_text()
        for written, here in {
            "port 26379": f"port {port}",
            "bind 10.0.0.1": f"bind {self.address}\nsentinel announce-ip {self.address}",
            "/var/lib/redis": str(self.folder),
            f"sentinel monitor {MASTER} 10.0.0.1 6379 2": self.more[0],
            "milliseconds higo 5000": "milliseconds higo 1000",
            "timeout higo 15000": "timeout higo 3000",
        }.items():
            assert text.count(written) == 1, written
            text = text.replace(written, here)
        return text


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sentinels]:
    needs("redis-sentinel")
    with embedded.temporary_folder() as folder:
        made = Sentinels(folder / "cluster", loopback(3), DeployedRedis, DeployedSentinel)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def url_for(cluster: Sentinels, login: str) -> str:
    return f"{cluster.url}?sentinel_password=CHANGE-ME-SENTINEL".replace("://", f"://{login}@")


@pytest.fixture
def url(cluster: Sentinels) -> str:
    return url_for(cluster, "higo_push:CHANGE-ME-PLATFORM")


@pytest.fixture
def as_platform(url: str, settings: Settings) -> None:
    settings.REDIS_URL = url
    settings.READINESS_CHECKS = {}
    shared_redis.connection().delete(lanes.RAW_LIST)


def test_the_whole_way(
    as_platform: None, url: str, cluster: Sentinels, sandbox: Sandbox, process_environment: dict[str, str]
):
    secret = make_secret()
    key = make_app_key(provider=ProviderKind.XINGE_V2, endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    device = make_device(make_account("reader"))
    with shared_redis.connect(url_for(cluster, "higo_producer:CHANGE-ME-PRODUCER")) as producer:
        producer.rpush(lanes.RAW_LIST, '{"to_id": "reader", "app": "higo", "message": "x", "msg_id": "sentinel-1"}')
        assert producer.wait(1, 1_000) >= 1
        with pytest.raises(NoPermissionError):
            producer.lpop(lanes.RAW_LIST)
    call_command("runintake", "--once")
    command = [sys.executable, str(BASE_DIR / "manage.py"), "runworkers", "system", "--burst"]
    environment = process_environment | {"REDIS_URL": url}
    done = subprocess.run(
        command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    sweep()
    assert list(DeliveryResult.objects.values_list("token", "status")) == [(device.token, Status.ACCEPTED)]


def test_the_console_the_probes_and_the_checks(as_platform: None, client: Client, monkeypatch: pytest.MonkeyPatch):
    client.force_login(get_user_model().objects.create_superuser("root"))
    pages = [reverse("admin:index"), reverse("admin:django_rq_dashboard_changelist")]
    names = ("jobs", "queue_details", "finished_jobs", "failed_jobs", "started_jobs", "scheduled_jobs", "workers")
    pages += [reverse(f"admin:django_rq_{name}", args=[1]) for name in names]
    assert {page: client.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
    assert Client().get("/readyz").status_code == 200
    assert [*checks.check_redis(), *checks.check_redis_users(), *checks.check_redis_replicas()] == []
    monkeypatch.setenv("REDIS_URL", shared_redis.url())
    assert preflight.redis_problem() is None


#: The steps of docs/intake.md.
PHP = """
[, $host, $port, $sentinelPassword, $password] = $argv;
$sentinel = version_compare(phpversion('redis'), '6', '<')
    ? new RedisSentinel($host, (int) $port, 2.0, null, 0, 2.0, $sentinelPassword)
    : new RedisSentinel(['host' => $host, 'port' => (int) $port, 'auth' => $sentinelPassword]);
$master = $sentinel->getMasterAddrByName('higo');
$redis = new Redis();
$redis->connect($master[0], (int) $master[1], 2.0);
$redis->auth(['higo_producer', $password]);
$redis->rPush('hg_message_queue', serialize(['to_id' => 'php', 'app' => 'higo', 'message' => 'x']));
echo $redis->rawCommand('WAIT', 1, 1000) >= 1 ? 'safe' : 'unsafe';
"""


@pytest.mark.php
def test_php_finds_the_master_and_waits_for_a_replica(as_platform: None, cluster: Sentinels):
    needs("php")
    [sentinel, *_] = cluster.sentinels
    words = [sentinel.address, str(sentinel.port), "CHANGE-ME-SENTINEL", "CHANGE-ME-PRODUCER"]
    done = subprocess.run(["php", "-r", PHP, *words], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "safe", done.stderr
    assert shared_redis.connection().llen(lanes.RAW_LIST) == 1


def test_a_master_that_takes_writes_without_replicas_is_told(as_platform: None, cluster: Sentinels):
    with cluster.redis[cluster.master_number()].client() as master:
        master.config_set("min-replicas-to-write", 0)
        try:
            [message] = checks.check_redis_replicas()
        finally:
            master.config_set("min-replicas-to-write", 1)
    assert (message.id, message.hint) == ("pushes.W013", "See deploy/redis-replicas.conf.")


def test_a_client_follows_a_master_that_dies_and_one_that_hangs(cluster: Sentinels, url: str):
    with shared_redis.connect(url, socket_timeout=1) as client:
        for how in ("kill", "freeze"):
            former = cluster.master_number()
            client.set("higo:test", how)
            client.wait(2, 1_000)
            getattr(cluster.redis[former], how)()
            wait_until(lambda: _answers(client), "another master", 30)
            assert client.get("higo:test") == how.encode()
            assert cluster.master_number() != former
            cluster.redis[former].start() if how == "kill" else cluster.redis[former].thaw()
            wait_until(lambda: _replicas(client) == 2, "the former master to be a replica", 60)


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.set("higo:written", "1"))
    return False


def _replicas(client: redis.Redis) -> int:
    facts: Any = client.info("replication")
    return int(facts["connected_slaves"])


def test_a_former_master_is_left_as_soon_as_it_refuses(cluster: Sentinels, url: str):
    """As one does that is cut off from the others and still reached by us, and by a sentinel that knows no better."""
    stale = cluster.redis[cluster.master_number() - 1]
    with shared_redis.connect(url) as client:
        asked: list[object] = []
        watchers = client.connection_pool.sentinel_manager
        truly = watchers.discover_master

        def at_first_wrong(name: str) -> tuple[str, int]:
            asked.append(name)
            return (stale.address, stale.port) if len(asked) == 1 else truly(name)

        with mock.patch.object(watchers, "discover_master", at_first_wrong):
            assert client.get("higo:nothing") is None
            with pytest.raises(sentinels.FormerMasterError, match=f"{stale.at} is not the master any more"):
                client.set("higo:written", "1")
            assert client.set("higo:written", "1")
    assert len(asked) == 2


def test_a_master_that_has_lost_its_replicas_is_left(cluster: Sentinels, url: str):
    with cluster.redis[cluster.master_number()].client() as master, shared_redis.connect(url) as client:
        master.config_set("min-replicas-to-write", 3)
        try:
            with pytest.raises(sentinels.FormerMasterError, match="NOREPLICAS"):
                client.set("higo:written", "1")
            assert client.connection_pool._available_connections[0]._sock is None
        finally:
            master.config_set("min-replicas-to-write", 1)
        assert client.set("higo:written", "1")


def test_a_sentinel_that_hangs_costs_a_second_once(cluster: Sentinels, url: str):
    cluster.sentinels[0].freeze()
    try:
        with shared_redis.connect(url) as client:
            client.ping()
            client.connection_pool.disconnect()
            began = time.monotonic()
            client.ping()
            assert time.monotonic() - began < sentinels.ANSWER_SECONDS
    finally:
        cluster.sentinels[0].thaw()


def test_each_sentinel_s_answer_is_told(cluster: Sentinels, url: str):
    wrong = url.replace(f"/{MASTER}/", "/another/")
    with shared_redis.connect(wrong) as client, pytest.raises(redis.ConnectionError) as caught:
        client.ping()
    assert str(caught.value).startswith("no sentinel names the master 'another'")
    assert all(f"{sentinel.at} knows no such master" in str(caught.value) for sentinel in cluster.sentinels)
    stranger = cluster.url
    with shared_redis.connect(stranger) as client, pytest.raises(redis.ConnectionError) as caught:
        client.ping()
    assert str(caught.value).count("Authentication required") == len(cluster.sentinels)


def test_what_cannot_be_reached_is_named_without_its_passwords(url: str, monkeypatch: pytest.MonkeyPatch):
    nowhere = "redis+sentinel://user:s3cret@127.0.0.1:1,127.0.0.2:1/higo/0?sentinel_password=t0psecret"
    monkeypatch.setenv("REDIS_URL", nowhere)
    said = str(preflight.redis_problem())
    assert said.startswith("Redis at REDIS_URL (redis+sentinel://127.0.0.1:1,127.0.0.2:1/higo/0) does not answer: no")
    assert "127.0.0.2:1: Error" in said
    assert not any(secret in said for secret in ("s3cret", "t0psecret"))


def test_an_interrupted_answer_is_nobody_elses(url: str):
    class Interrupt(BaseException):
        """What a job's time-out raises in the middle of a read."""

    with shared_redis.connect(url) as client:
        client.set("higo:a", "a")
        [connection] = client.connection_pool._available_connections
        with (
            mock.patch.object(connection._parser, "read_response", side_effect=Interrupt),
            pytest.raises(Interrupt),
        ):
            client.get("higo:a")
        assert client.get("higo:none") is None


def by_tls(member: type[RedisMember], certificate: Path, key: Path) -> type[Any]:
    """A kind of server that is only reached by TLS."""

    class ByTls(member):  # type: ignore[misc,valid-type]
        login: ClassVar[dict[str, Any]] = {"ssl": True, "ssl_ca_certs": str(certificate)}

        def _config(self, port: int) -> str:
            own = f"tls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {certificate}"
            at = f"port 0\ntls-port {port}\ntls-replication yes\ntls-auth-clients no\n{own}"
            return str(super()._config(port)).replace(f"port {port}", at, 1)

    return ByTls


def test_by_tls(tmp_path: Path):
    needs("redis-sentinel")
    hosts = loopback(1)
    certificate, key = write_certificate(tmp_path, [host.address for host in hosts])
    kinds = by_tls(RedisMember, certificate, key), by_tls(SentinelMember, certificate, key)
    cluster = Sentinels(tmp_path / "cluster", hosts, *kinds)
    try:
        cluster.start()
        url = f"{cluster.url}?ssl_ca_certs={certificate}&ssl_check_hostname=true".replace("redis+", "rediss+")
        with shared_redis.connect(url) as client:
            assert client.set("higo:written", "1")
        with shared_redis.connect(cluster.url) as client, pytest.raises(redis.ConnectionError):
            client.ping()
    finally:
        cluster.stop()


def test_a_job_queue_s_connection_is_the_platform_s(as_platform: None):
    assert queues.queue(lanes.send_queue(lanes.SYSTEM)).connection is shared_redis.connection()
