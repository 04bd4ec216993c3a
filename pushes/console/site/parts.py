"""The parts of the console that other apps bring: the CONSOLE_PARTS setting names them by dotted path."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Part:
    """One app's part, for users with `permission`.

    `panel` is a template on the overview, and `context` returns the template's context. Each alert is a sentence and
    the address of the page that helps. `dead_letter_reasons` has words for the codes of the app's own dead letters.
    """

    permission: str
    panel: str
    context: Callable[[HttpRequest], dict[str, Any]]
    alerts: Callable[[], Iterable[tuple[str, str]]]
    dead_letter_reasons: Mapping[str, Any]


def parts() -> list[Part]:
    """All parts, in the setting's order. Raises ImportError."""
    return [import_string(path) for path in settings.CONSOLE_PARTS]


def parts_for(user: Any) -> list[Part]:
    """The parts that `user` may see."""
    return [part for part in parts() if user.has_perm(part.permission)]
