"""A key's state is the same on the grid, on the key's page and on the overview."""

import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from pushes.console.site.marks import key_badge
from pushes.history import vitals
from pushes.keys import gate
from pushes.models import AppKey
from tests.make import make_app_key
from tests.pushes.console.conftest import url
from tests.pushes.rows import leave_redis

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
STATES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("in use", {}, {}),
    ("disabled", {"is_enabled": False, "paused_at": timezone.now()}, {"failed": True}),
    ("paused", {"paused_at": timezone.now(), "paused_reason": "wrong secret"}, {"failed": True}),
    ("endpoint refused", {"endpoint_url": "http://10.0.0.7"}, {"failed": True}),
    ("provider failing", {}, {"failed": True}),
    ("waiting [0-9]+ s", {}, {"pause_seconds": 90}),
    ("rolled back to the old secret", {"fell_back_at": timezone.now(), "fell_back_reason": "refused"}, {}),
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
        ({"paused_at": timezone.now(), "paused_reason": "wrong secret"}, "wrong secret"),
        ({"endpoint_url": "http://10.0.0.7"}, "10.0.0.7"),
        ({"fell_back_at": timezone.now(), "fell_back_reason": "refused"}, "refused"),
    ],
)
def test_the_reason_is_told_on_hover(fields: dict[str, Any], why: str) -> None:
    badge = key_badge(vitals.key_state(AppKey.objects.get(pk=made(fields, {}).pk)))
    assert [title for title in re.findall(r'title="([^"]*)"', badge) if why in title]


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
        ({"paused_at": timezone.now(), "endpoint_url": "http://10.0.0.7"}, {"failed": True}, ["is_stopped"]),
        ({"endpoint_url": "http://10.0.0.7"}, {}, ["is_refused"]),
        ({"is_enabled": False, "fell_back_at": timezone.now()}, {}, ["has_fallen_back"]),
    ],
)
def test_what_of_a_key_needs_a_hand(fields: dict[str, Any], report: dict[str, Any], matters: list[str]) -> None:
    made(fields, report)
    (state,) = vitals.with_gates(vitals.key_states())
    every = ("is_stopped", "is_refused", "is_failing", "has_fallen_back")
    assert [name for name in every if getattr(state, name)] == matters
