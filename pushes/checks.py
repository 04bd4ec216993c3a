"""System checks for settings that would otherwise only show when the first push is distributed."""

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError
from django.utils.module_loading import import_string

from pushes.providers import hosts

#: A window's calls may follow one another three deep: a list, its tokens one by one, and the writing down.
CALLS_A_LEASE = 3


def check_directory(**_kwargs: Any) -> list[CheckMessage]:
    """The DIRECTORY setting, and what the directory itself says of its own settings in its `check()`, if it has one."""
    try:
        chosen = import_string(settings.DIRECTORY)
    except ImportError as error:
        text = f"DIRECTORY={settings.DIRECTORY!r} cannot be imported: {error}."
        return [Error(text, id="pushes.E001")]
    problems = chosen.check() if hasattr(chosen, "check") else []
    return [Error(f"{problem}.", hint="See docs/directory.md.", id="pushes.E002") for problem in problems]


def check_lease(**_kwargs: Any) -> list[CheckMessage]:
    """A claim must outlive its calls, or the sweeper would give away pushes that are on their way."""
    lease, call = settings.LEASE_SECONDS, settings.CALL_TIMEOUT_SECONDS
    if lease >= CALLS_A_LEASE * call:
        return []
    text = f"LEASE_SECONDS={lease!r} is too short for CALL_TIMEOUT_SECONDS={call!r}: pushes could be sent twice."
    return [Error(text, hint=f"Make it at least {CALLS_A_LEASE * call:g}.", id="pushes.E005")]


def check_endpoints(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """App keys whose endpoint may not be called from this machine: their pushes wait."""
    if "default" not in (databases or ()):
        return []
    try:
        keys = apps.get_model("pushes", "AppKey")._default_manager.exclude(endpoint_url="")
        faults = {str(key): hosts.fault(key.endpoint_url) for key in keys}
    except DatabaseError:  # no table yet
        return []
    return [
        Warning(
            f"The app key {key} cannot send: {fault}", hint="See PROVIDER_HOSTS in docs/settings.md.", id="pushes.W010"
        )
        for key, fault in faults.items()
        if fault
    ]
