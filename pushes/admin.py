"""Register the console's desks: Django imports this module to find them."""

from pushes.console import push_types
from pushes.console.broadcasts import desk as broadcasts
from pushes.console.delivery_log import dead_letters, deliveries, exports, pushes
from pushes.console.job_queues import desk as job_queues
from pushes.console.keys import desk as keys
from pushes.console.login import lockout
from pushes.console.operators import desk as operators
from pushes.console.operators import roles, tokens
from pushes.console.people import accounts, devices

__all__ = [
    "accounts",
    "broadcasts",
    "dead_letters",
    "deliveries",
    "devices",
    "exports",
    "job_queues",
    "keys",
    "lockout",
    "operators",
    "push_types",
    "pushes",
    "roles",
    "tokens",
]
