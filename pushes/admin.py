"""Where Django looks for the admin's desks: importing this module registers those of the console."""

from pushes.console import push_types
from pushes.console.broadcasts import desk as broadcasts
from pushes.console.delivery_log import dead_letters, deliveries, exports, pushes
from pushes.console.job_queues import desk as job_queues
from pushes.console.keys import desk as app_keys
from pushes.console.login import lockout
from pushes.console.operators import desk as operators
from pushes.console.operators import roles, tokens
from pushes.console.people import accounts, devices

__all__ = [
    "accounts",
    "app_keys",
    "broadcasts",
    "dead_letters",
    "deliveries",
    "devices",
    "exports",
    "job_queues",
    "lockout",
    "operators",
    "push_types",
    "pushes",
    "roles",
    "tokens",
]
