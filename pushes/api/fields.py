"""Small readers for JSON bodies and query strings. Each names the field and what is accepted."""

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from pushes.api.errors import ApiError, invalid
from pushes.inbound.orders import shown

MAX_ID = 2**63 - 1


def object_of(body: Any, known: Iterable[str]) -> dict[str, Any]:
    """Return a JSON object with known fields only: a misspelt optional field must be noticed."""
    if not isinstance(body, dict):
        raise ApiError(422, "not_an_object", "The body must be a JSON object.")
    accepted = sorted(known)
    for name in body:
        if name not in accepted:
            raise invalid(str(name)[:64], f"Unknown field; accepted: {', '.join(accepted)}.", code="unknown_field")
    return body


def text(body: dict[str, Any], name: str, *, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, f"{shown(value)} is not a string." if name in body else "This field is required.")
    return value.strip()


def integer(value: Any, name: str, *, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(name, f"{shown(value)} is not valid; write a whole number between {least} and {most}.")
    return value


def query_integer(value: str | None, name: str, *, default: int, least: int, most: int) -> int:
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
        message = f"{shown(value)} is not valid; write a whole number between {least} and {most}."
        raise ApiError(400, "invalid", message, field=name)
    return int(value)


def moment(value: datetime | None) -> str | None:
    """Format a moment as ISO 8601 in UTC."""
    return None if value is None else value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
