"""Statements that are built once.

Of a schedule's time, Django's query sets took nine parts of ten: the same code asks for the same statements again and
again, and each is put together anew. Here a query set writes down what is asked of it (`Remembered`), and looks up the
statement under these steps, with moments as placeholders (`Memory`). Whatever is not known here, a query set of
Django's own does.
"""

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partialmethod
from typing import Any
from unittest import mock

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.db.models import Field, Manager, Q, QuerySet, Subquery
from django.db.models.sql.compiler import SQLUpdateCompiler

from pushes.storage import bulk

#: Most steps have few different values; a scanner's positions have any number.
MAX_STATEMENTS = 20_000
STEPS = (
    "all",
    "filter",
    "exclude",
    "annotate",
    "order_by",
    "values",
    "values_list",
    "distinct",
    "only",
    "defer",
    "select_for_update",
)
#: What Django's query sets have for themselves.
_STATE = frozenset(vars(QuerySet()))
#: The moments of a statement, and the place of each.
Moments = dict[datetime, int]


_AS_THEY_ARE = {str, bytes, int, type(None)}
_BY_ITEM = frozenset((list, tuple, set, frozenset, type({}.keys()), type({}.values())))


class UnknownError(Exception):
    """Nothing can be said of a value's shape."""


def shape(value: Any, moments: Moments) -> Any:
    """Return what a value contributes to the statement: equal for two values whose statements differ only in their
    moments. Raises UnknownError."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind in _BY_ITEM:
        if _AS_THEY_ARE.issuperset(map(type, value)):
            return kind, *value
        return kind, *[item if type(item) in _AS_THEY_ARE else shape(item, moments) for item in value]
    if kind is dict:
        return kind, *value, shape(value.values(), moments)
    if kind is Q:
        return kind, value.connector, value.negated, shape(value.children, moments)
    if kind is datetime:
        return kind, moments.setdefault(value, len(moments))
    if kind is slice:
        return kind, value.start, value.stop
    if kind is Remembered and value.steps is not None:
        return value.model, shape(value.steps, moments)
    if isinstance(value, Subquery):
        # One that is made once, or else a shape of its own: a method is equal to that of the same object.
        return value.as_sql
    if isinstance(value, bool | float | timedelta | type):
        return kind, value
    if isinstance(value, str | int | Field):
        _AS_THEY_ARE.add(kind)
        return value
    if hasattr(value, "_constructor_args"):
        return kind, shape(value._constructor_args, moments)
    raise UnknownError(kind.__name__)


class Prepared:
    """A statement that is built: its text, the parameters that it always has, and where its moments stand; and what
    reads its rows as Django's own query set would."""

    def __init__(self, compiler: Any, moments: Moments, queryset: Any = None) -> None:
        self._compiler, self._queryset = compiler, queryset
        self._sql: str = ""
        self._parameters: tuple[Any, ...] = ()
        # Without a text it has no rows, and Django does not run it.
        with contextlib.suppress(EmptyResultSet):
            sql, self._parameters = compiler.as_sql()
            self._sql = SQLiteCursorWrapper.convert_query(compiler, sql)
        written = {bulk.db_datetime(moment): place for moment, place in moments.items()}
        self._places = [(at, written[one]) for at, one in enumerate(self._parameters) if one in written]
        if self._sql and {place for _, place in self._places} != set(moments.values()):
            raise UnknownError("a moment does not stand in the statement as it is")
        if queryset is not None and self._sql:
            converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])
            compiler.get_converters = lambda _: converters
            queryset.query.get_compiler = lambda *_, **__: compiler

    def run(self, moments: Moments) -> sqlite3.Cursor:
        """Run the statement with these moments."""
        parameters = list(self._parameters)
        if self._places:
            written = [bulk.db_datetime(moment) for moment in moments]
            for at, place in self._places:
                parameters[at] = written[place]
        return _run(self._sql, parameters)

    def rows(self, moments: Moments) -> list[Any]:
        if not self._sql:
            return []
        self._compiler.execute_sql = lambda *_, **__: [self._fetched(moments)]
        return list(self._queryset._iterable_class(self._queryset))

    def _fetched(self, moments: Moments) -> list[Any]:
        rows = self.run(moments).fetchall()
        return [row[: self._compiler.col_count] for row in rows] if self._compiler.has_extra_select else rows

    def has_rows(self, moments: Moments) -> bool:
        return bool(self._sql and self.run(moments).fetchall())

    def count(self, moments: Moments) -> int:
        with transaction.mark_for_rollback_on_error(using=connection.alias):
            return self.run(moments).rowcount if self._sql else 0


