"""Whatever stands at the keys that we read in Redis: no page, no process and no push depends on its being ours."""

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from redis import Redis
from rq import Queue

from pushes import lanes
from pushes.console.operators import roles
from pushes.distribution import coalescing
from pushes.inbound.intake import Intake
from pushes.inbound.raw_list import RawList
from pushes.keys import gate
from pushes.models import DeliveryResult, PushRecord
from pushes.names import Kind, Status
from pushes.people import directory
from pushes.storage import shared_redis
from pushes.submit import submit
from pushes.upkeep.sweep import sweep
from pushes.workers import pulse
from pushes.workers import worker as worker_module
from pushes.workers.shards import LEASE_KEY, ShardLeases
from pushes.workers.worker import ShardWorker
from tests.make import make_account, make_app_key, make_device, make_operator, make_secret
from tests.pushes.rows import make_message
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)

VALUES: dict[str, Callable[[Any, Any], object]] = {
    "text": lambda client, key: client.set(key, "a text"),
    "list": lambda client, key: client.rpush(key, "a", b"\xff"),
    "hash": lambda client, key: client.hset(key, mapping={"a": "b", b"\xff": b"\xff"}),
    "set": lambda client, key: client.sadd(key, "a", b"\xff", ""),
    "zset": lambda client, key: client.zadd(key, {"a": 1.0, b"\xff": 2.0}),
    "stream": lambda client, key: client.xadd(key, {"a": "b"}),
}
KEYS = (
    "higo:unwell",
    "higo:unwell:host:name",
    "higo:clock-refused:{host}",
    "higo:written",
    "higo:key:{key}:gate",
    "higo:shard:hg_group_queue_1",
    "{mark}",
    "higo:online:reader",
    "higo:read:reader:group:1",
    "hg_message_queue",
    "hg_message_queue:taken",
    "rq:workers",
    "rq:worker:system-x",
    "rq:queue:hg_message_queue",
    "rq:workers:hg_message_queue",
    "rq:wip:hg_message_queue",
    "rq:failed:hg_message_queue",
    "rq:finished:hg_message_queue",
    "rq:job:x",
)
#: What is no number of ours, or none that anybody can use.
NUMBERS = (b"", b"\xff\xfe", b"nan", b"inf", b"-inf", b"1e308", b"-1", b"9" * 400, b"true")


@pytest.fixture
def names(redis_client: Redis, sandbox: Sandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of the keys, for an account that can be reached."""
    settings.READ_POSITION_KEY = "higo:read:{account_id}:{conversation}"
    settings.COALESCE_SECONDS, settings.READINESS_CHECKS = 30, {}
    monkeypatch.setattr(worker_module, "MIN_PAUSE_SECONDS", 0.02)
    secret = make_secret()
    key = make_app_key(endpoint_url=sandbox.url, secret=secret)
    sandbox.add_key(int(key.access_id), secret)
    make_device(make_account("reader"))
    submit([make_message("reader", kind=Kind.GROUP, conversation="group:1", text="hello")])
    work(redis_client)
    assert DeliveryResult.objects.get().status == Status.ACCEPTED
    [mark] = cast("list[bytes]", redis_client.keys("higo:burst:*"))
    return {"host": socket.gethostname(), "key": key.pk, "mark": mark.decode()}


def work(client: Redis) -> None:
    """Every lane, until nothing waits, as `runworkers` serves it."""
    for lane in lanes.LANES:
        own = lanes.queue_names(lane, 4)
        leases = ShardLeases(shared_redis.connection(), own if lane in lanes.SHARDED else [])
        leases.renew()
        assert leases.owned == set(leases.names)
        made = [Queue(name, connection=client, serializer="json") for name in own]
        worker = ShardWorker(made, name=f"{lane}-planted", connection=client, serializer="json", worker_ttl=25)
        worker.leases = leases
        worker.work(burst=True)
        leases.release()


def take_in(client: Redis) -> None:
    """The intake's loop, for a while."""
    made = Intake(RawList(client), batch_size=10, recovery_seconds=0)
    for _ in range(4):
        made._guarded(made._step)
    pulse.rested()


def look() -> tuple[str, str]:
    """The overview and the metrics, as somebody sees them."""
    client = Client()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    overview = client.get(reverse("admin:index"))
    assert overview.status_code == 200
    metrics = Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="127.0.0.1:8800").get("/metrics")
    assert metrics.status_code == 200
    return overview.content.decode(), metrics.content.decode()


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_another_kind_hold_up_nothing(
    redis_client: Redis, names: dict[str, Any], settings: Settings, kind: str
):
    for key in KEYS:
        name = key.format(**names)
        redis_client.delete(name)
        VALUES[kind](redis_client, name)
    overview, metrics = look()
    assert "Redis does not answer" not in overview
    assert "Redis refuses" not in overview
    assert 'higo_source_up{source="redis"} 1.0' in metrics
    assert 'higo_source_up{source="app_keys"} 1.0' in metrics
    assert Client().get("/readyz").status_code == 200

    chat, order = [
        make_message("reader", kind=Kind.GROUP, conversation="group:1", text="again"),
        make_message("reader", kind=Kind.SYSTEM, text="an order"),
    ]
    take_in(redis_client)
    submit([chat, order])
    redis_client.rpush(lanes.RAW_LIST, json.dumps({"to_id": "reader", "app": "higo", "message": "x", "msg_id": "raw"}))
    take_in(redis_client)
    assert PushRecord.objects.filter(message_id="raw").exists()
    work(redis_client)  # which clears the queues' keys
    settings.STUCK_SECONDS = 0
    sweep()
    work(redis_client)
    assert set(DeliveryResult.objects.values_list("kind", "status")) == {
        (Kind.GROUP, Status.ACCEPTED),
        (Kind.SYSTEM, Status.ACCEPTED),
    }
    assert DeliveryResult.objects.count() == 4


