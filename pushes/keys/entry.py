"""What an operator enters for an app key, in the console or from files, and what speaks against it."""

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.models import AppKey
from pushes.names import CHANNELS, WITH_ACCESS_IDS, Channel, Platform, ProviderKind
from pushes.providers.base import ACCESS_ID, CredentialField, CredentialsError, Sealed
from pushes.providers.registry import PROVIDERS, UnknownProviderError, provider
from pushes.vault import SecretUnreadableError

#: Key files have two or three thousand characters.
MAX_FILE_BYTES = 16 * 1024


def kinds() -> list[ProviderKind]:
    """Return the kinds of which there can be keys, in the order of the vocabulary."""
    known = {one.kind for one in PROVIDERS}
    return [kind for kind in ProviderKind if kind in known]


def fields(kind: str) -> tuple[CredentialField, ...]:
    """Return what is entered for a key of this kind; nothing for an unknown one."""
    try:
        return provider(kind).credential_fields
    except UnknownProviderError:
        return ()


def asked_fields(kind: str) -> tuple[CredentialField, ...]:
    """Return what is entered to rotate the secret of a key: everything but the access id, which stays."""
    return tuple(field for field in fields(kind) if not field.is_access_id)


def access_id_label(kind: str) -> str:
    """Return what the vendor calls a key's access id."""
    own = [field.label for field in fields(kind) if field.is_access_id]
    return str(own[0] if own else provider(kind).access_id_label if fields(kind) else ACCESS_ID.label)


def shows_access_id(kind: str) -> bool:
    """Whether the access id is entered by itself, and not part of a file or of a secret's name."""
    return any(field.is_access_id for field in fields(kind))


def text_of(data: bytes) -> str:
    """Return the text of a key file. Raises ValueError, in the reader's language."""
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(_("This is too large for a key file: at most %(kb)s KB.") % {"kb": MAX_FILE_BYTES // 1024})
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(_("This file is not text, so it is not a key file.")) from None
    if not text:
        raise ValueError(_("The file is empty."))
    return text


def platform_fault(kind: str, platform: str) -> str:
    """Return why a key of this kind cannot be for this platform, in the reader's language; "" when it can."""
    own = provider(kind)
    if platform in own.platforms:
        return ""
    names = [str(one.label) for one in Platform if one in own.platforms]
    words = {"provider": own.kind.label, "platforms": ", ".join(names)}
    return (
        ngettext(
            "%(provider)s pushes to %(platforms)s only.", "%(provider)s pushes only to: %(platforms)s.", len(names)
        )
        % words
    )


def scope_fault(key: AppKey, kind: str) -> str:
    """Return why there can be no such key beside the others, in the reader's language; "" when there can."""
    channel = CHANNELS[ProviderKind(kind)]
    others = AppKey.objects.exclude(pk=key.pk).filter(
        app=key.app, platform=key.platform, environment=key.environment, channel=channel
    )
    if not others.exists():
        return ""
    words = {"key": f"{key.app} {key.platform} {key.environment}", "channel": channel.label}
    return _("There is already a key of %(key)s for %(channel)s. Open it to rotate its secret.") % words


def channel_fault(key: AppKey, kind: str) -> str:
    """Return why a stored key cannot become one of this kind, in the reader's language; "" when it can."""
    if key.provider == kind or CHANNELS[ProviderKind(kind)] == key.channel:
        return ""
    words = {"channel": Channel(key.channel).label}
    return (
        _("This key stays with %(channel)s, because its devices do. Add a new key for another provider's devices.")
        % words
    )


def sealed(key: AppKey, kind: str, entered: Mapping[str, str]) -> Sealed:
    """Return what is entered for `key`, which may be new. Where the access id is a number, it may be changed alone.
    Raises CredentialsError."""
    if not _is_secret_entered(kind, entered) and _is_kept(key, kind):
        stored = stored_secret(key)
        entered = {**entered, **{field.name: stored or "" for field in asked_fields(kind)}}
    found = provider(kind).sealed(entered)
    if not key._state.adding and not shows_access_id(kind):
        _check_app(key, kind, found)
    return found


def rotated(key: AppKey, entered: Mapping[str, str]) -> Sealed:
    """Return the new secret that is entered for a stored key, with its access id. Raises CredentialsError."""
    ids = {field.name: str(key.access_id) for field in fields(key.provider) if field.is_access_id}
    found = provider(key.provider).sealed({**entered, **ids})
    _check_app(key, key.provider, found)
    if found == Sealed(str(key.access_id), stored_secret(key) or ""):
        raise CredentialsError(first_secret(key.provider), _("This secret is already in use. Enter the new one."))
    return found


def first_secret(kind: str) -> str:
    """Return the name of the field at which it is said what concerns the secret."""
    return next((field.name for field in fields(kind) if field.is_secret), "")


def stored_secret(key: AppKey) -> str | None:
    """Return the key's secret; None when it cannot be read."""
    try:
        return key.credentials().secret
    except SecretUnreadableError:
        return None


def _is_secret_entered(kind: str, entered: Mapping[str, str]) -> bool:
    return any(entered.get(field.name) for field in asked_fields(kind))


def _is_kept(key: AppKey, kind: str) -> bool:
    return not key._state.adding and CHANNELS[ProviderKind(kind)] in WITH_ACCESS_IDS and key.channel in WITH_ACCESS_IDS


def _check_app(key: AppKey, kind: str, found: Sealed) -> None:
    """Raise CredentialsError when the secret is another app's or project's: the key's devices are not."""
    if provider(kind).rotates_access_id or found.access_id == str(key.access_id):
        return
    words = {"found": found.access_id, "own": key.access_id}
    text = _("This is of another project: %(found)s. The key is of %(own)s; add a new key for another one.") % words
    raise CredentialsError(first_secret(kind), text)
