"""The position moves by compare-and-set only."""

from datetime import datetime, timedelta, timezone

import pytest

from chatscan.messages.instants import Cursor, Scale
from chatscan.models import ScannerPosition
from chatscan.names import Mode
from chatscan.scanning import watermarks
from chatscan.scanning.watermarks import PositionLostError
from pushes.text.notes import said

AT = {Scale.TEXT: Cursor("1700000000", "a")}
MOMENT = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)
LATER = {Scale.TEXT: Cursor("1700000001", "b"), Scale.SECONDS: Cursor(1_700_000_001)}

pytestmark = pytest.mark.django_db


@pytest.fixture
def mark(db):
    watermarks.create("group", AT, None)
    return watermarks.load("group")


def test_there_is_no_position_before_the_first_start():
    assert watermarks.load("group") is None


def test_the_first_position_is_also_the_floor(mark):
    assert (mark.cursors, mark.floors) == (AT, AT)


def test_a_second_first_start_changes_nothing(mark):
    watermarks.create("group", LATER, None)
    assert watermarks.load("group") == mark


def test_advancing_stores_the_cursors(mark):
    moved = watermarks.advance(mark, LATER, None)
    assert watermarks.load("group") == moved
    assert moved.cursors == LATER


def test_what_was_refused_is_added_up_by_reason(mark):
    for reasons in ({"empty": 2}, {"empty": 1, "too_old": 1}):
        watermarks.count(mark, read=2, accepted=0, duplicates=0, refused=reasons)
        mark = watermarks.load("group")
    assert mark.refused == {"empty": 3, "too_old": 1}


def test_the_second_of_two_loses(mark):
    watermarks.advance(mark, LATER, None)
    with pytest.raises(PositionLostError):
        watermarks.advance(mark, AT, None)
    kept = watermarks.load("group")
    assert kept is not None
    assert kept.cursors == LATER


def test_news_about_the_process_never_touches_the_position(mark):
    watermarks.report("group", mode=Mode.POLLING, detail=said("x" * 999), lag_seconds=5)
    assert watermarks.load("group") == mark
    assert len(ScannerPosition.objects.get().mode_detail) == 300


def test_news_about_one_scanner_says_nothing_of_the_other(mark):
    watermarks.create("private", AT, None)
    watermarks.report("group", mode=Mode.POLLING, lag_seconds=5)
    group, private = ScannerPosition.objects.order_by("kind")
    assert (group.mode, group.mode_detail, group.lag_seconds) == (Mode.POLLING, "", 5)
    assert (private.mode, private.lag_seconds) == (Mode.STARTING, 0)


def test_the_time_of_a_position_is_kept_and_moves_when_a_time_is_known():
    watermarks.create("group", AT, MOMENT)
    first = watermarks.load("group")
    assert first is not None
    moved = watermarks.advance(first, LATER, None)
    assert ScannerPosition.objects.get().position_at == MOMENT
    watermarks.advance(moved, LATER, MOMENT + timedelta(seconds=1))
    assert ScannerPosition.objects.get().position_at == MOMENT + timedelta(seconds=1)


def test_the_counters_add_up_and_are_one_scanners(mark):
    watermarks.create("private", AT, None)
    for _ in range(2):
        watermarks.count(mark, read=7, accepted=4, duplicates=2, late=1, refused={})
    watermarks.count(mark, read=1, accepted=1, duplicates=0, refused={})
    numbers = ScannerPosition.objects.order_by("kind").values_list("read", "accepted", "duplicates", "late")
    assert list(numbers) == [(15, 9, 4, 2), (0, 0, 0, 0)]


def test_an_operator_puts_the_position_and_its_floor_back(mark):
    watermarks.create("private", AT, None)
    moved = watermarks.advance(mark, LATER, None)
    watermarks.set_back(moved, AT, MOMENT)
    found = watermarks.load("group")
    assert found is not None
    assert (found.cursors, found.floors) == (AT, AT)
    assert found.version > moved.version
    assert ScannerPosition.objects.get(pk="group").position_at == MOMENT
    assert ScannerPosition.objects.get(pk="private").position_at is None


def test_a_position_that_has_moved_meanwhile_is_not_put_back(mark):
    watermarks.advance(mark, LATER, None)
    with pytest.raises(PositionLostError, match="group"):
        watermarks.set_back(mark, AT, MOMENT)
    found = watermarks.load("group")
    assert found is not None
    assert found.cursors == LATER
