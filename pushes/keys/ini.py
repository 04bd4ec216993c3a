"""Import app keys from the legacy system's ini file: first preview the import, then apply it.

The file has no section header; `;` begins a comment; every app key is a pair of lines. Values never appear in a
message or a repr.
"""

import re
from dataclasses import dataclass, field, replace

from django.db import transaction
from django.utils.translation import gettext as _

from pushes.models import AppKey
from pushes.names import CHANNELS, WITH_ACCESS_IDS, App, Environment, Platform, ProviderKind
from pushes.vault import SecretUnreadableError

#: The pairs of the legacy file: `<prefix>_appid` and `<prefix>_skey`.
SCOPES = {
    "android_higo": (App.HIGO, Platform.ANDROID, Environment.PRODUCTION),
    "android_higirl": (App.HIGIRL, Platform.ANDROID, Environment.PRODUCTION),
    "ios_higo": (App.HIGO, Platform.IOS, Environment.PRODUCTION),
    "ios_higirl": (App.HIGIRL, Platform.IOS, Environment.PRODUCTION),
    "local_ios_higo": (App.HIGO, Platform.IOS, Environment.LOCAL),
    "local_ios_higirl": (App.HIGIRL, Platform.IOS, Environment.LOCAL),
}
SECRET_LENGTH = 32
NEW, CHANGED, SAME, ERROR = "new", "changed", "same", "error"

_LINE = re.compile(r"(?P<name>[^=]*?)\s*=\s*(?P<value>.*)")
_NAME = re.compile(r"[a-z_]{1,40}")
_ACCESS_ID = re.compile(r"[1-9][0-9]{3,17}")
_SECRET = re.compile(r"[0-9a-fA-F]{32}")


