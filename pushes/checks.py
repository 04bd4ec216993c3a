"""System checks for settings that would otherwise only show when the first push is distributed."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string


def check_directory(**_kwargs: Any) -> list[CheckMessage]:
    """The DIRECTORY setting, and what the directory itself says of its own settings in its `check()`, if it has one."""
    try:
        chosen = import_string(settings.DIRECTORY)
    except ImportError as error:
        text = f"DIRECTORY={settings.DIRECTORY!r} cannot be imported: {error}."
        return [Error(text, id="pushes.E001")]
    problems = chosen.check() if hasattr(chosen, "check") else []
    return [Error(f"{problem}.", hint="See docs/directory.md.", id="pushes.E002") for problem in problems]