# --- one by one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("field", ["tokens", "at", "failures", "open_until", "line", "tripped", "opened", "probing"])
def test_an_app_key_s_gate_stays_open(redis_client: Redis, field: str, text: bytes):
    redis_client.hset(gate.KEY.format(key_id=7), mapping={field: text})
    assert gate.seconds_shut(7) == 0
    assert 0 <= gate.admit(7, 5, 50).granted <= 5
    assert gate.report(7, answered=0, failed=1_000)
    assert 0 < gate.seconds_shut(7) <= gate.STATE_SECONDS
    assert not gate.report(7, answered=1, failed=0)
    assert gate.seconds_shut(7) == 0
    redis_client.hset(gate.KEY.format(key_id=7), mapping={field: text})
    assert gate.admit(7, 5, None).wait_seconds >= 0


@pytest.mark.parametrize("text", [*NUMBERS, b"9999999999"])
def test_a_burst_ends_within_its_time(redis_client: Redis, text: bytes):
    redis_client.set(coalescing.MARK.format(order_key=5), text)
    latest = timezone.now() + timedelta(seconds=30)
    assert all(end <= latest for end in coalescing._ends([5], latest).values())


@pytest.mark.parametrize("text", [b"", b"\xff", b"nan", b"inf", b"-inf", b"9" * 400, b"true"])
def test_nobody_has_read_to_no_number(redis_client: Redis, settings: Settings, text: bytes):
    settings.READ_POSITION_KEY = "higo:read:{account_id}:{conversation}"
    redis_client.set("higo:read:a:b", text)
    redis_client.set("higo:read:a:c", b"7")
    assert directory.read_positions([("a", "b"), ("a", "c")]) == {("a", "c"): 7.0}


@pytest.mark.parametrize("milliseconds", [None, 10**10])
def test_a_lease_without_an_end_is_nobody_s(redis_client: Redis, milliseconds: int | None):
    redis_client.set(LEASE_KEY.format(name="hg_group_queue_1"), "somebody", px=milliseconds)
    leases = ShardLeases(shared_redis.connection(), ["hg_group_queue_1", "hg_group_queue_2"])
    leases.renew()
    assert leases.owned == set(leases.names)
    redis_client.set(LEASE_KEY.format(name="hg_group_queue_2"), "somebody", px=20_000)
    leases.renew()
    assert leases.owned == {"hg_group_queue_1"}
    leases.release()
    assert redis_client.get(LEASE_KEY.format(name="hg_group_queue_2")) == b"somebody"


SAID: dict[str, Any] = {"process": "intake", "host": "a", "what": pulse.DATABASE, "seconds": 3}


WRONG: tuple[dict[str, Any], ...] = (
    {"process": "\ud800"},
    {"host": "x" * 100_000},
    {"host": "\u202e"},
    {"process": "a\nb"},
    {"what": "love"},
    {"what": []},
    {"seconds": True},
    {"seconds": float("nan")},
    {"seconds": 10**400},
    {"more": 1},
)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "[]",
        "null",
        '"x"',
        *(json.dumps(SAID | wrong) for wrong in WRONG),
    ],
    ids=range(14),
)
def test_a_complaint_that_nobody_of_ours_has_made_is_forgotten(redis_client: Redis, text: str):
    for name, said in {"ours": json.dumps(SAID), "theirs": text}.items():
        redis_client.sadd(pulse.NAMES_KEY, name)
        redis_client.set(pulse.TEXT_KEY.format(name=name), said)
    redis_client.sadd(pulse.NAMES_KEY, b"\xff\xfe", "")
    assert pulse.complaints() == [pulse.Complaint(**SAID)]
    assert redis_client.smembers(pulse.NAMES_KEY) == {b"ours"}


@pytest.mark.parametrize("batch_id", [b"\xff\xfe", b"", b"x" * 5_000, b"a/b", b"a\0b", "é".encode(), b"a" * 32])
@pytest.mark.parametrize("kind", [None, *VALUES])
def test_a_batch_that_nobody_of_ours_has_taken_holds_up_nothing(redis_client: Redis, batch_id: bytes, kind: str | None):
    redis_client.hset("hg_message_queue:taken", mapping={batch_id: b"gone \xff"})
    if kind:
        VALUES[kind](redis_client, b"hg_message_queue:taken:" + batch_id)
    redis_client.set(b"hg_message_queue:intake:gone \xff", "lives for ever")
    redis_client.rpush(lanes.RAW_LIST, json.dumps({"to_id": "reader", "app": "higo", "message": "x", "msg_id": "raw"}))
    take_in(redis_client)
    assert PushRecord.objects.filter(message_id="raw").exists()
    assert redis_client.hlen("hg_message_queue:taken") == 0
