"""Run queries from settings on a foreign database: read-only, and never the reason for a lost push.

Placeholders such as `{ids}` become parameters; columns are recognised by name (use AS).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import Error, connections

from pushes.people.directory import DirectoryError
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

ALIAS = "directory"
NO_DATABASE = "DIRECTORY_DATABASE_URL is not set; set it to the database that these queries run on"
_PLACES = re.compile(r"\{(\w+)\}")
Places = Mapping[str, Sequence[Any]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One configured query: its setting, its required and optional placeholders, and the columns it must return."""

    setting: str
    places: tuple[str, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return str(getattr(settings, self.setting)).strip().rstrip(";")


def is_configured() -> bool:
    return ALIAS in connections.settings


def problems(query: Query) -> list[str]:
    """Return the problems of the setting; the database is not asked."""
    found = set(_PLACES.findall(query.text))
    known = [*query.places, *query.optional]
    missing = [f"{query.setting} must contain {{{place}}}" for place in query.places if place not in found]
    unknown = sorted(found - set(known))
    listed = " and ".join(f"{{{place}}}" for place in known)
    return missing + [f"{query.setting} contains {{{place}}}; only {listed} are known" for place in unknown]


def ask(query: Query, places: Places) -> list[Row]:
    """Return the rows as dicts. Raises DirectoryError when the database is unavailable or the query fails on it."""
    rows = _run(query.setting, *bound(query.text, places))
    names = rows.names
    if missing := [name for name in query.columns if name not in names]:
        raise DirectoryError(
            Note(Sentence.NO_COLUMN, setting=query.setting, column=missing[0], columns=", ".join(names))
        )
    return [dict(zip(names, values, strict=True)) for values in rows.values]


def count_by(query: Query, column: str, places: Places) -> list[tuple[Any, int]]:
    """Count the rows of `query` by the values of one column. Raises DirectoryError."""
    sql, parameters = bound(query.text, places)
    counting = f"SELECT {column}, COUNT(*) FROM ({sql}) AS counted GROUP BY {column}"
    return [(value, int(number)) for value, number in _run(query.setting, counting, parameters).values]


def bound(query: str, places: Places) -> tuple[str, list[Any]]:
    """Return the SQL with parameters for its placeholders, and their values in order. Values never enter the SQL."""
    parameters: list[Any] = []

    def place(match: "re.Match[str]") -> str:
        values = places[match[1]]
        parameters.extend(values)
        return ", ".join(["%s"] * len(values))

    # A literal % in the query (LIKE, modulo) is not a parameter.
    return _PLACES.sub(place, query.replace("%", "%%")), parameters


def text(value: object) -> str:
    """Return a column's value as text; "" for NULL. Binary columns come as bytes, DECIMAL(20,2) as 7.00."""
    if value is None:
        return ""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def is_on(value: object) -> bool:
    """Whether the value is 1, as a number, a text, a boolean or MySQL's BIT(1)."""
    return value == 1 or text(value) in ("1", "\x01")


@dataclass(frozen=True, slots=True)
class _Rows:
    names: list[str]
    values: Iterable[Sequence[Any]]


def _run(setting: str, sql: str, parameters: Sequence[Any]) -> _Rows:
    """Run a query. Over an open connection try twice: the server may have closed it long ago."""
    connection = connections[ALIAS]
    was_open = connection.connection is not None
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return _Rows([column[0] for column in cursor.description], cursor.fetchall())
    except Error as error:
        connection.close()
        if was_open:
            return _run(setting, sql, parameters)
        text = " ".join(str(error).split())
        raise DirectoryError(Note(Sentence.DIRECTORY_FAILS, setting=setting, error=text)) from error
