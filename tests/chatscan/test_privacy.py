"""CHAT_PRIVACY from the chat database to the phone: what must not be kept is kept nowhere."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from chatscan.models import ScannerPosition
from pushes.console.operators import roles
from pushes.models import DeadLetter, DeliveryResult, PushRecord
from pushes.upkeep.sweep import sweep
from tests.chatscan.conftest import read_all
from tests.chatscan.making import group, group_document
from tests.make import make_account, make_app_key, make_device, make_operator, make_secret
from tests.sandbox_process import Sandbox

pytestmark = pytest.mark.django_db(transaction=True)
TEXT, NAME, ROOM = "暗号芝麻开门", "暗名小王", "暗群面膜团"
SECRETS = (TEXT, NAME, ROOM)
LONG = f"{'好' * 70}{TEXT}"


@pytest.fixture
def told(
    chats: Any, mongo_db: Any, start: Any, run_jobs: Any, sandbox: Sandbox, settings: Settings, caplog: Any
) -> Callable[[str, str], str]:
    """`told("hidden", TEXT)`: everything that we wrote down, sent and logged of some messages with that text."""

    def tell(privacy: str, text: str) -> str:
        caplog.set_level(logging.DEBUG)
        settings.CHAT_PRIVACY = privacy
        secret = make_secret()
        key = make_app_key(endpoint_url=sandbox.url, secret=secret)
        sandbox.add_key(int(key.access_id), secret)
        for account_id in ("2", "3"):
            make_device(make_account(account_id))
        mongo_db.groups.replace_one({"group_id": 7}, group(name=ROOM))
        scanner = start()
        user = {"user_id": 1, "nickname": NAME}
        chats.insert_many(group_document(text, user=user) for _ in range(3))
        chats.insert_one(group_document(data={"text": text}, user=user, type="hologram"))
        chats.insert_one(group_document(text, user={"nickname": NAME}))
        chats.insert_one(group_document(text, user=user, createAt="yesterday"))
        chats.insert_one(group_document(text, user={"user_id": "u" * 99, "nickname": NAME}))
        read_all(scanner)
        scanner.look_aside(timezone.now())
        run_jobs()
        DeliveryResult.objects.filter(status="held").update(due_at=timezone.now() - timedelta(seconds=1))
        sweep()
        run_jobs()
        assert (PushRecord.objects.count(), DeadLetter.objects.count()) == (3, 4)
        received = json.dumps(sandbox.received(), ensure_ascii=False)
        return "\n".join([*rows(), *redis_values(settings), received, caplog.text, *pages()])

    return tell


def rows() -> Iterator[str]:
    """Every value of every table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield " ".join(readable(value) for value in row)


def readable(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        value = bytes(value).decode(errors="replace")
    text = str(value)
    # JSON columns may hold what is no ASCII as escapes.
    return text.encode().decode("unicode_escape", errors="replace") if "\\u" in text else text


def redis_values(settings: Settings) -> Iterator[str]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter():
            dumped: Any = client.dump(key)
            yield dumped.decode(errors="replace")


def pages() -> Iterator[str]:
    """What an administrator can look at of it."""
    client = Client()
    client.force_login(make_operator(roles.ADMINISTRATOR))
    ScannerPosition.objects.update(position_at=timezone.now())
    back = timezone.localtime(timezone.now() - timedelta(minutes=5))
    PushRecord.objects.all().delete()  # so that the rehearsal shows them all
    rewind = reverse("admin:chatscan_scannerposition_rewind_page", args=("group",))
    answer = client.post(rewind, {"to_time_0": f"{back:%Y-%m-%d}", "to_time_1": f"{back:%H:%M:%S}"})
    assert answer.context["preview"].would_push == 3
    yield answer.content.decode()
    for letter in DeadLetter.objects.all():
        page = client.get(reverse("admin:pushes_deadletter_change", args=(letter.pk,)))
        assert page.status_code == 200
        yield page.content.decode()
    row = DeliveryResult.objects.filter(status="accepted").first()
    assert row is not None
    yield client.get(reverse("admin:pushes_deliveryresult_change", args=(row.pk,))).content.decode()


def test_hidden_leaves_no_text_and_no_name_anywhere(told: Callable[[str, str], str]) -> None:
    kept = told("hidden", TEXT)
    assert "你收到一条新消息" in kept
    assert "你收到 2 条新消息" in kept  # the burst
    assert [secret for secret in SECRETS if secret in kept] == []


def test_preview_leaves_nothing_beyond_its_characters(told: Callable[[str, str], str]) -> None:
    kept = told("preview", LONG)
    assert NAME in kept
    assert ROOM in kept
    assert "好" * 30 in kept
    assert TEXT not in kept


def test_full_keeps_all_of_it_so_the_search_above_can_find_something(told: Callable[[str, str], str]) -> None:
    kept = told("full", LONG)
    assert [secret for secret in SECRETS if secret not in kept] == []