def _built(asked: "Remembered") -> QuerySet[Any]:
    """Have a query set of Django's own do the steps."""
    found: Any = QuerySet(asked.model, None, asked._db, asked._hints)
    for name, args, kwargs in asked.steps or ():
        found = getattr(found, name)(*args, **kwargs)
    return found  # type: ignore[no-any-return]


def _select(asked: "Remembered", moments: Moments, _: object) -> Prepared:
    queryset = _built(asked)
    compiler = queryset.query.get_compiler(queryset.db)
    return Prepared(compiler, moments, queryset)


def _exists(asked: "Remembered", moments: Moments, _: object) -> Prepared:
    queryset = _built(asked)
    return Prepared(queryset.query.exists().get_compiler(queryset.db), moments)


def _update(asked: "Remembered", moments: Moments, changes: dict[str, Any]) -> Prepared:
    """The compiler is that which the update of Django's own would run."""
    made = []
    with mock.patch.object(SQLUpdateCompiler, "execute_sql", lambda compiler, *_: made.append(compiler)):
        _built(asked).update(**changes)
    return Prepared(made[0], moments)


def _run(sql: str, parameters: list[Any]) -> sqlite3.Cursor:
    raise NotImplementedError


#: By what is asked, and its shape.
_statements: dict[Any, Prepared] = {}


class Remembered(QuerySet[Any]):
    """A query set that writes down its steps, and is built only when something is asked of it that is not known here:
    its state is that of Django's own from then on."""

    def __init__(self, model: Any = None, query: Any = None, using: Any = None, hints: Any = None) -> None:
        self.steps: tuple[Any, ...] | None = None
        self._is_built = query is not None
        if self._is_built:
            super().__init__(model, query, using, hints)
            return
        self.model, self._db, self._hints, self.steps = model, using, hints or {}, ()
        self._result_cache, self._for_write = None, False

    def __getattr__(self, name: str) -> Any:
        """What the light beginning has left out: the state that belongs to a query."""
        if name not in _STATE or self._is_built:
            raise AttributeError(name)
        self.__dict__.update(_built(self).__dict__, _is_built=True)
        return getattr(self, name)

    def _step(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if self._is_built:
            return getattr(super(), name)(*args, **kwargs)
        following = Remembered(self.model, None, self._db, self._hints)
        following.steps = (*(self.steps or ()), (name, args, kwargs))
        return following

    def __getitem__(self, key: Any) -> Any:
        is_step = isinstance(key, slice) and key.step is None and self._result_cache is None
        return self._step("__getitem__", key) if is_step else super().__getitem__(key)

    def _fetch_all(self) -> None:
        if self._is_built or self._result_cache is None:
            if (prepared := self._prepared(_select)) is None:
                super()._fetch_all()
            else:
                self._result_cache = prepared[0].rows(prepared[1])

    def update(self, **changes: Any) -> int:
        prepared = self._prepared(_update, changes)
        return super().update(**changes) if prepared is None else prepared[0].count(prepared[1])

    def exists(self) -> bool:
        prepared = self._prepared(_exists) if self._result_cache is None else None
        return super().exists() if prepared is None else prepared[0].has_rows(prepared[1])

    def first(self) -> Any:
        if self._is_built or any(name == "order_by" for name, *_ in self.steps or ()):
            return super().first()
        return next(iter(self.order_by("pk")[:1]), None)

    def in_bulk(self, id_list: Any = None, **options: Any) -> dict[Any, Any]:
        if self._is_built or id_list is None or options:
            return super().in_bulk(id_list, **options)
        return {found.pk: found for found in self.filter(pk__in=tuple(id_list))}

    def _prepared(self, prepare: "_Prepare", changes: Any = None) -> tuple[Prepared, Moments] | None:
        """Return the statement, and its moments; None if it is to be built as always."""
        if self._is_built:
            return None
        moments: Moments = {}
        try:
            key = prepare, self.model, shape(self.steps, moments), shape(changes, moments)
            if key not in _statements:
                if len(_statements) >= MAX_STATEMENTS:
                    _statements.clear()
                _statements[key] = prepare(self, moments, changes)
        except UnknownError:
            return None
        return _statements[key], moments


_Prepare = Callable[[Remembered, Moments, Any], Prepared]
for _name in STEPS:
    setattr(Remembered, _name, partialmethod(Remembered._step, _name))


@contextlib.contextmanager
def remembering(run: Callable[[str, list[Any]], sqlite3.Cursor]) -> Iterator[None]:
    """Build each statement once, for the time of a `with`. `run` runs a statement."""
    here = sys.modules[__name__]
    with mock.patch.object(Manager, "_queryset_class", Remembered), mock.patch.object(here, "_run", run):
        yield
    _statements.clear()
