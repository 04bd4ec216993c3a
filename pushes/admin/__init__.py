"""The operators' console: one module per desk. Importing the package registers them all."""

from pushes.admin import (
    accounts,
    app_keys,
    broadcasts,
    dead_letters,
    delivery_log,
    devices,
    exports,
    job_queues,
    policies,
    records,
    roles,
    staff,
    throttle,
    tokens,
)

__all__ = [
    "accounts",
    "app_keys",
    "broadcasts",
    "dead_letters",
    "delivery_log",
    "devices",
    "exports",
    "job_queues",
    "policies",
    "records",
    "roles",
    "staff",
    "throttle",
    "tokens",
]
