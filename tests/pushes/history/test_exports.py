"""The delivery log as a file: pieces, leases, limits, and cells that no spreadsheet runs."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone, translation
from pytest_django import DjangoCaptureOnCommitCallbacks

from pushes import lanes
from pushes.console.operators import roles
from pushes.history import export_rows, exports
from pushes.history.export_rows import Piece, read
from pushes.models import DeliveryResult, Export, ExportPiece
from pushes.names import ExportStatus
from pushes.text import notes
from pushes.upkeep.sweep import sweep
from pushes.workers import queues
from tests.make import make_delivery, make_operator, make_record
from tests.together import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def user() -> User:
    return make_operator(roles.OPERATOR)


def ordered(user: User, **fields: Any) -> Export:
    return exports.order(Export(created_by=user, **fields))


def lines_of(export: Export) -> list[list[str]]:
    """The numbers and the accounts."""
    text = b"".join(exports.content(export)).decode("utf-8-sig")
    return [[line[0], line[2]] for line in csv.reader(io.StringIO(text))]


def rows(count: int) -> list[int]:
    record = make_record()
    return [make_delivery(record).pk for _ in range(count)]


def test_an_export_holds_every_row_newest_first(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_ROWS", 4)
    numbers = rows(10)
    export = ordered(user)
    assert exports.write(export.pk)
    export.refresh_from_db()
    assert (export.status, export.rows, export.percent) == (ExportStatus.DONE, 10, 100.0)
    assert lines_of(export) == [["number", "account"], *([str(pk), "1"] for pk in reversed(numbers))]
    assert ExportPiece.objects.filter(export=export).count() == 3


def test_a_file_begins_with_the_mark_that_makes_spreadsheets_read_chinese(user: User) -> None:
    assert next(exports.content(ordered(user, language="zh-hans"))).startswith(b"\xef\xbb\xbf" + "编号,".encode())


def test_an_empty_log_is_an_empty_file(user: User) -> None:
    export = ordered(user)
    exports.write(export.pk)
    export.refresh_from_db()
    assert (export.status, export.percent) == (ExportStatus.DONE, 100.0)
    assert lines_of(export) == [["number", "account"]]


def test_a_slice_ends_and_the_next_job_goes_on(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_ROWS", 4)
    rows(10)
    export = ordered(user)
    exports.write(export.pk, slice_seconds=0)
    export.refresh_from_db()
    assert (export.status, export.rows, export.holder) == (ExportStatus.RUNNING, 4, "")
    assert 0 < export.percent < 100
    exports.write(export.pk)
    export.refresh_from_db()
    assert (export.status, export.rows) == (ExportStatus.DONE, 10)


def test_what_was_begun_before_an_upgrade_is_finished(user: User) -> None:
    """Its row has the list's address, the last row that is done, and pieces."""
    numbers = rows(6)
    DeliveryResult.objects.filter(pk__in=numbers[:3]).update(status="failed")
    export = ordered(user, query="status__exact=failed&from=2020-01-01+08%3A00%3A00&e=1")
    Export.objects.filter(pk=export.pk).update(status=ExportStatus.RUNNING, cursor=numbers[2], rows=1)
    assert exports.write(export.pk)
    export.refresh_from_db()
    assert (export.status, export.rows) == (ExportStatus.DONE, 3)
    assert [line[0] for line in lines_of(export)[1:]] == [str(numbers[1]), str(numbers[0])]


def test_the_file_stops_at_the_limit_and_says_so(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 3)
    rows(5)
    export = ordered(user)
    exports.write(export.pk)
    export.refresh_from_db()
    assert (export.rows, export.is_cut) == (3, True)


