"""Rows with every column filled, for whatever models. It imports nothing of the project's: the last release's code uses
it, too."""

from collections.abc import Iterator
from datetime import datetime, time
from datetime import timezone as tz
from typing import Any

from django.apps.registry import Apps
from django.db.models import Field, Model

VALUES: dict[str, Any] = {
    "BigIntegerField": 2**40,
    "BinaryField": b"\x00\xff",
    "BooleanField": True,
    "DateTimeField": datetime(2026, 5, 1, 8, 30, 15, 123_456, tzinfo=tz.utc),
    "FloatField": 2.5,
    "IntegerField": -7,
    "JSONField": {"订单": [1, None, "b"]},
    "PositiveBigIntegerField": 2**40,
    "PositiveIntegerField": 70_000,
    "PositiveSmallIntegerField": 7,
    "SmallIntegerField": -7,
    "TextField": "全场五折 🎉",
    "TimeField": time(8, 30),
}


def value(field: "Field[Any, Any]") -> Any:
    """What a column may well hold: a choice if there are choices, or else a value that a careless copy would harm."""
    if field.choices:
        return next(choice for choice, _label in field.flatchoices if choice != "")
    if field.get_internal_type() in ("CharField", "URLField"):
        return "全场五折 🎉"[: field.max_length]
    return VALUES[field.get_internal_type()]


def filled(models: Apps, label: str, **fields: Any) -> Any:
    """A row of a model with every column filled, and the rows that it refers to. Nothing but the INSERT happens: a
    model's own `save` is not called."""
    model = models.get_model(label)
    for field in model._meta.concrete_fields:
        if field.attname in fields or field.name in fields:
            continue
        if field.is_relation:
            fields[field.attname] = _referred(models, field.related_model)
        elif not field.get_internal_type().endswith("AutoField"):
            fields[field.attname] = value(field)
    return model._base_manager.bulk_create([model(**fields)])[0]


def _referred(models: Apps, model: type[Model]) -> Any:
    found = model._base_manager.first()
    return (found or filled(models, model._meta.label_lower)).pk


def with_tables(models: Apps, *labels: str) -> Iterator[type[Model]]:
    """The models of these apps that have a table of their own."""
    for label in labels:
        for model in models.get_app_config(label).get_models():
            if model._meta.managed and not model._meta.proxy:
                yield model
