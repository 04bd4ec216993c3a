import io
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import phpserialize
import psutil
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from higo_push.running import processes
from pushes.lanes import RAW_LIST
from pushes.models import DeadLetter, PushRecord
from pushes.text import presentation
from tests.needs import needs

PROJECT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, str(PROJECT / "manage.py"), "runintake"]


def raw(**fields: object) -> bytes:
    return bytes(phpserialize.dumps({"to_id": "7", "app": "higo", "message": "hello"} | fields))


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.mark.django_db
def test_once_prints_the_counts(redis_client: Any, capsys: pytest.CaptureFixture[str]):
    redis_client.rpush(RAW_LIST, raw(), b"bad")
    call_command("runintake", "--once")
    assert capsys.readouterr().out == "2 received, 1 accepted, 0 duplicates, 1 dead letters (malformed 1)\n"


@pytest.mark.django_db
def test_once_on_an_empty_list_is_fine(redis_client: Any, capsys: pytest.CaptureFixture[str]):
    call_command("runintake", "--once")
    assert capsys.readouterr().out == "0 received, 0 accepted, 0 duplicates, 0 dead letters\n"


@pytest.mark.django_db
def test_once_without_redis_says_so(settings: Settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{processes.free_port()}/0"
    with pytest.raises(CommandError, match=r"the rest is still in Redis\. Error"):
        call_command("runintake", "--once")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(redis_client: Any, process_environment: dict[str, str], number: int):
    process = processes.start(COMMAND, environment=process_environment)
    redis_client.rpush(RAW_LIST, raw())
    wait_for(PushRecord.objects.exists)
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    assert redis_client.keys(f"{RAW_LIST}*") == []


def test_idle_it_costs_next_to_nothing(redis_client: Any, process_environment: dict[str, str]):
    process = processes.start(COMMAND, environment=process_environment)
    try:
        wait_for(lambda: redis_client.info("clients")["blocked_clients"] > 0)
        before = psutil.Process(process.pid).cpu_times()
        time.sleep(3)
        after = psutil.Process(process.pid).cpu_times()
    finally:
        processes.stop(process)
    assert after.user + after.system - before.user - before.system <= 0.06


@pytest.mark.php
def test_what_php_serialises_arrives(redis_client: Any, db: None):
    needs("php")
    address = redis_client.connection_pool.connection_kwargs
    script = PROJECT / "tests" / "php" / "push_orders.php"
    printed = subprocess.run(
        ["php", script, str(address["host"]), str(address["port"]), str(address.get("db", 0)), RAW_LIST],
        check=True,
        capture_output=True,
        timeout=60,
    )
    pushed = json.loads(printed.stdout)
    call_command("runintake", "--once", stdout=io.StringIO())
    stored = {record.message_id: record for record in PushRecord.objects.all()}
    assert len(stored) == len(pushed["orders"]) == 22
    for order in pushed["orders"]:
        record = stored[order["msg_id"]]
        given = order["to_id"] if not isinstance(order["to_id"], dict) else list(order["to_id"].values())
        accounts = given if isinstance(given, list) else [given]
        assert record.accounts == list(dict.fromkeys(str(account).removesuffix(".0") for account in accounts))
        assert (record.push_type, record.app) == (int(order.get("type", 55)), order["app"])
        assert record.platform == {"iphone": "ios", "android": "android", None: ""}[order.get("via")]
        assert (record.title, record.text) == (order.get("title", ""), order["message"])
        assert record.data == order.get("data", {})
        assert record.presentation == ({name: order[name] for name in presentation.FIELDS if name in order} or None)
    reasons = list(DeadLetter.objects.order_by("id").values_list("reason", flat=True))
    assert reasons == pushed["refused"]


@pytest.mark.php
def test_the_documents_examples_arrive_as_they_say(redis_client: Any, db: None):
    needs("php")
    address = redis_client.connection_pool.connection_kwargs
    connect = f"$redis = new Redis(); $redis->connect('{address['host']}', {address['port']}, 5);"
    examples = re.findall(r"```php\n(.*?)```", (PROJECT / "docs" / "intake.md").read_text(), re.DOTALL)
    # The example for Sentinel connects by itself, to addresses that nobody has here.
    own = [example for example in examples if "RedisSentinel" not in example]
    program = "".join([connect, f"$redis->select({address.get('db', 0)});", *own])
    subprocess.run(["php", "-r", program], check=True, capture_output=True, timeout=60)
    call_command("runintake", "--once", stdout=io.StringIO())
    assert not DeadLetter.objects.exists()
    looks = dict(PushRecord.objects.values_list("message_id", "presentation"))
    assert looks == {
        "order-77-paid": None,
        "order-77-sent": {
            "subtitle": "订单 77",
            "link": "higo://order/77",
            "image": "https://img.example.com/goods/42.jpg",
            "badge": 3,
        },
    }


class Producer(threading.Thread):
    """Pushes orders, good and bad, with and without an id of their own, until all are out."""

    def __init__(self, client: Any, total: int) -> None:
        super().__init__()
        self.client, self.total = client, total

    def run(self) -> None:
        for number in range(self.total):
            self.client.rpush(RAW_LIST, self.message(number))
            if not number % 50:
                time.sleep(0.02)

    @staticmethod
    def message(number: int) -> bytes:
        if number % 10 == 9:
            return b"bad %d" % number
        own_id = {"msg_id": f"m{number}"} if number % 2 else {}
        return raw(message=f"text {number}", **own_id)


def has_worked(client: Any, records_before: int) -> bool:
    return PushRecord.objects.count() > records_before or not client.llen(RAW_LIST)


@pytest.mark.chaos
@pytest.mark.django_db(transaction=True)
def test_killed_again_and_again_it_loses_nothing_and_doubles_nothing(
    redis_client: Any, process_environment: dict[str, str]
):
    total, kills = 10_000, 6
    environment = process_environment | {"INTAKE_BATCH": "40"}
    producer = Producer(redis_client, total)
    producer.start()
    taken_by_the_dead = 0
    for number in range(kills):
        before = PushRecord.objects.count()
        process = processes.start(COMMAND, environment=environment)
        wait_for(partial(has_worked, redis_client, before))
        time.sleep(random.uniform(0, 0.3))
        if number % 2:
            # Every other one with a batch in hand for sure, as far as there is one left.
            wait_for(lambda: redis_client.hlen(f"{RAW_LIST}:taken") or not producer.is_alive())
        process.kill()
        process.wait()
        taken_by_the_dead += redis_client.hlen(f"{RAW_LIST}:taken") > 0
    producer.join()
    process = processes.start(COMMAND, environment=environment)
    try:
        wait_for(lambda: not redis_client.llen(RAW_LIST) and not redis_client.exists(f"{RAW_LIST}:taken"), seconds=60)
    finally:
        processes.stop(process)
    good = [number for number in range(total) if number % 10 != 9]
    assert sorted(PushRecord.objects.values_list("text", flat=True)) == sorted(f"text {n}" for n in good)
    letters = sorted(bytes(letter) for letter in DeadLetter.objects.values_list("raw", flat=True))
    assert letters == sorted(b"bad %d" % n for n in range(total) if n % 10 == 9)
    assert taken_by_the_dead, "no kill hit an intake that held a batch: the test proved nothing"
