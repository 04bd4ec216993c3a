"""Compare the access ids that the client apps were built with, given as a list, with the app keys. Nothing of the list
is stored, and secrets in an old ini are ignored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.keys.ini import SCOPES
from pushes.models import AppKey
from pushes.names import WITH_ACCESS_IDS, App, Environment, Platform, platform_of

Scope = tuple[App, Platform, Environment]
MAX_FAULTS = 20

_COMMENT = re.compile(r"[;#].*")
_ACCESS_ID = re.compile(r"[1-9][0-9]{3,17}")
_INI = re.compile(r"([a-z_]{1,40})_appid\s*[=:]\s*[\"']?([^\"']*?)[\"']?")
#: Such a line holds a secret, and is ignored.
_SECRET_LINE = re.compile(r"\s*\w*(?:skey|secret)\w*\s*[=:].*", re.IGNORECASE)
#: A word as long as a secret or a token is never shown.
_LONG_WORD = re.compile(r"[0-9A-Za-z+/=_-]{24,}")
_HEADING = {"app", "platform", "environment", "env", "access", "id", "access_id", "appid"}


class Match(TextChoices):
    SAME = "same", gettext_lazy("matches")
    DIFFERENT = "different", gettext_lazy("differs")
    NOT_HERE = "not_here", gettext_lazy("no app key here")
    NOT_THERE = "not_there", gettext_lazy("not in the list")


@dataclass(frozen=True, slots=True)
class Listed:
    """The content of the list: access ids by scope, and the lines that were not understood."""

    access_ids: Mapping[Scope, str]
    faults: list[str]
    secrets_passed_over: int


@dataclass(frozen=True, slots=True)
class Line:
    """One scope that either side knows. `hint` suggests a reason for the difference."""

    scope: Scope
    key: AppKey | None
    listed: str | None
    match: Match
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    lines: list[Line]
    faults: list[str]
    secrets_passed_over: int

    @property
    def is_wrong(self) -> bool:
        """Whether pushes to some of these builds would not arrive."""
        return any(line.match in (Match.DIFFERENT, Match.NOT_HERE) for line in self.lines)

    @property
    def is_complete(self) -> bool:
        """Whether every line could be read, and the list names every app key."""
        return bool(self.lines) and not self.faults and all(line.match != Match.NOT_THERE for line in self.lines)


def read(text: str) -> Listed:
    """Read lines such as `android_higo_appid = 2100047733` or `higo, android, production, 2100047733`."""
    found: dict[Scope, str] = {}
    faults: list[str] = []
    secrets = 0
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if _SECRET_LINE.fullmatch(line):
            secrets += 1
            continue
        content = _COMMENT.sub("", line).strip()
        if not content or content.startswith("[") or _is_heading(content):
            continue
        try:
            scope, access_id = _read_line(content)
        except ValueError as error:
            faults.append(_("line %(number)s: %(why)s") % {"number": number, "why": error})
            continue
        if found.setdefault(scope, access_id) != access_id:
            faults.append(
                _("line %(number)s: %(scope)s is given as %(first)s above, and as %(second)s here")
                % {"number": number, "scope": shown(scope), "first": found[scope], "second": access_id}
            )
    return Listed(found, faults[:MAX_FAULTS], secrets)


def scrub(text: str) -> str:
    """Return `text` without anything that may be a secret, so that it can be shown again."""
    kept = (line for line in text.splitlines() if not _SECRET_LINE.fullmatch(line))
    return "\n".join(_LONG_WORD.sub("…", line) for line in kept)


def compare(listed: Listed) -> Comparison:
    """Compare the list with the app keys, in the order of the key grid."""
    keys: dict[Scope, AppKey] = {}
    for key in AppKey.objects.filter(channel__in=WITH_ACCESS_IDS):
        scope = App(key.app), Platform(key.platform), Environment(key.environment)
        # Of two channels' keys, the one that the build knows.
        if scope not in keys or key.access_id == listed.access_ids.get(scope):
            keys[scope] = key
    every: list[Scope] = [(a, p, e) for a in App for p in Platform for e in Environment]
    lines = [
        _line(scope, keys.get(scope), listed.access_ids.get(scope), keys)
        for scope in every
        if scope in keys or scope in listed.access_ids
    ]
    return Comparison(lines, listed.faults, listed.secrets_passed_over)


def shown(scope: Scope) -> str:
    return " ".join(part.value for part in scope)


def _line(scope: Scope, key: AppKey | None, listed: str | None, keys: Mapping[Scope, AppKey]) -> Line:
    if key is not None and listed is None:
        return Line(scope, key, None, Match.NOT_THERE)
    hint = _same_id_elsewhere(scope, listed, keys)
    if key is None:
        return Line(scope, None, listed, Match.NOT_HERE, hint)
    if key.access_id != listed:
        return Line(scope, key, listed, Match.DIFFERENT, hint)
    return Line(scope, key, listed, Match.SAME)


def _same_id_elsewhere(scope: Scope, listed: str | None, keys: Mapping[Scope, AppKey]) -> str:
    others = [other for other, key in keys.items() if other != scope and key.access_id == listed]
    return _("Here, this is the access ID of %(scope)s.") % {"scope": shown(others[0])} if others else ""


def _is_heading(content: str) -> bool:
    return set(_words(content.lower())) <= _HEADING


def _words(content: str) -> list[str]:
    return [word for word in re.split(r"[\s,;|/=:\"']+", content) if word]


def _read_line(content: str) -> tuple[Scope, str]:
    """Read one line. Raises ValueError with a message that contains no secret."""
    ini = _INI.fullmatch(content)
    if ini:
        prefix, value = ini.groups()
        if prefix not in SCOPES:
            raise ValueError(_("%(name)s is not a valid app key name") % {"name": repr(f"{prefix}_appid")})
        return SCOPES[prefix], _access_id(value)
    words = _words(content)
    numbers = [word for word in words if word.isdigit()]
    if len(numbers) != 1:
        raise ValueError(
            _("exactly one access ID is needed, as in “higo android production 2100047733”: %(text)s")
            % {"text": repr(_LONG_WORD.sub("…", content)[:60])}
        )
    names = [word.lower() for word in words if word != numbers[0]]
    return _scope(names), _access_id(numbers[0])


def _scope(names: list[str]) -> Scope:
    app: App | None = None
    platform: Platform | None = None
    environment: Environment | None = None
    for name in names:
        if name in App.values and app is None:
            app = App(name)
        elif name in Environment.values and environment is None:
            environment = Environment(name)
        elif platform is None:
            platform = _platform(name)
        else:
            raise ValueError(
                _("%(word)s is not expected here: remove it") % {"word": repr(_LONG_WORD.sub("…", name)[:40])}
            )
    if app is None or platform is None:
        raise ValueError(_("the app (higo, higirl) and the platform (android, ios) must both be named"))
    return app, platform, environment or Environment.PRODUCTION


def _platform(name: str) -> Platform:
    try:
        return platform_of(name)
    except ValueError:
        word = repr(_LONG_WORD.sub("…", name)[:40])
        raise ValueError(_("%(word)s is not a valid app, platform or environment") % {"word": word}) from None


def _access_id(value: str) -> str:
    if not _ACCESS_ID.fullmatch(value):
        word = repr(_LONG_WORD.sub("…", value)[:40])
        raise ValueError(_("%(word)s is not a valid access ID: enter a number of 4 to 18 digits") % {"word": word})
    return str(int(value))
