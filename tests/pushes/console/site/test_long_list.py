from datetime import timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from pushes.console.site import long_list
from pushes.history import pages
from pushes.history.pages import Cursor, read_page
from pushes.models import DeliveryResult
from pushes.names import Status
from tests.make import make_delivery, make_record

pytestmark = pytest.mark.django_db
WALKING = pytest.mark.parametrize("walk", [False, True])


def rows(**conditions: Any) -> QuerySet[DeliveryResult]:
    return DeliveryResult.objects.filter(**conditions).order_by()


def ids(page: pages.Page) -> list[int]:
    return [row.pk for row in page.rows]


@pytest.fixture
def log() -> list[int]:
    """Ten deliveries, with the numbers that they have."""
    record = make_record()
    return [make_delivery(record, status=Status.FAILED if n == 3 else Status.ACCEPTED).pk for n in range(10)]


@WALKING
def test_the_first_page_holds_the_newest(log: list[int], walk: bool) -> None:
    page = read_page(rows(), Cursor(), 4, walk=walk)
    assert ids(page) == log[:5:-1]
    assert (page.has_newer, page.has_older) == (False, True)


@WALKING
def test_pages_back_in_time_meet_without_gap_or_overlap(log: list[int], walk: bool) -> None:
    seen: list[int] = []
    page = read_page(rows(), Cursor(), 4, walk=walk)
    while True:
        seen += ids(page)
        if not page.has_older:
            break
        page = read_page(rows(), Cursor(before=ids(page)[-1]), 4, walk=walk)
    assert seen == log[::-1]


@WALKING
def test_the_way_back_to_newer_rows_shows_the_nearest(log: list[int], walk: bool) -> None:
    page = read_page(rows(), Cursor(after=log[4]), 3, walk=walk)
    assert ids(page) == [log[7], log[6], log[5]]
    assert page.has_newer


@WALKING
def test_the_newest_page_reached_from_older_ones_has_nothing_newer(log: list[int], walk: bool) -> None:
    page = read_page(rows(), Cursor(after=log[6]), 3, walk=walk)
    assert (ids(page), page.has_newer) == (log[:6:-1], False)


@WALKING
def test_an_empty_table_is_an_empty_page(walk: bool) -> None:
    page = read_page(rows(), Cursor(), 4, walk=walk)
    assert (page.rows, page.has_newer, page.has_older) == ([], False, False)


def test_a_rare_row_is_found_across_windows(log: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SPAN_ROWS", 1)
    page = read_page(rows(status=Status.FAILED), Cursor(), 4, walk=True)
    assert (ids(page), page.stopped_at) == ([log[3]], None)


def test_a_walk_stops_with_its_budget_and_says_where(log: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SPAN_ROWS", 2)
    monkeypatch.setattr(pages, "BUDGET_SECONDS", 0.0)
    page = read_page(rows(status=Status.FAILED), Cursor(), 4, walk=True)
    assert (ids(page), page.has_older, page.stopped_at) == ([], True, log[8])


def test_a_stopped_walk_goes_on_where_it_stopped(log: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SPAN_ROWS", 2)
    monkeypatch.setattr(pages, "BUDGET_SECONDS", 0.0)
    cursor, found = Cursor(), []
    for _ in log:
        page = read_page(rows(status=Status.FAILED), cursor, 4, walk=True)
        found += ids(page)
        if not page.has_older:
            break
        cursor = Cursor(before=page.stopped_at)
    assert found == [log[3]]


def test_a_walk_to_newer_rows_stops_too(log: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SPAN_ROWS", 2)
    monkeypatch.setattr(pages, "BUDGET_SECONDS", 0.0)
    page = read_page(rows(status=Status.FAILED), Cursor(after=log[4]), 4, walk=True)
    assert (page.rows, page.has_newer, page.stopped_above) == ([], True, log[6])


def test_since_bounds_rows_by_time_and_by_key() -> None:
    now = timezone.now()
    old = make_delivery(created_at=now - timedelta(hours=3))
    new = make_delivery(created_at=now - timedelta(minutes=3))
    found = long_list.TimeFilter().since(rows(), now - timedelta(hours=1))
    assert [row.pk for row in found] == [new.pk]
    assert old.pk < new.pk
    assert '"id" >=' in str(found.query) or "`id` >=" in str(found.query)


def test_until_leaves_out_what_came_later() -> None:
    now = timezone.now()
    old = make_delivery(created_at=now - timedelta(hours=3))
    make_delivery(created_at=now)
    assert [row.pk for row in long_list.TimeFilter().until(rows(), now - timedelta(hours=1))] == [old.pk]


def test_a_time_without_rows_finds_none() -> None:
    make_delivery()
    assert not long_list.TimeFilter().since(rows(), timezone.now() + timedelta(days=1)).exists()
    assert not long_list.TimeFilter().until(rows(), timezone.now() - timedelta(days=1)).exists()
    DeliveryResult.objects.all().delete()
    assert not long_list.TimeFilter().since(rows(), timezone.now()).exists()
    assert not long_list.TimeFilter().until(rows(), timezone.now()).exists()


def test_a_time_that_all_rows_are_within_bounds_nothing() -> None:
    row = make_delivery()
    wide = long_list.TimeFilter()
    assert [found.pk for found in wide.since(rows(), row.created_at - timedelta(days=1))] == [row.pk]
    assert [found.pk for found in wide.until(rows(), row.created_at + timedelta(days=1))] == [row.pk]
    assert (wide.lowest, wide.highest) == (None, None)


@pytest.mark.parametrize("seconds", range(0, 200, 7))
def test_times_and_ids_may_disagree_by_a_job_s_length(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Jobs take turns of 1, 50 and 110 seconds, and each inserts its rows when it ends, with the time of its start."""
    monkeypatch.setattr(pages, "ID_SLACK", 0)
    start = timezone.now() - timedelta(hours=1)
    ends = sorted((begins + (1, 50, 110)[begins % 3], begins) for begins in range(0, 200, 5))
    for _end, begins in ends:
        make_delivery(created_at=start + timedelta(seconds=begins))
    moment = start + timedelta(seconds=seconds)
    chosen = long_list.TimeFilter()
    for found, expected in (
        (chosen.since(rows(), moment), rows(created_at__gte=moment)),
        (chosen.until(rows(), moment), rows(created_at__lt=moment)),
    ):
        assert set(found) == set(expected)


def test_the_bounds_of_a_time_are_near_however_many_rows_lie_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ID_SLACK", 1)
    start = timezone.now() - timedelta(hours=1)
    numbers = [make_delivery(created_at=start + timedelta(seconds=n)).pk for n in range(20)]
    chosen = long_list.TimeFilter()
    chosen.since(rows(), start + timedelta(seconds=5))
    chosen.until(rows(), start + timedelta(seconds=15))
    assert (chosen.lowest, chosen.highest) == (numbers[5] - 1, numbers[14] + 1)


@pytest.mark.parametrize(
    ("text", "key"), [("12", 12), ("", None), (None, None), ("-1", None), ("x", None), ("9" * 30, None)]
)
def test_a_key_in_the_address_is_read_or_ignored(text: str | None, key: int | None) -> None:
    assert pages.number(text) == key
