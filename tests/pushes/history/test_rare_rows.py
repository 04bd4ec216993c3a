"""Where rare rows of the log are."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from pushes.history import pages, rare_rows
from pushes.models import DeliveryResult, LogBlock
from pushes.names import Kind, Reason, Status
from pushes.upkeep.sweep import sweep
from tests.make import make_delivery, make_record

pytestmark = pytest.mark.django_db


def later() -> datetime:
    """When the rows that a test makes are old enough to be noted."""
    return timezone.now() + timedelta(hours=1)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare_rows, "SIZE", 10)
    monkeypatch.setattr(rare_rows, "MAX_PLACES", 3)


@pytest.fixture
def log() -> list[DeliveryResult]:
    """A hundred rows; one of them failed, one is still on its way."""
    record, start = make_record(), 1_000
    found = []
    for number in range(100):
        status = {25: Status.FAILED, 55: Status.RETRYING}.get(number, Status.ACCEPTED)
        reason = {25: Reason.BAD_TOKEN}.get(number, "")
        found.append(make_delivery(record, pk=start + number, status=status, reason=reason, app_key_id=3))
    return found


def numbers(**wanted: Any) -> list[tuple[int, int]]:
    """The noted ids in which rows like `wanted` are looked for, newest first."""
    sieve = rare_rows.sieve(wanted)
    assert sieve is not None
    return [(low, high) for strip in sieve.down(0, 10_000) for low, high in strip if low < high]


def test_a_rare_row_s_block_is_known_and_so_is_what_may_become_one(log: list[DeliveryResult]) -> None:
    assert rare_rows.note(later()) == 10  # nine are old and full enough, and one of them is read again at once
    assert numbers(status="failed") == [(1055, 1056), (1025, 1026)]
    assert numbers(reason="bad_token") == [(1055, 1056), (1025, 1026)]
    assert numbers(status="unknown") == [(1055, 1056)]


def test_conditions_meet_within_a_block(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    assert numbers(status="failed", kind=Kind.SYSTEM, app_key_id=3) == [(1055, 1056), (1025, 1026)]
    assert numbers(status="failed", kind=Kind.GROUP) == []


def test_conditions_that_no_row_fulfils_together_leave_nothing_to_read(log: list[DeliveryResult]) -> None:
    DeliveryResult.objects.filter(pk=1027).update(reason=Reason.MUTED, status=Status.SKIPPED)
    rare_rows.note(later())
    assert numbers(reason="muted") == [(1055, 1056), (1027, 1028)]
    assert numbers(status="failed", reason="muted") == [(1055, 1056)]


def test_a_value_that_many_rows_have_is_looked_for_in_the_whole_block(log: list[DeliveryResult]) -> None:
    DeliveryResult.objects.filter(pk__in=(1031, 1033, 1036)).update(status=Status.EXPIRED)
    DeliveryResult.objects.filter(pk__in=(1041, 1042, 1043, 1044)).update(status=Status.EXPIRED)
    rare_rows.note(later())
    assert numbers(status="expired") == [(1055, 1056), (1040, 1050), (1036, 1037), (1033, 1034), (1031, 1032)]


def test_a_block_that_was_noted_without_its_rows_is_read_whole(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    LogBlock.objects.update(places="")
    assert numbers(status="failed") == [(1050, 1060), (1020, 1030)]


def test_what_many_blocks_hold_does_not_keep_the_search_from_what_few_do(
    log: list[DeliveryResult], monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    """The rare condition leads: nothing reads through all the notes of the common one."""
    monkeypatch.setattr(rare_rows, "FIRST_BATCH", 2)
    monkeypatch.setattr(rare_rows, "MAX_BATCH", 2)
    DeliveryResult.objects.filter(pk=1001).update(push_type=8)
    rare_rows.note(later())
    with django_assert_max_num_queries(4):
        assert numbers(kind=Kind.SYSTEM, push_type=8) == [(1001, 1002)]


def test_a_walk_among_blocks_that_hold_nothing_is_cut_short_too(
    log: list[DeliveryResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rare_rows, "FIRST_BATCH", 1)
    monkeypatch.setattr(rare_rows, "MAX_BATCH", 1)
    monkeypatch.setattr(pages, "BUDGET_SECONDS", -1)
    DeliveryResult.objects.filter(pk__gte=1000).update(status=Status.ACCEPTED, reason="")
    DeliveryResult.objects.filter(pk__in=(1003, 1023, 1043)).update(reason=Reason.MUTED)
    DeliveryResult.objects.filter(pk__in=(1004, 1024, 1044)).update(status=Status.FAILED)
    rare_rows.note(later())
    bounds = pages.Bounds(sieve=rare_rows.sieve({"status": "failed", "reason": "muted"}))
    rows = DeliveryResult.objects.filter(status="failed", reason="muted").order_by()
    older = pages.read_page(rows, pages.Cursor(before=1090), 5, walk=True, bounds=bounds)
    assert (older.rows, older.has_older, older.stopped_at) == ([], True, 1040)
    newer = pages.read_page(rows, pages.Cursor(after=1000), 5, walk=True, bounds=bounds)
    assert (newer.rows, newer.has_newer, newer.stopped_above) == ([], True, 1009)


def test_neighbours_are_one_window(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    assert numbers(status="accepted") == [(1050, 1090), (1000, 1050)]


def test_a_row_that_has_ended_meanwhile_is_noted_by_the_next_round(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    DeliveryResult.objects.filter(pk=1055).update(status=Status.ACCEPTED)
    rare_rows.note(later())
    assert numbers(status="failed") == [(1025, 1026)]


def test_young_rows_are_left_alone(log: list[DeliveryResult]) -> None:
    assert rare_rows.note(timezone.now()) == 0
    assert rare_rows.sieve({"status": "failed"}) is None


def test_no_condition_is_no_sieve(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    assert rare_rows.sieve({}) is None


def test_a_round_without_time_does_nothing(log: list[DeliveryResult]) -> None:
    assert rare_rows.note(later(), budget_seconds=-1) == 0


def test_gaps_between_ids_are_skipped() -> None:
    record = make_record()
    for pk in (5, 7_005, 9_005):
        make_delivery(record, pk=pk)
    assert rare_rows.note(later()) == 2
    assert numbers(status="accepted") == [(7_005, 7_006), (5, 6)]


def test_what_retention_removed_is_forgotten(log: list[DeliveryResult]) -> None:
    rare_rows.note(later())
    DeliveryResult.objects.filter(pk__lt=1050).delete()
    rare_rows.forget()
    assert set(LogBlock.objects.values_list("number", flat=True)) == set(range(105, 109))
    DeliveryResult.objects.all().delete()
    rare_rows.forget()
    assert not LogBlock.objects.exists()
    assert rare_rows.forget() == 0


@pytest.mark.usefixtures("redis_client")
def test_the_sweeper_notes_and_forgets(log: list[DeliveryResult]) -> None:
    DeliveryResult.objects.update(created_at=timezone.now() - timedelta(hours=1))
    sweep()
    assert LogBlock.objects.filter(name="status", value="failed").exists()


@pytest.mark.parametrize("places", [0, 3, 64])
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_a_walk_finds_every_row_whatever_is_noted(
    log: list[DeliveryResult], monkeypatch: pytest.MonkeyPatch, step: int, places: int
) -> None:
    """Noted up to the middle; below and above it the walk looks everywhere."""
    monkeypatch.setattr(rare_rows, "FIRST_BATCH", step)
    monkeypatch.setattr(rare_rows, "MAX_BATCH", 2 * step)
    monkeypatch.setattr(rare_rows, "MAX_PLACES", places)
    monkeypatch.setattr(rare_rows, "FIRST_STRIP", 1)
    monkeypatch.setattr(rare_rows, "MAX_STRIP", 3)
    monkeypatch.setattr(pages, "SPAN_ROWS", 7)
    DeliveryResult.objects.filter(pk__in=(1033, 1035, 1036, 1044, 1047, 1061)).update(status=Status.FAILED)
    DeliveryResult.objects.filter(pk__in=(1035, 1047, 1055, 1064)).update(app_key_id=4)
    DeliveryResult.objects.filter(pk__gte=1072).update(created_at=later())
    rare_rows.note(later())
    LogBlock.objects.filter(number__lt=102).delete()
    for wanted in (
        {"status": "accepted"},
        {"status": "failed"},
        {"status": "retrying"},
        {"status": "failed", "app_key_id": 4},
        {"kind": Kind.SYSTEM, "app_key_id": 4, "push_type": 5},
    ):
        rows = DeliveryResult.objects.filter(**wanted).order_by()
        bounds = pages.Bounds(sieve=rare_rows.sieve(wanted))
        expected = sorted(rows.values_list("pk", flat=True))
        assert _all_down(rows, bounds) == expected[::-1]
        assert _all_up(rows, bounds) == expected


def _all_down(rows: Any, bounds: pages.Bounds) -> list[int]:
    found: list[int] = []
    cursor = pages.Cursor()
    while True:
        page = pages.read_page(rows, cursor, 6, walk=True, bounds=bounds)
        found += [row.pk for row in page.rows]
        if not page.has_older:
            return found
        cursor = pages.Cursor(before=found[-1])


def _all_up(rows: Any, bounds: pages.Bounds) -> list[int]:
    found: list[int] = []
    cursor = pages.Cursor(after=0)
    while True:
        page = pages.read_page(rows, cursor, 6, walk=True, bounds=bounds)
        found += [row.pk for row in page.rows[::-1]]
        if not page.has_newer:
            return found
        cursor = pages.Cursor(after=found[-1])


def test_a_walk_stays_within_its_bounds(log: list[DeliveryResult]) -> None:
    bounds = pages.Bounds(lowest=1020, highest=1040)
    page = pages.read_page(DeliveryResult.objects.order_by(), pages.Cursor(), 500, walk=True, bounds=bounds)
    assert [row.pk for row in page.rows] == list(range(1040, 1019, -1))
    empty = pages.Bounds(lowest=1040, highest=1020)
    assert not pages.read_page(DeliveryResult.objects.order_by(), pages.Cursor(), 5, walk=True, bounds=empty).rows
