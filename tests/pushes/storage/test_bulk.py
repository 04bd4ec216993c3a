from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from pushes.models import Account, DeadLetter, Lease, PushRecord
from pushes.storage import bulk
from tests.pushes.rows import make_record

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)


class Holding(NamedTuple):
    name: str
    holder: str | None
    until: Any


class Letter(NamedTuple):
    source: str
    position: str
    raw: bytes
    created_at: Any
    reason: str = "bad"
    detail: str = ""
    status: str = "new"


class Person(NamedTuple):
    account_id: str
    created_at: Any
    updated_at: Any
    login_status: int
    push_status: bool
    muted_conversations: str = "[]"
    blocked_accounts: str = "[]"


class Deliveries(NamedTuple):
    deliveries: int


def insert(*rows: tuple[str, str | None], ignore_conflicts: bool = False) -> None:
    values = [Holding(name, holder, bulk.db_datetime(NOON)) for name, holder in rows]
    bulk.insert_rows(Lease, values, ignore_conflicts=ignore_conflicts)


def holders() -> dict[str, str]:
    return dict(Lease.objects.values_list("name", "holder"))


def test_rows_are_stored_to_the_microsecond():
    insert(("a", "1"), ("b", "2"))
    assert holders() == {"a": "1", "b": "2"}
    assert {row.until for row in Lease.objects.all()} == {NOON}


def test_no_rows_are_no_error():
    insert()
    assert holders() == {}


def test_values_are_never_read_as_sql():
    insert(("a'); --%s", '\\"中文 😀'))
    assert holders() == {"a'); --%s": '\\"中文 😀'}


def test_bytes_are_stored_as_they_are():
    raw = bytes(range(256))
    rows = [Letter("test", f"{n}", value, bulk.db_datetime(NOON)) for n, value in enumerate((raw, b""))]
    bulk.insert_rows(DeadLetter, rows)
    assert [bytes(row.raw) for row in DeadLetter.objects.order_by("position")] == [raw, b""]


def test_a_taken_key_is_an_error():
    insert(("a", "1"))
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(("a", "2"))


def test_a_taken_key_is_left_alone_when_conflicts_are_ignored():
    insert(("a", "1"))
    insert(("a", "2"), ("b", "2"), ("b", "3"), ignore_conflicts=True)
    assert holders() == {"a": "1", "b": "2"}


def test_ignoring_conflicts_hides_no_other_error():
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(("a", None), ignore_conflicts=True)


def test_ignoring_conflicts_cuts_nothing_off():
    if connection.vendor == "sqlite":
        insert(("a", "x" * 100), ignore_conflicts=True)  # SQLite knows no widths: it keeps all of it
        assert holders() == {"a": "x" * 100}
        return
    with pytest.raises(DataError), transaction.atomic():
        insert(("a", "x" * 100), ignore_conflicts=True)


def test_five_hundred_rows_are_one_statement(django_assert_num_queries):
    with django_assert_num_queries(1):
        insert(*((f"name{number}", "x") for number in range(500)))
    assert Lease.objects.count() == 500


def test_a_value_that_many_rows_share_is_stored_in_each():
    insert(*((f"name{number}", ("same", "other")[number % 2]) for number in range(6)))
    assert list(holders().values()).count("same") == 3


def test_numbers_truth_and_bytes_are_stored_as_they_are():
    raw = bytes(range(256))
    bulk.insert_rows(DeadLetter, [Letter("test", "1", raw, bulk.db_datetime(NOON))])
    assert bytes(DeadLetter.objects.get().raw) == raw
    noon = bulk.db_datetime(NOON)
    bulk.insert_rows(Account, [Person("7", noon, noon, login_status=0, push_status=True)])
    assert Account.objects.values_list("login_status", "push_status").get() == (0, 1)


def test_what_is_too_much_for_one_statement_becomes_several(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bulk, "MAX_STATEMENT_BYTES", 100)
    with django_assert_num_queries(2 if connection.vendor == "mysql" else 1):
        insert(("a", "1"), ("b", "2"), ("c", "3"))
    assert holders() == {"a": "1", "b": "2", "c": "3"}


def test_a_row_larger_than_a_statement_should_be_is_stored_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bulk, "MAX_STATEMENT_BYTES", 1)
    insert(("a", "1"), ("b", "2"))
    assert holders() == {"a": "1", "b": "2"}


def test_ids_rise_in_the_order_of_the_rows():
    bulk.insert_rows(DeadLetter, [Letter("test", f"position{n}", b"", bulk.db_datetime(NOON)) for n in range(300)])
    stored = DeadLetter.objects.order_by("id").values_list("position", flat=True)
    assert list(stored) == [f"position{n}" for n in range(300)]


def test_a_name_that_is_no_column_is_refused():
    with pytest.raises(ValueError, match=r"PushRecord\.deliveries is no column"):
        bulk.insert_rows(PushRecord, [Deliveries(1)])


def test_nothing_is_stored_for_no_instant():
    assert bulk.db_datetime(None) is None


def test_one_instant_is_stored_alike_whatever_its_zone():
    shanghai = NOON.astimezone(timezone(timedelta(hours=8)))
    assert bulk.db_datetime(shanghai) == bulk.db_datetime(NOON)


def test_locked_rows_can_be_read_and_changed_in_their_transaction():
    record = make_record(text="before")
    with transaction.atomic():
        found = bulk.locked(PushRecord.objects.filter(pk=record.pk)).get()
        found.text = "after"
        found.save()
    record.refresh_from_db()
    assert record.text == "after"
