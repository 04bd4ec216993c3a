from typing import Any

import pytest
from django.db.models import QuerySet

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


@pytest.mark.parametrize(
    ("text", "key"), [("12", 12), ("", None), (None, None), ("-1", None), ("x", None), ("9" * 30, None)]
)
def test_a_key_in_the_address_is_read_or_ignored(text: str | None, key: int | None) -> None:
    assert pages.number(text) == key
