"""Which errors pass by themselves, and what becomes of work that meets one which does not."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from pushes.api import endpoint
from pushes.broadcasts import audiences, expansion, lifecycle, watch
from pushes.distribution import distribute
from pushes.history import export_rows, exports
from pushes.inbound.intake import store
from pushes.inbound.raw_list import Batch
from pushes.models import DeadLetter, DeliveryResult, Export, PushRecord
from pushes.names import BroadcastStatus, RecordStatus
from pushes.people.directory import DirectoryError
from pushes.sending import outcomes
from pushes.storage import bulk, outages
from pushes.text import notes
from pushes.upkeep import sweep
from pushes.upkeep.postdated import CLOCK_TOLERANCE
from pushes.workers import queues
from tests.make import make_broadcast
from tests.pushes.inbound.test_intake import raw
from tests.pushes.rows import make_record

LASTING = OperationalError("Expression tree is too large (maximum depth 1000)")


def from_sqlite(text: str) -> OperationalError:
    """As Django hands it on."""
    error = OperationalError(text)
    error.__cause__ = sqlite3.OperationalError(text)
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(2002, "Can't connect to server"),
        OperationalError(2006, "Server has gone away"),
        OperationalError(2013, "Lost connection to server during query"),
        OperationalError(1205, "Lock wait timeout exceeded; try restarting transaction"),
        OperationalError(1213, "Deadlock found when trying to get lock"),
        OperationalError(1040, "Too many connections"),
        OperationalError(1053, "Server shutdown in progress"),
        OperationalError(1290, "The MariaDB server is running with the --read-only option"),
        OperationalError(1927, "Connection was killed"),
        OperationalError(1969, "Query execution was interrupted (max_statement_time exceeded)"),
        InterfaceError(0, ""),
        from_sqlite("database is locked"),
        from_sqlite("database table is locked: pushes_pushrecord"),
        from_sqlite("disk I/O error"),
        from_sqlite("attempt to write a readonly database"),
        from_sqlite("unable to open database file"),
        DirectoryError("the directory is away"),
    ],
    ids=str,
)
def test_what_passes(error: DatabaseError):
    assert outages.passes(error)
    assert outages.concerns_everything(error)
    assert endpoint.is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        from_sqlite("Expression tree is too large (maximum depth 1000)"),
        from_sqlite("too many SQL variables"),
        from_sqlite('near "FORM": syntax error'),
        from_sqlite("string or blob too big"),
        from_sqlite("parser stack overflow"),
        LASTING,
        OperationalError(1153, "Got a packet bigger than 'max_allowed_packet' bytes"),
        OperationalError(1366, "Incorrect string value"),
        OperationalError(1436, "Thread stack overrun"),
        ProgrammingError(1064, "You have an error in your SQL syntax"),
        DataError(1406, "Data too long for column 'title'"),
        IntegrityError(1062, "Duplicate entry"),
        NotSupportedError(1235, "This version of MariaDB doesn't yet support"),
        InternalError(1, "?"),
        InterfaceError("Error binding parameter 3 - probably unsupported type."),
        ValueError("a fault of the program"),
    ],
    ids=str,
)
def test_what_does_not(error: Exception):
    assert not outages.passes(error)
    assert not outages.concerns_everything(error)
    assert not endpoint.is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        ProgrammingError(1146, "Table 'higo.pushes_x' doesn't exist"),
        OperationalError(1054, "Unknown column 'x' in 'SELECT'"),
        OperationalError(1045, "Access denied for user"),
        OperationalError(1142, "INSERT command denied to user"),
        from_sqlite("no such table: pushes_x"),
        from_sqlite("no such column: x"),
    ],
    ids=str,
)
def test_what_an_operator_has_to_put_right_is_no_works_fault(error: DatabaseError):
    assert not outages.passes(error)
    assert outages.concerns_everything(error)


def test_redis_passes():
    assert queues.passes(RedisConnectionError("refused"))


# --- as the database itself says it -------------------------------------------------------------


def raised(sql: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, connection.cursor() as cursor:
        cursor.execute(sql)
    return caught.value


@pytest.mark.django_db(transaction=True)
def test_the_servers_own_words():
    assert not outages.concerns_everything(raised("SELECT FROM WHERE"))
    assert outages.concerns_everything(raised("SELECT * FROM no_such_table"))
    assert outages.concerns_everything(raised("SELECT no_such_column FROM pushes_pushrecord"))
    if connection.vendor == "sqlite":
        assert not outages.concerns_everything(raised(f"SELECT 1 WHERE {' OR '.join(['1 = 2'] * 1_500)}"))
    else:
        assert outages.passes(raised("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1205"))
        assert not outages.concerns_everything(raised("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1153"))


@pytest.mark.django_db(transaction=True)
def test_a_locked_sqlite_passes():
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own lock")
    name = str(connection.settings_dict["NAME"])
    connection.cursor().execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        error = raised("UPDATE pushes_lease SET holder = ''")
        other.execute("ROLLBACK")
    connection.close()
    assert (outages.passes(error), outages.is_locked(error)) == (True, True)


# --- what becomes of the work -------------------------------------------------------------------


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, where: object, name: str, error: Exception) -> Iterator[None]:
    def fail(*_args: object, **_kwargs: object) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, name, fail)
        yield


@pytest.mark.django_db
@pytest.mark.parametrize("error", [LASTING, ProgrammingError(1064, "syntax"), DataError(1406, "too long")], ids=str)
def test_an_export_ends_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, django_user_model: Any, redis_client: object, error: Exception
):
    owner = django_user_model.objects.create(username="mei")
    export = exports.order(Export(created_by=owner))
    with failing(monkeypatch, export_rows, "read", error):
        assert exports.write(export.pk)
    export.refresh_from_db()
    assert export.status == "failed"
    assert notes.english(export.detail).startswith(f"The file could not be written ({type(error).__name__}: ")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "status"),
    [(LASTING, RecordStatus.FAILED), (ProgrammingError(1146, "Table 'x' doesn't exist"), RecordStatus.PENDING)],
    ids=str,
)
def test_a_record_fails_only_by_a_fault_of_its_own(
    monkeypatch: pytest.MonkeyPatch, redis_client: object, error: Exception, status: str
):
    record = make_record(status=RecordStatus.PENDING, accounts=["u1"])
    with failing(monkeypatch, distribute, "_drafts", error):
        if status == RecordStatus.PENDING:
            with pytest.raises(ProgrammingError):
                distribute.distribute([record.pk])
        else:
            distribute.distribute([record.pk])
    assert PushRecord.objects.get().status == status


@pytest.mark.django_db(transaction=True)
def test_a_broadcast_that_cannot_be_listed_is_paused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, redis_client: object
):
    broadcast = make_broadcast()
    lifecycle.launch(broadcast.pk)
    with failing(monkeypatch, audiences, "next_page", LASTING):
        assert expansion.expand(broadcast.pk) == 0
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.PAUSED
    assert "Expression tree is too large" in notes.english(broadcast.status_reason)
    assert not DeliveryResult.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_broadcast_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch, redis_client: object):
    broadcast = make_broadcast()
    lifecycle.launch(broadcast.pk)
    away = OperationalError(2013, "Lost connection")
    with failing(monkeypatch, audiences, "next_page", away), pytest.raises(OperationalError):
        expansion.expand(broadcast.pk)
    broadcast.refresh_from_db()
    assert broadcast.status == BroadcastStatus.SENDING


@pytest.mark.django_db(transaction=True)
def test_one_message_that_the_database_refuses_does_not_stop_the_intake(monkeypatch: pytest.MonkeyPatch):
    real: Callable[..., Any] = bulk.insert_rows
    refused = OperationalError(1366, "Incorrect string value")

    def insert(model: type, rows: Any, **how: Any) -> None:
        if model is PushRecord and any("poison" in str(row) for row in rows):
            raise refused
        real(model, rows, **how)

    monkeypatch.setattr("pushes.storage.bulk.insert_rows", insert)
    counts = store(Batch("b" * 32, [raw(), raw(message="poison"), raw()]))
    assert (counts.accepted, counts.refused.total()) == (2, 1)
    assert DeadLetter.objects.get().reason == "unstorable"


@pytest.mark.django_db(transaction=True)
def test_a_missing_table_makes_no_dead_letters(monkeypatch: pytest.MonkeyPatch):
    missing = ProgrammingError(1146, "Table 'x' doesn't exist")
    with failing(monkeypatch, bulk, "insert_rows", missing), pytest.raises(ProgrammingError):
        store(Batch("b" * 32, [raw()]))
    assert not DeadLetter.objects.exists()


def test_a_write_that_cannot_succeed_is_not_tried_for_half_a_lease(monkeypatch: pytest.MonkeyPatch):
    tries: list[int] = []

    def write() -> None:
        tries.append(1)
        raise LASTING

    with pytest.raises(OperationalError):
        outcomes.outlast_outage(write)
    assert len(tries) == 1


@pytest.mark.django_db(transaction=True)
def test_a_part_of_a_round_that_fails_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, redis_client: object, caplog: pytest.LogCaptureFixture
):
    record = make_record(status=RecordStatus.PENDING, accounts=["u1"], created_at=timezone.now() - CLOCK_TOLERANCE)
    for _ in range(2):
        with failing(monkeypatch, watch, "watch", LASTING):
            swept = sweep.sweep()
        assert swept is not None
        assert swept.records_enqueued == 1
    assert caplog.text.count("a part of the round failed") == 1
    assert record.pk
    away = OperationalError(2006, "gone")
    with failing(monkeypatch, watch, "watch", away), pytest.raises(OperationalError):
        sweep.sweep()
