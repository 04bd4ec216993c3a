"""Conditions that a column's index answers, on either database."""

from django.db import connections
from django.db.models import Model, Q

HIGHEST = "\U0010ffff"


def starts_with(field: str, prefix: str) -> Q:
    """A prefix condition that uses the column's index on the database in use.

    MariaDB uses it for LIKE 'x%' without BINARY; SQLite does not for any LIKE with an escape, so it gets a range too.
    """
    condition = Q(**{f"{field}__istartswith": prefix})
    if connections["default"].vendor == "sqlite":
        condition &= Q(**{f"{field}__gte": prefix, f"{field}__lt": prefix + HIGHEST})
    return condition


def exists(model: type[Model], condition: Q) -> bool:
    return bool(model._default_manager.filter(condition).order_by()[:1].exists())
