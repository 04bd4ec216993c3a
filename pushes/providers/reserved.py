"""Reserved names in a push's payload."""

from collections.abc import Collection, Mapping
from typing import Any


def moved_aside(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return `data` with values under the reserved `names` renamed to `custom_<name>`. If the producer already uses
    that name, another `custom_` is put in front, so that no value replaces another."""
    moved: dict[str, Any] = {}
    for name, value in data.items():
        key = str(name)
        while key in names or (key != name and (key in data or key in moved)):
            key = f"custom_{key}"
        moved[key] = value
    return moved