class LegacyIniError(ValueError):
    """The file has errors, so nothing was imported. `problems` are sentences with line number and name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Entry:
    """One app key of the file, or one problem. `detail` says what changes, or what is wrong and where."""

    scope: str
    access_id: str | None
    state: str
    detail: str = ""
    prefix: str = ""
    secret: str = field(default="", repr=False)


@dataclass(slots=True)
class _Half:
    line: int
    value: str = field(repr=False)


def preview(text: str, *, endpoint_url: str | None = None, provider: ProviderKind | None = None) -> list[Entry]:
    """Return what importing `text` would do, without doing it; the errors come last."""
    halves, problems = _read(text)
    entries: list[Entry] = []
    for prefix in SCOPES:
        appid, skey = halves.get(f"{prefix}_appid"), halves.get(f"{prefix}_skey")
        if appid is None and skey is None:
            continue
        problem = _problem(prefix, appid, skey)
        if problem or appid is None or skey is None:
            problems.append(Entry(_shown(prefix), None, ERROR, problem, prefix))
        else:
            entry = Entry(_shown(prefix), str(int(appid.value)), NEW, "", prefix, skey.value)
            entries.append(_compared(entry, endpoint_url, provider))
    if not entries and not problems:
        problems.append(
            Entry("", None, ERROR, _("the file contains no app key: lines like android_higo_appid = … are needed"))
        )
    return entries + problems


@transaction.atomic
def apply(text: str, *, endpoint_url: str | None = None, provider: ProviderKind | None = None) -> list[Entry]:
    """Import all keys of `text` or, if anything in it is wrong, none; importing it twice changes nothing more.

    `endpoint_url` and `provider` apply to every key of the file; None keeps what an existing key has
    (a new one: DEFAULT_PROVIDER at the provider's own address). A changed key is no longer paused, since it is
    a change that its pause waited for. Returns what was done. Raises LegacyIniError.
    """
    entries = preview(text, endpoint_url=endpoint_url, provider=provider)
    problems = [
        f"{entry.scope}: {entry.detail}" if entry.scope else entry.detail for entry in entries if entry.state == ERROR
    ]
    if problems:
        raise LegacyIniError(problems)
    for entry in entries:
        if entry.state != SAME:
            _save(entry, endpoint_url, provider)
    return entries


def _read(text: str) -> tuple[dict[str, _Half], list[Entry]]:
    known = {f"{prefix}_{half}" for prefix in SCOPES for half in ("appid", "skey")}
    halves: dict[str, _Half] = {}
    problems: list[Entry] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        content = line.split(";", 1)[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        name = match["name"] if match else ""
        if match is None or not _NAME.fullmatch(name):
            problems.append(
                Entry(
                    "", None, ERROR, _("line %(line)s: a line like android_higo_appid = … is needed") % {"line": number}
                )
            )
        elif name not in known:
            problems.append(
                Entry(
                    "",
                    None,
                    ERROR,
                    _("line %(line)s: %(name)s is not a valid app key name") % {"line": number, "name": name},
                )
            )
        elif name in halves:
            problems.append(
                Entry(
                    "",
                    None,
                    ERROR,
                    _("line %(line)s: %(name)s is already on line %(first)s")
                    % {"line": number, "name": name, "first": halves[name].line},
                )
            )
        else:
            halves[name] = _Half(number, match["value"].strip().strip("\"'"))
    return halves, problems


def _problem(prefix: str, appid: _Half | None, skey: _Half | None) -> str:
    if appid is None:
        words = {"missing": f"{prefix}_appid", "line": skey.line if skey else 0, "has": f"{prefix}_skey"}
        return _("%(missing)s is missing (line %(line)s has %(has)s)") % words
    if skey is None:
        words = {"missing": f"{prefix}_skey", "line": appid.line, "has": f"{prefix}_appid"}
        return _("%(missing)s is missing (line %(line)s has %(has)s)") % words
    if not _ACCESS_ID.fullmatch(appid.value):
        words = {"line": appid.line, "name": f"{prefix}_appid"}
        return _("line %(line)s: %(name)s must be a number: the access ID in the provider's console") % words
    if not _SECRET.fullmatch(skey.value):
        words = {"line": skey.line, "name": f"{prefix}_skey", "have": len(skey.value)}
        if len(skey.value) == SECRET_LENGTH:
            return (
                _(
                    "line %(line)s: %(name)s must be 32 hexadecimal characters, but has %(have)s characters, "
                    "some not hexadecimal"
                )
                % words
            )
        return _("line %(line)s: %(name)s must be 32 hexadecimal characters, but has %(have)s characters") % words
    return ""


def _shown(prefix: str) -> str:
    return " ".join(SCOPES[prefix])


def key_of(entry: Entry, provider: ProviderKind | None) -> AppKey:
    """The key that the entry is for, with the entry's access id and this provider; not saved."""
    app, platform, environment = SCOPES[entry.prefix]
    key = _stored(entry.prefix, provider) or AppKey(app=app, platform=platform, environment=environment)
    key.access_id = entry.access_id or ""
    key.provider = provider or key.provider
    return key


def _stored(prefix: str, provider: ProviderKind | None) -> AppKey | None:
    """Return the key that the file's entry is about: that of the provider's channel, or the one that stands there."""
    app, platform, environment = SCOPES[prefix]
    channels = (CHANNELS[provider],) if provider else WITH_ACCESS_IDS
    keys = AppKey.objects.filter(app=app, platform=platform, environment=environment, channel__in=channels)
    return keys.order_by("-channel").first()


def _compared(entry: Entry, endpoint_url: str | None, provider: ProviderKind | None) -> Entry:
    key = _stored(entry.prefix, provider)
    if key is None:
        return entry
    changes = [
        _("access ID") if key.access_id != entry.access_id else "",
        _secret_change(key, entry.secret),
        _("endpoint") if endpoint_url is not None and key.endpoint_url != endpoint_url else "",
        _("provider") if provider is not None and key.provider != provider else "",
    ]
    detail = ", ".join(filter(None, changes))
    return replace(entry, state=CHANGED if detail else SAME, detail=detail)


def _secret_change(key: AppKey, secret: str) -> str:
    """Describe the change of a secret, and warn when the ini is from before a rotation and would undo it."""
    if secret == _secret_of(key):
        return ""
    if key.has_old_secret and secret == _old_secret_of(key):
        return _("secret (the file has the old one, from before the rotation)")
    return _("secret")


def _old_secret_of(key: AppKey) -> str | None:
    try:
        return key.old_credentials().secret
    except SecretUnreadableError:
        return None


def _secret_of(key: AppKey) -> str | None:
    try:
        return key.credentials().secret
    except SecretUnreadableError:
        return None


def _save(entry: Entry, endpoint_url: str | None, provider: ProviderKind | None) -> None:
    key = key_of(entry, provider)
    if key._state.adding or _secret_of(key) != entry.secret:
        key.set_secret(entry.secret)
    else:
        key.end_old_credentials()
    if endpoint_url is not None:
        key.endpoint_url = endpoint_url
    key.paused_at, key.paused_reason, key.paused_code = None, "", ""
    key.save()