def test_exactly_as_many_rows_as_the_limit_are_not_cut(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MAX_ROWS", 5)
    rows(5)
    export = ordered(user)

    def whole(export: Export, _limit: int, _seconds: float) -> Piece:
        return Piece(list(DeliveryResult.objects.order_by("-pk")), export.oldest_id, True)

    monkeypatch.setattr(export_rows, "read", whole)
    exports.write(export.pk)
    export.refresh_from_db()
    assert (export.rows, export.is_cut) == (5, False)


def test_nobody_writes_while_somebody_does(user: User) -> None:
    export = ordered(user)
    Export.objects.filter(pk=export.pk).update(
        status=ExportStatus.RUNNING, holder="other", lease_until=timezone.now() + timedelta(minutes=1)
    )
    assert not exports.write(export.pk)


def test_whose_lease_has_run_out_stores_nothing_any_more(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(2)
    export = ordered(user)

    def slow(mine: Export, limit: int, seconds: float) -> Piece:
        Export.objects.filter(pk=mine.pk).update(holder="successor")
        return read(mine, limit, seconds)

    monkeypatch.setattr(export_rows, "read", slow)
    exports.write(export.pk)
    assert not ExportPiece.objects.exists()
    assert Export.objects.get().holder == "successor"


def test_what_is_over_is_not_written_again(user: User) -> None:
    export = ordered(user)
    exports.write(export.pk)
    assert not exports.write(export.pk)


def test_a_cancelled_export_stops_and_drops_what_it_has(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(2)
    export = ordered(user)

    def cancelling(mine: Export, limit: int, seconds: float) -> Piece:
        exports.cancel(mine.pk, by="wang")
        return read(mine, limit, seconds)

    monkeypatch.setattr(export_rows, "read", cancelling)
    exports.write(export.pk)
    export.refresh_from_db()
    assert (export.status, notes.english(export.detail)) == (ExportStatus.CANCELLED, "by wang")
    assert not ExportPiece.objects.exists()
    assert not exports.cancel(export.pk, by="li")


def test_an_error_ends_the_export_and_stands_on_its_page(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> Piece:
        raise ValueError("no such filter")

    export = ordered(user)
    monkeypatch.setattr(export_rows, "read", broken)
    assert exports.write(export.pk)
    export.refresh_from_db()
    assert export.status == ExportStatus.FAILED
    assert notes.english(export.detail) == "The file could not be written (ValueError: no such filter)."
    with translation.override("zh-hans"):
        assert notes.words(export.detail) == "文件无法写出（ValueError：no such filter）。"


def test_a_database_that_is_away_ends_nothing(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: Any) -> Piece:
        raise OperationalError("gone")

    export = ordered(user)
    monkeypatch.setattr(export_rows, "read", away)
    with pytest.raises(OperationalError):
        exports.write(export.pk)
    assert Export.objects.get().status == ExportStatus.RUNNING


def test_one_person_may_have_few_under_way(user: User) -> None:
    for _ in range(exports.MAX_WAITING):
        ordered(user)
    with pytest.raises(exports.TooManyError):
        ordered(user)
    ordered(make_operator(roles.OPERATOR))


def test_the_sweeper_wakes_an_export_whose_job_is_gone(
    user: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    export = ordered(user, created_at=timezone.now() - timedelta(minutes=5))
    with django_capture_on_commit_callbacks(execute=True):
        sweep()
    (job,) = queues.queue(lanes.EXPORT_QUEUE).get_jobs()
    assert list(job.args) == [export.pk]
    with django_capture_on_commit_callbacks(execute=True):
        sweep()
    assert queues.queue(lanes.EXPORT_QUEUE).count == 1


def test_the_sweeper_leaves_alone_what_somebody_writes(
    user: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    export = ordered(user, created_at=timezone.now() - timedelta(minutes=5))
    Export.objects.filter(pk=export.pk).update(lease_until=timezone.now() + timedelta(minutes=1))
    with django_capture_on_commit_callbacks(execute=True):
        sweep()
    assert queues.queue(lanes.EXPORT_QUEUE).count == 0


def test_old_exports_go_with_their_files(user: User) -> None:
    rows(1)
    old, new = ordered(user, created_at=timezone.now() - exports.KEPT - timedelta(hours=1)), ordered(user)
    for export in (old, new):
        exports.write(export.pk)
    sweep()
    assert list(Export.objects.values_list("pk", flat=True)) == [new.pk]
    assert set(ExportPiece.objects.values_list("export_id", flat=True)) == {new.pk}


@pytest.mark.django_db(transaction=True)
def test_two_jobs_at_the_same_time_write_every_row_once(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PIECE_ROWS", 5)
    numbers = rows(40)
    export = ordered(user)
    together([lambda: exports.write(export.pk)] * 2)
    assert [int(line[0]) for line in lines_of(export)[1:]] == numbers[::-1]


@pytest.mark.django_db(transaction=True)
def test_a_worker_writes_what_was_asked_for(user: User, run_jobs: Callable[..., int]) -> None:
    numbers = rows(3)
    export = ordered(user)
    run_jobs()
    export.refresh_from_db()
    assert (export.status, export.rows) == (ExportStatus.DONE, 3)
    assert [line[0] for line in lines_of(export)[1:]] == [str(pk) for pk in reversed(numbers)]
