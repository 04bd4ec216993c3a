"""Names in a push's payload that are not the producer's to choose."""

from collections.abc import Collection, Mapping
from typing import Any


def moved_aside(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """`data`, with what stands under one of the reserved `names` as `custom_<name>` instead. That name is the
    producer's own if he uses it; then another `custom_` comes before it, so that no value replaces another."""
    moved: dict[str, Any] = {}
    for name, value in data.items():
        key = str(name)
        while key in names or (key != name and (key in data or key in moved)):
            key = f"custom_{key}"
        moved[key] = value
    return moved
