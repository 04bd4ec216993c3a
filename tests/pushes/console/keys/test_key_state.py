"""A key's state is the same on the grid, on the key's page and on the overview."""

import re
from datetime import datetime, timezone
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings
from redis.connection import AbstractConnection

from pushes.console.site.marks import key_badge
from pushes.history import vitals
from pushes.keys import gate
from pushes.models import AppKey
from pushes.names import Environment, Platform
from tests.make import make_app_key
from tests.pushes.console.conftest import url
from tests.pushes.rows import leave_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
ONE_DAY = datetime(2026, 5, 1, tzinfo=timezone.utc)
STATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("in use", {}, {}),
    ("disabled", {"is_enabled": False, "paused_at": ONE_DAY}, {"failed": True}),
    ("paused", {"paused_at": ONE_DAY, "paused_reason": "wrong secret"}, {"failed": True}),
    ("endpoint refused", {"endpoint_url": "http://10.0.0.7"}, {"failed": True}),
    ("provider failing", {}, {"failed": True}),
    ("waiting [0-9]+ s", {}, {"pause_seconds": 90}),
    ("rolled back to the old secret", {"fell_back_at": ONE_DAY, "fell_back_reason": "refused"}, {}),
]


def made(fields: dict[str, Any], report: dict[str, Any]) -> AppKey:
    key = make_app_key()
    AppKey.objects.filter(pk=key.pk).update(**fields)
    failed = django_settings.BREAKER_FAILURES if report.get("failed") else 0
    gate.report(key.pk, answered=0, failed=failed, pause_seconds=report.get("pause_seconds", 0))
    return key


@pytest.mark.parametrize(("words", "fields", "report"), STATES, ids=[words for words, *_rest in STATES])
def test_a_key_s_state_is_drawn_alike_everywhere(
    key_manager: Client, words: str, fields: dict[str, Any], report: dict[str, Any]
) -> None:
    key = made(fields, report)
    for address in (url("appkey_changelist"), url("appkey_change", key.pk), "/admin/"):
        page = key_manager.get(address).content.decode()
        assert re.search(f">{words}</span>", page), address


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"paused_at": ONE_DAY, "paused_reason": "wrong secret"}, "wrong secret"),
        ({"endpoint_url": "http://10.0.0.7"}, "10.0.0.7"),
        ({"fell_back_at": ONE_DAY, "fell_back_reason": "refused"}, "refused"),
    ],
)
def test_the_reason_is_told_on_hover(fields: dict[str, Any], why: str) -> None:
    badge = key_badge(vitals.key_state(AppKey.objects.get(pk=made(fields, {}).pk)))
    assert [title for title in re.findall(r'title="([^"]*)"', badge) if why in title]


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is sent to Redis, one entry for each exchange; the commands of a pipeline are one."""
    sent, send = list[bytes](), AbstractConnection.send_packed_command

    def noted(connection: Any, command: Any, check_health: bool = True) -> None:
        sent.append(command if isinstance(command, bytes) else b"".join(command))
        send(connection, command, check_health)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", noted)
    return sent


@pytest.mark.parametrize("address", ["/admin/", "/admin/pushes/appkey/"])
def test_a_page_asks_redis_as_often_for_many_keys_as_for_one(
    key_manager: Client, exchanges: list[bytes], address: str
) -> None:
    make_app_key()
    key_manager.get(address)
    exchanges.clear()
    key_manager.get(address)
    for_one, keys_asked = len(exchanges), b"".join(exchanges).count(b":gate")
    for platform in Platform:
        make_app_key(platform=platform, environment=Environment.LOCAL)
    exchanges.clear()
    key_manager.get(address)
    assert (keys_asked, b"".join(exchanges).count(b":gate")) == (1, AppKey.objects.count())
    assert len(exchanges) == for_one


def test_without_redis_a_key_is_shown_as_the_database_knows_it(key_manager: Client, settings: Settings) -> None:
    key = made({}, {"failed": True})
    leave_redis(settings)
    for address in (url("appkey_changelist"), url("appkey_change", key.pk)):
        assert ">in use</span>" in key_manager.get(address).content.decode()


@pytest.mark.parametrize(
    ("fields", "report", "matters"),
    [
        ({}, {"failed": True}, ["is_failing"]),
        ({"is_enabled": False, "endpoint_url": "http://10.0.0.7"}, {"failed": True}, []),
        ({"paused_at": ONE_DAY, "endpoint_url": "http://10.0.0.7"}, {"failed": True}, ["is_stopped"]),
        ({"endpoint_url": "http://10.0.0.7"}, {}, ["is_refused"]),
        ({"is_enabled": False, "fell_back_at": ONE_DAY}, {}, ["has_fallen_back"]),
    ],
)
def test_what_of_a_key_needs_a_hand(fields: dict[str, Any], report: dict[str, Any], matters: list[str]) -> None:
    made(fields, report)
    (state,) = vitals.with_gates(vitals.key_states())
    every = ("is_stopped", "is_refused", "is_failing", "has_fallen_back")
    assert [name for name in every if getattr(state, name)] == matters
