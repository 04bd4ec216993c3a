"""Many rows in one statement. The ORM's `bulk_create` costs 25 times the CPU (docs/performance.md),
and this is the hottest write of the platform."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection, models

#: A server takes statements of 16 MiB by default, older ones of 1 MiB, and a row may have texts of 64 KiB.
MAX_STATEMENT_BYTES = 512 * 1024


def insert_rows(model: type[models.Model], rows: Sequence[NamedTuple], *, ignore_conflicts: bool = False) -> None:
    """Insert `rows`, all of one class: its fields are the columns, and their values are already in the database's
    own form (`db_datetime`, JSON as text). With `ignore_conflicts`, a row whose unique key is taken is
    left out and every other error is still raised."""
    if not rows:
        return
    fields = rows[0]._fields
    head, tail = _insert_sql(connection.vendor, model, fields, ignore_conflicts)
    with connection.cursor() as cursor:
        if connection.vendor != "mysql":
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"{head} ({marks}){tail}", rows)
            return
        for values in _statements(_literal_rows(rows, connection.connection)):
            statement: Any = b"%b %b%b" % (head.encode(), values, tail.encode())
            cursor.execute(statement)


@lru_cache(maxsize=64)
def _insert_sql(
    vendor: str, model: type[models.Model], fields: tuple[str, ...], ignore_conflicts: bool
) -> tuple[str, str]:
    """What stands before and after the rows."""
    quote = connection.ops.quote_name
    columns = ", ".join(quote(_column(model, name)) for name in fields)
    head = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES"
    if not ignore_conflicts:
        return head, ""
    # Not INSERT IGNORE: that would also hide truncated and missing values.
    key = quote(_column(model, "pk"))
    return head, f" ON DUPLICATE KEY UPDATE {key} = {key}" if vendor == "mysql" else " ON CONFLICT DO NOTHING"


def _literal_rows(rows: Sequence[Sequence[Any]], client: Any) -> Iterator[bytes]:
    """Each row as SQL, quoted by MariaDB's own client library. Column by column, because most columns of a batch
    hold few different values: the client's own `executemany` looks at every single one, at two and a half times
    the cost."""
    columns = [_literals(column, client) for column in zip(*rows, strict=True)]
    return (b"(%b)" % b",".join(row) for row in zip(*columns, strict=True))


def _literals(values: Iterable[Any], client: Any) -> list[bytes]:
    known: dict[Any, bytes] = {None: b"NULL"}
    found: list[bytes] = []
    for value in values:
        literal = known.get(value)
        if literal is None:
            is_text = type(value) is str
            literal = known[value] = client.string_literal(value.encode()) if is_text else client.literal(value)
        found.append(literal)
    return found


def _statements(rows: Iterable[bytes]) -> Iterator[bytes]:
    """The rows of each statement."""
    waiting: list[bytes] = []
    size = 0
    for row in rows:
        if waiting and size + len(row) > MAX_STATEMENT_BYTES:
            yield b",".join(waiting)
            waiting, size = [], 0
        waiting.append(row)
        size += len(row)
    yield b",".join(waiting)


def _column(model: type[models.Model], name: str) -> str:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    if not isinstance(field, models.Field) or field.column is None:
        raise ValueError(f"{model.__name__}.{name} is no column")
    return field.column


@lru_cache(maxsize=1_024)
def db_datetime(value: datetime | None) -> Any:
    """An aware datetime in the form that the current database stores. Remembered, because most rows of a
    batch share their instants."""
    return None if value is None else connection.ops.adapt_datetimefield_value(value)


def locked(queryset: "models.QuerySet[Any, Any]") -> "models.QuerySet[Any, Any]":
    """`queryset` with its rows locked until the transaction ends; rows that another process holds are
    left out where the database can do that. (SQLite needs no row locks: it has one writer at a time.)"""
    if connection.features.has_select_for_update_skip_locked:
        return queryset.select_for_update(skip_locked=True)
    return queryset.select_for_update()
