"""System checks for chat settings that would otherwise only show at night."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from chatscan.messages import kinds
from chatscan.messages.config import Fields, GroupFields, field_names

FIELD_SETTINGS: dict[str, type[Any]] = {
    "CHAT_GROUP_FIELDS": Fields,
    "CHAT_PRIVATE_FIELDS": Fields,
    "CHAT_GROUPS_FIELDS": GroupFields,
}


def check_chat_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Everything about the CHAT_… settings at once."""
    return [*_fields(), *_kinds(), *_collections(), *_times(), *_directory()]


def _fields() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for name, fields_class in FIELD_SETTINGS.items():
        known = field_names(fields_class)
        for key, path in getattr(settings, name).items():
            if key not in known:
                text = f"{name} names {key!r}, which is no field: {', '.join(known)}."
                messages.append(Error(text, id="chatscan.E001"))
            elif not all(path.split(".")) or "$" in path:
                messages.append(Error(f"{name}: {key}={path!r} is no dotted path.", id="chatscan.E002"))
    return messages


def _kinds() -> list[CheckMessage]:
    types = {**kinds.TYPES, **settings.CHAT_TYPES}
    previews = {**kinds.PREVIEWS, **settings.CHAT_PREVIEWS}
    hint = f"Give it a preview in CHAT_PREVIEWS, or use one of: text, silent, {', '.join(sorted(previews))}."
    messages: list[CheckMessage] = []
    for kind in kinds.unknown_kinds(types, previews):
        text = f"CHAT_TYPES leads to {kind!r}, which has no preview."
        messages.append(Error(text, hint=hint, id="chatscan.E003"))
    for name in settings.CHAT_TYPES:
        if name != kinds.type_name(name):
            text = f"CHAT_TYPES names {name!r}; types are compared in lower case."
            messages.append(Error(text, id="chatscan.E004"))
    return messages


def _collections() -> list[CheckMessage]:
    names = {
        setting: (getattr(settings, f"{setting}_DATABASE") or settings.CHAT_DATABASE, collection)
        for setting in ("CHAT_GROUP", "CHAT_PRIVATE", "CHAT_GROUPS")
        if (collection := getattr(settings, f"{setting}_COLLECTION"))
    }
    if len(set(names.values())) == len(names):
        return []
    shown = ", ".join(f"{setting}_COLLECTION={collection}" for setting, (_, collection) in names.items())
    return [Error(f"Two of the chat collections are the same: {shown}.", id="chatscan.E005")]


def _times() -> list[CheckMessage]:
    if settings.CHAT_OVERLAP_SECONDS == 0:
        text = "CHAT_OVERLAP_SECONDS=0: a message that reaches MongoDB after a younger one is never pushed."
        return [Warning(text, id="chatscan.W001")]
    if 0 < settings.CHAT_MAX_AGE_SECONDS < settings.SCAN_INTERVAL + settings.CHAT_OVERLAP_SECONDS:
        text = f"CHAT_MAX_AGE_SECONDS={settings.CHAT_MAX_AGE_SECONDS} is shorter than SCAN_INTERVAL and the overlap."
        return [Error(text, hint="Messages would be too old when they are first read.", id="chatscan.E006")]
    return []


def _directory() -> list[CheckMessage]:
    """The group directory's path, and what it says of its own settings in its `check()`, if it has one."""
    try:
        chosen = import_string(settings.CHAT_GROUP_DIRECTORY)
    except ImportError as error:
        text = f"CHAT_GROUP_DIRECTORY={settings.CHAT_GROUP_DIRECTORY!r} cannot be imported: {error}."
        return [Error(text, id="chatscan.E007")]
    problems = chosen.check() if hasattr(chosen, "check") else []
    return [Error(f"{problem}.", hint="See docs/chat.md.", id="chatscan.E008") for problem in problems]
