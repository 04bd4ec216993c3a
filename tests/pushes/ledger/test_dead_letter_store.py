"""Dead letters are kept to the byte, up to a ceiling for each hour and reason; beyond it they are counted."""

import logging
from datetime import timedelta
from typing import Any

import phpserialize
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from pushes import submit
from pushes.history import series
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.ledger import dead_letter_store
from pushes.ledger.dead_letter_store import MAX_RAW_BYTES, Letter, keep, not_kept
from pushes.models import DeadLetter, PushRecord
from pushes.text import notes
from pushes.text.notes import said
from tests.pushes.api.test_metrics import scrape

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture(autouse=True)
def ceiling(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEAD_LETTERS_PER_HOUR = 5
    monkeypatch.setattr(dead_letter_store, "_said_at", -dead_letter_store.SAY_SECONDS)


def letters(count: int, reason: str = "malformed", batch: str = "a") -> list[Letter]:
    return [Letter("intake", f"{batch}:{reason}:{number}", b"x", reason, said("d")) for number in range(count)]


def order(**fields: object) -> bytes:
    return bytes(phpserialize.dumps({"to_id": "7", "app": "higo", "message": "hello"} | fields))


def reasons() -> dict[str, int]:
    found = list(DeadLetter.objects.values_list("reason", flat=True))
    return {reason: found.count(reason) for reason in set(found)}


def test_up_to_the_ceiling_all_are_kept():
    keep(letters(5))
    assert (reasons(), not_kept(timezone.now())) == ({"malformed": 5}, {})


def test_beyond_it_they_are_counted_in_one_batch_and_in_many():
    keep(letters(8))
    for batch in "bcd":
        keep(letters(3, batch=batch))
    assert (reasons(), not_kept(timezone.now())) == ({"malformed": 5}, {"malformed": 12})


def test_a_flood_of_one_reason_hides_no_other():
    keep(letters(1_000))
    keep(letters(3, "conflict"))
    assert reasons() == {"malformed": 5, "conflict": 3}


def test_another_hour_has_room_again():
    keep(letters(8))
    DeadLetter.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    keep(letters(8, batch="b"))
    assert reasons() == {"malformed": 10}


def test_no_push_is_lost_among_a_flood():
    raws = [order(msg_id=f"m{number}") if number % 10 == 0 else b"garbage" for number in range(200)]
    counts = store(Batch("flood", raws))
    assert (counts.accepted, counts.refused, PushRecord.objects.count()) == (20, {"malformed": 180}, 20)
    assert reasons() == {"malformed": 5}


def test_scanners_letters_have_the_same_ceiling():
    for number in range(9):
        submit.dead_letter("group", f"group:{number}", b"{}", "unknown_type", said(""))
    assert (reasons(), not_kept(timezone.now())) == ({"unknown_type": 5}, {"unknown_type": 4})


def test_no_letter_is_larger_than_what_could_be_a_push():
    keep([Letter("intake", "p", b"x" * 200_000, "too_large", said("d" * 400))])
    letter = DeadLetter.objects.get()
    assert len(bytes(letter.raw)) == MAX_RAW_BYTES
    assert notes.english(letter.detail).endswith("d… (only the first 65536 bytes are kept)")
    assert len(letter.detail) == 300


def test_a_flood_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "pushes"):
        for batch in range(50):
            store(Batch(f"batch{batch}", [b"garbage"] * 100))
    assert len(caplog.records) == 1
    assert "more than DEAD_LETTERS_PER_HOUR=5 for one reason" in caplog.text
    assert "malformed 95" in caplog.text


def test_the_metric_and_the_overview_tell_of_it(viewer_page: Any):
    keep(letters(12))
    assert scrape()["higo_dead_letters_not_kept", "malformed"] == 7
    assert "7 dead letters of the last hour were counted but not kept" in viewer_page()


def test_they_are_no_event_of_a_push():
    keep(letters(12))
    assert not series.figures(series.SPANS["1h"], timezone.now()).reasons
    assert not [name for name in scrape() if name[0] == "higo_recent_events"]


def test_counting_the_hour_reads_the_index_alone():
    keep(letters(5))
    plan = dead_letter_store.of_last_hour(timezone.now()).explain()
    assert "dead_letter_created" in plan
    assert "COVERING" in plan or "Using index" in plan


@pytest.fixture
def viewer_page(client: Client, admin_user: Any) -> Any:
    def page() -> str:
        client.force_login(admin_user)
        return client.get("/admin/", follow=True).content.decode()

    return page
