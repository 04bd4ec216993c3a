"""Decide which database errors are temporary. All code that waits and retries asks here; any other error ends the work
that met it.

Django's classes do not tell: an `OperationalError` is raised by a restarting server as well as for a statement that
is too large for the server.
"""

from django.db import DataError, Error, InterfaceError, OperationalError, ProgrammingError

#: Error numbers of MariaDB and MySQL: a connection that was lost or never made (2…: from the client library).
_LOST = frozenset({1053, 1077, 1079, 1080, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1927})
_LOST |= {2002, 2003, 2005, 2006, 2012, 2013, 2014, 2024, 2026, 2027, 2048, 2055, 4031}
#: Locked, interrupted, full of connections or of data, read-only for now, a table that was just altered.
_BUSY = frozenset({1020, 1021, 1040, 1047, 1114, 1180, 1203, 1205, 1206, 1213, 1226, 1290, 1317})
_BUSY |= {1412, 1613, 1614, 1615, 1637, 1792, 1836, 1969, 3024, 3058, 3100, 3101, 3572}
#: Of a cluster's node without a majority.
_NOT_READY = 1047
_PASSING_NUMBERS = _LOST | _BUSY
#: SQLite's messages for the same. All its other operational errors are about the statement or the tables.
_PASSING_WORDS = (
    "is locked",
    "disk i/o error",
    "unable to open database",
    "schema has changed",
    "interrupted",
    "database or disk is full",
    "readonly database",
)
_LASTING_WORDS = ("too large", "too many", "too big", "syntax error", "no such ", "has no column")
#: Tables or privileges are not what the program needs: an operator has to act, and no single row is to blame.
_SET_UP_NUMBERS = frozenset({1044, 1045, 1049, 1054, 1142, 1143, 1146, 1227, 1364, 1698})
_SET_UP_WORDS = ("no such table", "no such column", "has no column")


def passes(error: BaseException) -> bool:
    """Whether the same statement may succeed the next time: a lost connection, a lock, a busy or full server."""
    if isinstance(error, InterfaceError):
        # A connection that is already closed; SQLite also raises it for a value that no column can hold.
        return "binding parameter" not in str(error).lower()
    if not isinstance(error, Error) or isinstance(error, DataError | ProgrammingError):
        return False
    declared: bool | None = getattr(error, "passes", None)
    if declared is not None:
        return declared
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return number in _PASSING_NUMBERS
    if not isinstance(error, OperationalError):
        return False
    # An error without a driver's error behind it was raised by code that reports an outage.
    return _says(error, _PASSING_WORDS) or not (error.__cause__ or _says(error, _LASTING_WORDS))


def is_lost(error: BaseException) -> bool:
    """Whether the connection is lost or its node of a cluster cannot be worked with: elsewhere work may go on."""
    number = error.args[0] if isinstance(error, Error) and error.args else None
    return number in _LOST or number == _NOT_READY or (isinstance(error, InterfaceError) and passes(error))


def is_locked(error: BaseException) -> bool:
    """Whether waiting for another session's lock timed out."""
    return isinstance(error, Error) and (error.args[:1] == (1205,) or _says(error, ("is locked",)))


def concerns_everything(error: BaseException) -> bool:
    """Whether the error is not the fault of the work that met it: it is temporary, or tables or privileges are wrong.
    Such work waits; after any other error it can never succeed."""
    number = error.args[0] if isinstance(error, Error) and error.args else None
    return passes(error) or number in _SET_UP_NUMBERS or (isinstance(error, Error) and _says(error, _SET_UP_WORDS))


def _says(error: Error, words: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(word in text for word in words)
