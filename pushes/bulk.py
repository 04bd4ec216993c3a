"""Many rows in one statement. The ORM's `bulk_create` costs three times the CPU (docs/performance.md),
and this is the hottest write of the platform."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, models

#: A server takes statements of 16 MiB by default, older ones of 1 MiB, and a row may be a text of 64 KiB.
STATEMENT_CHARS = 200_000


def insert_rows(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore_conflicts: bool = False,
) -> None:
    """Insert `rows`, whose values stand in the order of `fields` and are already in the database's
    own form (`db_datetime`, JSON as text). With `ignore_conflicts`, a row whose unique key is taken is
    left out and every other error is still raised."""
    head, tail = _insert_sql(connection.vendor, model, tuple(fields), ignore_conflicts)
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            for values in _written(rows):
                cursor.execute(f"{head} {values}{tail}")
        else:
            cursor.executemany(f"{head} ({', '.join(['%s'] * len(fields))}){tail}", list(rows))


def _written(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The rows as SQL text, some STATEMENT_CHARS a piece. Most columns of a batch hold the same few values, so each
    distinct value is written (by the driver) once."""
    literal = connection.connection.literal
    known: dict[Any, str] = {}
    pieces: list[str] = []
    size = 0
    for row in rows:
        for value in row:
            if value not in known:
                known[value] = f"X'{value.hex()}'" if isinstance(value, bytes) else literal(value).decode()
        pieces.append(f"({','.join([known[value] for value in row])})")
        size += len(pieces[-1])
        if size > STATEMENT_CHARS:
            yield ",".join(pieces)
            pieces, size = [], 0
            known.clear()
    if pieces:
        yield ",".join(pieces)


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
