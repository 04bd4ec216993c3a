"""The backend itself; Django finds it by the name of this module.

The client library parses instants in Python, and Django then passes each of them through a converter of its own to
give it a zone: together 2 µs a column, half a dozen columns a push. Here that is one call into C
(docs/performance.md).
"""

from datetime import datetime, timezone
from typing import Any

from django.db.backends.mysql import base, operations
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.times import DateTime_or_None


def instant(text: str) -> datetime | None:
    """A DATETIME column's text in UTC, as Django stores it; None for the zero date of MariaDB's lax modes."""
    try:
        return datetime.fromisoformat(f"{text}+00:00")
    except ValueError:
        # Fractions of other than three or six digits (a column that is not ours), on Python 3.10.
        found: datetime | None = DateTime_or_None(text)
        return found and found.replace(tzinfo=timezone.utc)


class DatabaseOperations(operations.DatabaseOperations):
    def get_db_converters(self, expression: Any) -> list[Any]:
        """Django's, without the one that gives instants their zone: they have it."""
        return [one for one in super().get_db_converters(expression) if one != self.convert_datetimefield_value]


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters["conv"] = {**parameters["conv"], FIELD_TYPE.DATETIME: instant}
        return parameters
