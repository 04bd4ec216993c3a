"""The position moves by compare-and-set only."""

import pytest

from chatscan.messages.instants import Cursor, Scale
from chatscan.models import ScannerPosition
from chatscan.names import Mode
from chatscan.scanning import watermarks
from chatscan.scanning.watermarks import PositionLostError

AT = {Scale.TEXT: Cursor("1700000000", "a")}
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
    watermarks.report("group", mode=Mode.POLLING, detail="x" * 999, lag_seconds=5)
    assert watermarks.load("group") == mark
    assert len(ScannerPosition.objects.get().mode_detail) == 300
