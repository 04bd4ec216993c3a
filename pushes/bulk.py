"""Many rows in one statement. The ORM's `bulk_create` costs three times the CPU (docs/performance.md),
and this is the hottest write of the platform."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, models


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
    with connection.cursor() as cursor:
        cursor.executemany(_insert_sql(connection.vendor, model, tuple(fields), ignore_conflicts), list(rows))


@lru_cache(maxsize=64)
def _insert_sql(vendor: str, model: type[models.Model], fields: tuple[str, ...], ignore_conflicts: bool) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(_column(model, name)) for name in fields)
    marks = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({marks})"
    if not ignore_conflicts:
        return sql
    # Not INSERT IGNORE: that would also hide truncated and missing values.
    key = quote(_column(model, "pk"))
    return f"{sql} ON DUPLICATE KEY UPDATE {key} = {key}" if vendor == "mysql" else f"{sql} ON CONFLICT DO NOTHING"


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
