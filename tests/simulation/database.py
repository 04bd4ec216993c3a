"""SQLite in memory, beside the database of the session. Each statement outside of a transaction is a seam; a
transaction as a whole is one, at its beginning. The database's clock is the simulated one, and runs on between two
statements."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.db import OperationalError, connections, models
from django.db.models import DateTimeField
from django.db.models.expressions import RawSQL
from django.db.utils import ConnectionHandler

from chatscan.models import ScannerPosition
from pushes.models import (
    Account,
    AppKey,
    Broadcast,
    BroadcastTally,
    DeadLetter,
    DeliveryResult,
    Device,
    LatencyBucket,
    Lease,
    MinuteCount,
    MultiPush,
    PushRecord,
    Resend,
    SuspectToken,
)
from tests.simulation import faults
from tests.simulation.faults import Faults
from tests.simulation.scheduler import Died, Scheduler

#: What stays from schedule to schedule, and what each begins without.
STAYING: Sequence[type[models.Model]] = (Account, Device, AppKey, Broadcast, Resend, MultiPush)
EMPTIED: Sequence[type[models.Model]] = (
    PushRecord,
    DeliveryResult,
    SuspectToken,
    Lease,
    MinuteCount,
    LatencyBucket,
    BroadcastTally,
    DeadLetter,
    ScannerPosition,
)
MOMENT = DateTimeField()
#: As many prepared statements as the code has: SQLite would plan each anew.
OPTIONS = {"cached_statements": 2_000}
#: Error numbers of MariaDB, which the code knows: no connection, lost during the query, deadlock.
GONE, LOST_IN_QUERY, DEADLOCK = 2006, 2013, 1213


class Database:
    """The connection, and the schedule that runs on it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.scheduler: Scheduler | None = None
        self.faults: Faults | None = None
        self.seam: Callable[[str], None] = lambda _: None
        self.down_until = 0.0
        self._commit = connection._commit
        connection._commit = self._committed
        connection.ensure_connection()
        connection.connection.create_function("simulated_time", 1, self._time)
        connection.execute_wrappers.append(self._around)

    def begin(self, scheduler: Scheduler, harm: Faults, seam: Callable[[str], None]) -> None:
        """Begin a schedule, with empty tables."""
        self.scheduler, self.faults, self.seam, self.down_until = scheduler, harm, seam, 0.0
        for model in EMPTIED:
            self.raw(f"DELETE FROM {model._meta.db_table}")
        names = ", ".join(f"'{model._meta.db_table}'" for model in EMPTIED)
        self.raw(f"DELETE FROM sqlite_sequence WHERE name IN ({names})")

    def in_transaction(self) -> bool:
        return bool(self.connection.in_atomic_block)

    def raw(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement of the simulation's own, which is no seam."""
        return list(self.connection.connection.execute(sql).fetchall())

    def run(self, sql: str, parameters: list[Any]) -> sqlite3.Cursor:
        """Run a statement of the code's, as Django's cursors do."""
        return self._around(self._run, sql, parameters, False, None)  # type: ignore[no-any-return]

    def _run(self, sql: str, parameters: list[Any], *_: object) -> sqlite3.Cursor:
        self.connection.validate_no_broken_transaction()
        with self.connection.wrap_database_errors:
            return self.connection.connection.execute(sql, parameters)  # type: ignore[no-any-return]

    def time(self, _now: object, *, seconds: float = 0.0) -> RawSQL:
        """In the place of `clocks.database_time`: the moment at which the statement runs."""
        return RawSQL("simulated_time(%s)", (int(seconds * 1_000_000),), output_field=MOMENT)

    def _time(self, microseconds: int) -> str:
        assert self.scheduler is not None
        at = self.scheduler.database_time().replace(tzinfo=None)
        return (at + timedelta(microseconds=microseconds)).isoformat(" ", "microseconds")

    def _around(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        scheduler, harm = self.scheduler, self.faults
        if scheduler is None or harm is None or scheduler.current is None:
            return execute(sql, params, many, context)
        if scheduler.current.process.is_dead:
            raise Died
        if self.connection.in_atomic_block:
            self._strike_inside(harm, scheduler)
            found = execute(sql, params, many, context)
            scheduler.note(f"  {_shown(sql)}{_count(found)}")
            return found
        lag = scheduler.current.process.lag
        scheduler.pause(scheduler.dice.expovariate(500) + (scheduler.dice.uniform(0, lag) if lag else 0.0))
        struck = harm.strike(faults.TO_STATEMENT, scheduler.now)
        if struck == faults.SLOW:
            scheduler.pause(scheduler.dice.uniform(0.5, 5))
        elif struck not in ("", faults.FAIL, faults.LOST):
            self.seam(struck)
        if struck == faults.FAIL or scheduler.now < self.down_until:
            scheduler.note(f"{_shown(sql)}: fails")
            raise OperationalError(GONE, "simulated: the server has gone away")
        found = execute(sql, params, many, context)
        scheduler.note(f"{_shown(sql)}{_count(found)}")
        if struck == faults.LOST and not sql.startswith("BEGIN"):
            scheduler.note("… its answer is lost")
            raise OperationalError(LOST_IN_QUERY, "simulated: lost connection during the query")
        return found

    def _strike_inside(self, harm: Faults, scheduler: Scheduler) -> None:
        struck = harm.strike(faults.IN_TRANSACTION, scheduler.now)
        if struck == faults.DIE:
            self.seam(struck)
        elif struck:
            scheduler.note(f"{struck} in a transaction")
            number = DEADLOCK if struck == faults.DEADLOCK else GONE
            raise OperationalError(number, f"simulated: {struck}")

    def _committed(self) -> None:
        """A commit may fail, or happen without anybody learning of it."""
        scheduler, harm = self.scheduler, self.faults
        struck = ""
        if scheduler is not None and harm is not None and scheduler.current is not None:
            struck = harm.strike(faults.TO_COMMIT, scheduler.now)
            scheduler.note(f"COMMIT {struck}".strip())
        if struck == faults.FAIL:
            raise OperationalError(GONE, "simulated: the commit failed")
        self._commit()
        if struck == faults.LOST:
            raise OperationalError(LOST_IN_QUERY, "simulated: the commit's answer was lost")


@lru_cache
def _shown(sql: str) -> str:
    """A statement's verb and table: what it names in it may stand in any order."""
    verb, _, rest = sql.replace('"', "").partition(" ")
    if verb != "UPDATE":
        rest = rest.partition("INTO " if verb == "INSERT" else "FROM ")[2]
    return f"{verb} {rest.split(' ', 1)[0]}".strip()


def _count(found: sqlite3.Cursor) -> str:
    return f" → {found.rowcount}" if found.rowcount >= 0 else ""


@contextlib.contextmanager
def in_memory() -> Iterator[Database]:
    """A database with the tables, in the place of the session's for the time of a `with`."""
    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": OPTIONS}}
    )
    made, before = handler.create_connection("default"), connections["default"]
    connections["default"] = made
    try:
        made.cursor().execute("PRAGMA foreign_keys = OFF")
        with made.schema_editor() as editor:
            for model in (*STAYING, *EMPTIED):
                editor.create_model(model)
        yield Database(made)
    finally:
        connections["default"] = before
        if made.connection is not None:
            made.connection.close()
